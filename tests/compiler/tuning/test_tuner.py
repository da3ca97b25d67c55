"""Choices by measurement, with a stopwatch that counts instead of measuring."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.analysis.target import OnnxruntimeCpu
from convgraph.compiler.measure import Latencies
from convgraph.compiler.optimize import optimize
from convgraph.compiler.tuning import tuner as tuning
from convgraph.compiler.tuning.kept import Kept
from convgraph.compiler.tuning.tuner import Tuner, Tuning, fastest
from convgraph.errors import PassFailed, UnsupportedOp
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, Identity, Relu, Sigmoid
from convgraph.numerics.session import Session, Unverifiable
from convgraph.passes import (
    MergeSiblingConvs,
    Pipeline,
    RemoveIdentity,
    Repeat,
    SplitConvAlongSplit,
    Trace,
)
from convgraph.passes.algebra.transform_conv_into_winograd import TransformConvIntoWinograd

Cost = Callable[[Graph], float]


class Restless(Pipeline):
    """One whose rewrites undo each other."""

    def run(self, graph: Graph, **options: Any) -> tuple[Graph, Trace]:
        """Come to no rest."""
        del graph, options
        raise PassFailed("there and back", found="many applications", expected="a run that comes to rest")


def convolved(*, channels: int = 64, size: int = 28, layers: int = 1) -> Graph:
    """A row of 3×3 convolutions of an image, each with a Relu."""
    b, draw = GraphBuilder("g", opset=17), Draw(dyadic=False)
    y = b.input("x", shape=(1, channels, size, size))
    for _ in range(layers):
        y = b.add(Relu(), b.add(Conv.of(2, pads=1), y, 0.05 * draw.weight(channels, channels, 3, 3)))
    b.output(y, name="y")
    return b.build()


def pointwise(*ops: object) -> Graph:
    """Operations in a row."""
    b = GraphBuilder("g", opset=17)
    y = b.input("x", shape=(1, 8, 9, 9))
    for op in ops:
        y = b.add(op, y)  # type: ignore[arg-type] - operations of one operand
    b.output(y, name="y")
    return b.build()


def labels(graph: Graph) -> list[str]:
    return [graph.op(node).label for node in graph.compute_nodes()]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Each measurement that is taken, as the names of what is timed; a node takes a millisecond."""
    taken: list[tuple[str, ...]] = []

    def turns(graphs: Mapping[str, Graph], *, threads: int, seconds: float) -> Latencies:
        """Count the nodes; on more threads they take longer, so that numbers differ."""
        del seconds
        taken.append(tuple(graphs))
        each = {name: (1e-3 * threads * len(labels(graph)),) * 5 for name, graph in graphs.items()}
        return Latencies(rounds=each, seed=0)

    monkeypatch.setattr(tuning, "_turns", turns)
    return taken


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "timings.json")


LONG, SHORT = pointwise(Relu(), Sigmoid()), pointwise(Relu())


def test_places_alike_are_measured_once(asked: list[tuple[str, ...]], kept: Kept) -> None:
    tuner = Tuner(kept=kept, threads=1)
    assert tuner(LONG, SHORT) == (2e-3, 1e-3)
    assert tuner(pointwise(Relu(), Sigmoid()), SHORT) == (2e-3, 1e-3)
    assert Tuner(kept=Kept(kept.path), threads=1, budget=0)(LONG, SHORT) == (2e-3, 1e-3)
    assert asked == [("before", "after")]
    assert Tuner(kept=kept, threads=2)(LONG, SHORT) == (4e-3, 2e-3)
    assert len(asked) == 2


@pytest.mark.parametrize("options", [{"budget": 0.0}, {"is_closed": True}, {"whole": 1e3}])
def test_what_is_not_measured_is_predicted(
    asked: list[tuple[str, ...]], kept: Kept, options: Mapping[str, float]
) -> None:
    assert Tuner(kept=kept, threads=1, **options)(LONG, SHORT) is None  # type: ignore[arg-type]
    assert not asked


def test_the_budget_is_for_what_takes_the_most_time(asked: list[tuple[str, ...]], kept: Kept) -> None:
    part = OnnxruntimeCpu().price(LONG)[0]
    for budget, measured in ((1.0, 0), (100.0, 1)):  # a hundredth of the time, to be run for 0.4 seconds
        Tuner(kept=kept, threads=1, budget=budget, whole=100 * part)(LONG, SHORT)
        assert len(asked) == measured


def test_what_is_predicted_to_take_far_longer_is_not_measured(
    asked: list[tuple[str, ...]], kept: Kept
) -> None:
    tuner = Tuner(kept=kept, threads=1)
    assert tuner(SHORT, pointwise(*[Sigmoid()] * 9)) is None
    assert not asked


def test_what_does_not_run_is_predicted_and_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, kept: Kept
) -> None:
    tries: list[object] = []

    def fails(graphs: Mapping[str, Graph], **_: object) -> Latencies:
        """As the runtime does for an operator that it lacks."""
        tries.append(graphs)
        raise Unverifiable("before", found="no kernel", expected="one")

    monkeypatch.setattr(tuning, "_turns", fails)
    tuner = Tuner(kept=kept, threads=1)
    assert tuner(LONG, SHORT) is tuner(LONG, SHORT) is None
    assert len(tries) == 1


def test_a_measurement_decides_in_the_place_of_the_prediction() -> None:
    graph = convolved(channels=256)
    for factor, applied in ((0.5, True), (0.99, False), (2.0, False)):
        target = OnnxruntimeCpu(threads=1, stopwatch=lambda *_, by=factor: (1.0, by))  # type: ignore[misc]
        _, trace = Pipeline([TransformConvIntoWinograd(target=target)]).run(graph)
        assert bool(trace.applications) is applied


def test_the_fastest_is_taken_and_remembered(asked: list[tuple[str, ...]], kept: Kept) -> None:
    graph = pointwise(Relu(), Relu(), Sigmoid(), Identity())
    pipelines = {
        "tune": Pipeline([RemoveIdentity()]),
        "exact": Pipeline([RemoveIdentity()]),
        "clean": Pipeline([TransformConvIntoWinograd()]),
        "original": Pipeline([]),
    }
    choice = fastest(graph, pipelines, tuner=Tuner(kept=kept, threads=1))
    assert choice.level == "tune"  # of those as fast the one that is named first
    assert choice.gains == pytest.approx({"tune": 4 / 3, "exact": 4 / 3, "clean": 1.0, "original": 1.0})
    assert (choice.before, choice.after) == pytest.approx((4e-3, 3e-3))
    assert (choice.low, choice.high) == pytest.approx((4 / 3, 4 / 3))
    assert fastest(graph, pipelines, tuner=Tuner(kept=Kept(kept.path), threads=1)) == choice
    assert asked == [("before", "tune", "exact", "clean")]


def test_where_nothing_is_faster_the_model_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def slower(graphs: Mapping[str, Graph], **_: object) -> Latencies:
        """Whatever is changed takes longer."""
        return Latencies(rounds={name: (1.0 if name == "before" else 1.1,) * 5 for name in graphs}, seed=0)

    monkeypatch.setattr(tuning, "_turns", slower)
    model, timings = to_onnx(pointwise(Relu(), Identity())), tmp_path / "timings.json"
    found = optimize(model, level="tune", tuning=Tuning(file=timings))
    assert found.choice is not None
    assert found.choice.level == "original"
    assert labels(found.graph) == ["Relu", "Identity"]
    assert found.choice.gains["exact"] == pytest.approx(1 / 1.1)


def test_what_does_not_load_is_not_taken(monkeypatch: pytest.MonkeyPatch, kept: Kept) -> None:
    def picky(source: Any, *, at: str, **options: Any) -> Session:
        """As where a runtime refuses what it should take."""
        if at == "tune":
            raise Unverifiable(at, found="no kernel", expected="one")
        return Session(source, at=at, **options)

    monkeypatch.setattr(tuning, "Session", picky)
    tidied = Pipeline([RemoveIdentity()])
    tuner = Tuner(kept=kept, threads=1, budget=0)
    choice = fastest(pointwise(Relu(), Identity()), {"tune": tidied, "exact": tidied}, tuner=tuner)
    assert choice.level == "exact"
    assert set(choice.gains) == {"exact"}


def test_a_target_that_is_not_here_is_refused() -> None:
    with pytest.raises(UnsupportedOp, match="a target that is not measured here"):
        optimize(to_onnx(SHORT), level="tune", target="generic")


def test_a_second_run_gives_the_same_file(tmp_path: Path) -> None:
    model, timings = to_onnx(convolved(channels=128, layers=3)), tmp_path / "timings.json"
    made = [
        optimize(model, level="tune", threads=1, tuning=Tuning(budget=2.0, file=timings), power="off")
        for _ in range(2)
    ]
    assert [one.verification.equal for one in made if one.verification is not None] == [True, True]
    assert made[0].proto.SerializeToString() == made[1].proto.SerializeToString()
    assert made[1].seconds["tune"] < made[0].seconds["tune"]
    assert np.isfinite(list(made[0].seconds.values())).all()


def test_what_was_measured_to_be_faster_is_not_undone() -> None:
    """Whichever of two ways is timed, the other one is said to be faster."""
    b, draw = GraphBuilder("g", opset=17), Draw(dyadic=True)
    x = b.input("x", shape=(1, 8, 9, 9))
    for op in (Relu(), Sigmoid()):
        b.output(b.add(op, b.add(Conv.of(2, pads=1), x, draw.weight(8, 8, 3, 3))))
    target = OnnxruntimeCpu(stopwatch=lambda _before, _after: (2.0, 1.0))
    pipeline = Pipeline([Repeat(MergeSiblingConvs(target=target), SplitConvAlongSplit(target=target))])
    result, trace = pipeline.run(b.build())
    assert labels(result).count("Conv") == 1
    assert [refusal.requirement for refusal in trace.refusals] == ["what_was_measured_to_be_faster_stays"]


def test_a_pipeline_that_measures_and_comes_to_no_rest_is_not_taken(
    tmp_path: Path, asked: list[tuple[str, ...]]
) -> None:
    tuner = Tuner(kept=Kept(tmp_path / "kept.json"), threads=1)
    choice = fastest(
        pointwise(Relu()),
        {"tune": Restless([RemoveIdentity()]), "clean": Pipeline([RemoveIdentity()])},
        tuner=tuner,
    )
    assert choice.level == "clean"
    assert asked == [("before", "clean")]
