"""The summary of a run: valid against its schema, true to the run, and short as a table."""

import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from rich.console import Console

from convgraph.analysis.cost import Cost, graph_cost, parameters
from convgraph.analysis.onnxruntime_cpu.rates import Rates, committed
from convgraph.analysis.target import GenericTarget, OnnxruntimeCpu, Target
from convgraph.compiler.approximate import Approximated, Budgeted
from convgraph.compiler.culprit import Culprit
from convgraph.compiler.proof import Proof, Unproven
from convgraph.compiler.tuning.choice import Choice
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import BatchNormalization, Conv
from convgraph.ir.tensor import Dim
from convgraph.numerics.compare import Disagreement, OutputComparison, Verification
from convgraph.numerics.verdict import Attempt, Boundaries, Power
from convgraph.passes.rewrite import Refusal
from convgraph.passes.trace import Application, Trace
from convgraph.report.summary import FileFacts, peak_rss_bytes, schema, summary, table


def normalised(*shape: Dim, folded: bool) -> Graph:
    b = GraphBuilder("normalised", opset=18)
    ones = np.ones(5, np.float32)
    y = b.add(Conv.of(2), b.input("x", shape=shape), np.ones((5, 3, 2, 2), np.float32), ones)
    b.output(y if folded else b.add(BatchNormalization(), y, ones, ones, ones, ones), name="y")
    return b.build()


@dataclass(frozen=True, kw_only=True)
class FakeRun:
    original: Graph = field(default_factory=lambda: normalised("N", 3, 6, 7, folded=False))
    graph: Graph = field(default_factory=lambda: normalised("N", 3, 6, 7, folded=True))
    target: Target = field(default_factory=GenericTarget)
    trace: Trace = field(default_factory=Trace)
    approximated: Budgeted | None = None
    verification: Verification | None = None
    proof: Proof | None = None
    culprits: tuple[Culprit, ...] = ()
    choice: Choice | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    model: FileFacts | None = None
    optimized: FileFacts | None = None


WORST = OutputComparison(name="y", max_abs=0.5, max_rel=0.25, tolerance=0.75, worst_index=(0, 1, 2, 3))
VERDICT = Verification(status="equal", reference="a runtime", trials=3, seeds=(0, 1, 2), outputs=(WORST,))
BUDGETED = Budgeted(
    budget=0.01,
    error=0.0078125,
    undone=1,
    steps=(
        Approximated(index=2, rewrite="drop-it", at="c", weight_error=0.25, alone=0.005, error=0.0078125),
    ),
)
TRACE = Trace(
    applications=(
        Application(index=1, rewrite="fold-it", at="bn", before=Cost(7, 90), after=Cost(6, 80)),
        Application(index=2, rewrite="drop-it", at="c", before=Cost(0, 5), after=Cost(0, 0)),
    ),
    refusals=(Refusal(rewrite="fold-it", at="d", requirement="it_is_constant", reason="It is constant."),),
)
FULL = FakeRun(
    trace=TRACE,
    verification=VERDICT,
    approximated=BUDGETED,
    seconds={
        "import": 0.25,
        "passes": 0.5,
        "approximate": 0.25,
        "export": 0.125,
        "verify": 1.75,
        "total": 2.875,
    },
    model=FileFacts(path="a.onnx", sha256="0" * 64, bytes=2000, opset=18),
    optimized=FileFacts(path=None, sha256="f" * 64, bytes=1500, opset=18),
)


def validated(run: FakeRun) -> dict[str, Any]:
    """The summary after a trip through JSON, which has no NaN, checked against the schema."""
    report: dict[str, Any] = json.loads(json.dumps(summary(run), allow_nan=False))
    Draft202012Validator(schema()).validate(report)
    return report


def text(run: FakeRun) -> str:
    out = io.StringIO()
    Console(file=out, width=120, markup=False).print(table(run))
    return out.getvalue()


def rows(run: FakeRun) -> dict[str, list[str]]:
    lines = [line for line in text(run).splitlines()[1:] if line.strip()]
    return {line[:10].strip(): line[10:].split() for line in lines}


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


def test_everything_about_a_full_run() -> None:
    report = validated(FULL)
    before, after = graph_cost(FULL.original), graph_cost(FULL.graph)
    assert report["schema"] == 1
    assert report["convgraph"] == version("convgraph")
    assert report["onnxruntime"] == version("onnxruntime")
    assert report["assumed_sizes"] == {"N": 1}
    assert report["model"] == {
        "path": "a.onnx",
        "sha256": "0" * 64,
        "file_bytes": 2000,
        "opset": 18,
        "nodes": 2,
        "parameters": parameters(FULL.original),
        "macs": before.macs,
        "bytes": before.bytes,
        "reorders": FULL.target.reorders(FULL.original),
        "approximate": False,
    }
    assert report["optimized"]["nodes"] == 1
    assert report["optimized"]["parameters"] == 60 + 5
    assert report["optimized"]["bytes"] == after.bytes < before.bytes
    assert report["seconds"] == {**FULL.seconds, "culprit": None, "tune": None}
    assert report["latency"] is None


MEASURED = Rates(block=16, table={"a": 1.0}, machine="a processor", runtime="a runtime")


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (GenericTarget(), ("generic", None, None, None, None)),
        (OnnxruntimeCpu(), ("onnxruntime-cpu", "committed", committed().machine, committed().runtime, None)),
        (OnnxruntimeCpu(MEASURED, threads=2), ("onnxruntime-cpu", "measured", "a processor", "a runtime", 2)),
    ],
)
def test_whose_rates_a_run_counted_with(target: Target, told: tuple[str | None, ...]) -> None:
    assert tuple(validated(FakeRun(target=target))["target"].values()) == told


def test_rewrites_and_refusals_in_order() -> None:
    report = validated(FULL)
    costs = ("macs_before", "macs_after", "bytes_before", "bytes_after")
    assert [(entry["index"], entry["name"], entry["at"]) for entry in report["rewrites"]] == [
        (1, "fold-it", "bn"),
        (2, "drop-it", "c"),
    ]
    assert [report["rewrites"][0][key] for key in costs] == [7, 6, 90, 80]
    assert report["refusals"] == [
        {"name": "fold-it", "at": "d", "requirement": "it_is_constant", "reason": "It is constant."}
    ]


def test_approximations_and_their_errors() -> None:
    assert validated(FULL)["approximation"] == {
        "budget": 0.01,
        "error": 0.0078125,
        "undone": 1,
        "reason": "",
        "rewrites": [
            {
                "index": 2,
                "name": "drop-it",
                "at": "c",
                "weight_error": 0.25,
                "alone": 0.005,
                "error": 0.0078125,
            }
        ],
    }
    assert rows(FULL)["budget"] == ["0.00781", "of", "0.01", "1", "approximate"]
    assert validated(FakeRun())["approximation"] is None
    assert "budget" not in rows(FakeRun())


def test_a_verification() -> None:
    assert validated(FULL)["verification"] == {
        "status": "equal",
        "equal": True,
        "reason": "",
        "reference": "a runtime",
        "trials": 3,
        "seeds": [0, 1, 2],
        "power": None,
        "proof": None,
        "outputs": [
            {
                "name": "y",
                "max_abs": 0.5,
                "max_rel": 0.25,
                "tolerance": 0.75,
                "bound": "derived",
                "worst_index": [0, 1, 2, 3],
            }
        ],
        "boundaries": None,
    }


def test_what_was_compared_inside() -> None:
    inside = replace(WORST, name="c")
    seen = (
        Boundaries(total=7).with_one(None).with_one(inside).with_one(replace(inside, name="d", max_abs=0.25))
    )
    report = validated(FakeRun(verification=replace(VERDICT, boundaries=seen)))["verification"]["boundaries"]
    assert (report["total"], report["compared"], report["worst"]["name"]) == (7, 3, "c")
    unseen = validated(FakeRun(verification=replace(VERDICT, boundaries=Boundaries(total=1))))
    assert unseen["verification"]["boundaries"] == {"total": 1, "compared": 0, "worst": None}


def test_what_the_check_would_have_caught() -> None:
    attempts = (
        Attempt(kind="tap moved", at="a", rewrites=("fold-it", "crop-it"), caught=True),
        Attempt(kind="tap moved", at="b", rewrites=("fold-it",)),
        Attempt(kind="weight scaled", at="b", rewrites=(), caught=True),
    )
    power = Power(attempts=attempts, full=True, seconds=0.5)
    run = FakeRun(verification=replace(VERDICT, power=power))
    assert validated(run)["verification"]["power"] == {
        "tried": 3,
        "caught": 2,
        "full": True,
        "seconds": 0.5,
        "kinds": [
            {"name": "tap moved", "tried": 2, "caught": 1},
            {"name": "weight scaled", "tried": 1, "caught": 1},
        ],
        "rewrites": [
            {"name": "crop-it", "tried": 1, "caught": 1},
            {"name": "fold-it", "tried": 2, "caught": 1},
        ],
        "missed": [{"kind": "tap moved", "at": "b", "rewrites": ["fold-it"]}],
    }
    assert "the check would have caught 2 of 3 seeded faults" in text(run)
    nothing = replace(VERDICT, power=replace(power, attempts=()))
    assert "seeded" not in text(FakeRun(verification=nothing))


def test_what_was_proven() -> None:
    reason = "it rounds"
    proof = Proof(
        applications=2, proven=1, not_proven=(Unproven(index=2, rewrite="drop-it", at="c", reason=reason),)
    )
    run = FakeRun(verification=VERDICT, proof=proof)
    assert validated(run)["verification"]["proof"] == {
        "applications": 2,
        "proven": 1,
        "not_proven": [{"index": 2, "rewrite": "drop-it", "at": "c", "reason": reason}],
    }
    assert "1 of 2 rewrites were proven, bit for bit on dyadic numbers" in text(run)
    assert "proven" not in text(FakeRun(proof=Proof(applications=0, proven=0)))


def test_what_was_measured() -> None:
    gains = {"tune": 1.6, "exact": 1.25, "clean": 1.0}
    choice = Choice(level="tune", threads=2, before=8e-3, after=5e-3, low=1.5, high=2.0, gains=gains)
    run = FakeRun(choice=choice)
    assert validated(run)["latency"] == {
        "before_ms": 8.0,
        "after_ms": 5.0,
        "ratio": 0.625,
        "ratio_low": 0.5,
        "ratio_high": pytest.approx(1 / 1.5),
        "threads": 2,
        "level": "tune",
        "gains": gains,
    }
    assert rows(run)["latency ms"] == ["8.00", "5.00", "1.60x"]
    said = (
        "tuned on 2 threads: tune is taken; times as fast as the original: tune 1.60, exact 1.25, clean 1.00"
    )
    assert said in text(run)
    assert str(replace(choice, threads=1, level="exact")).startswith("tuned on 1 thread: exact is taken;")
    assert validated(FULL)["latency"] is None


def test_culprits() -> None:
    found = Culprit(
        rewrite="fold-it",
        at="bn",
        index=3,
        disagreement=Disagreement("y", "0.5 off at (0,)", "within 0.001"),
        before=FULL.original,
        after=FULL.graph,
    )
    written = replace(found, index=4, files=("a.before.onnx", "a.after.onnx"))
    run = FakeRun(culprits=(found, written))
    entry = {
        "index": 3,
        "name": "fold-it",
        "at": "bn",
        "disagreement": {"at": "y", "found": "0.5 off at (0,)", "expected": "within 0.001"},
        "model": None,
    }
    files = {"before": "a.before.onnx", "after": "a.after.onnx"}
    assert validated(run)["culprits"] == [entry, {**entry, "index": 4, "model": files}]
    assert rows(run)["culprits"] == ["2", "dropped"]
    assert validated(FULL)["culprits"] == []
    assert "culprits" not in rows(FULL)
    assert str(found) == "fold-it at bn (application 3): y: 0.5 off at (0,); within 0.001"


def test_a_run_that_knows_little() -> None:
    report = validated(FakeRun())
    assert report["verification"] is None
    assert report["model"]["path"] is report["model"]["sha256"] is report["model"]["file_bytes"] is None
    assert report["model"]["opset"] == 18
    assert set(report["seconds"].values()) == {None}


@pytest.mark.parametrize("number", [math.nan, math.inf, np.float32(np.inf), np.float64(np.nan)])
def test_numbers_that_are_not_finite_are_null(number: float) -> None:
    broken = replace(WORST, max_abs=number, max_rel=number, worst_index=(np.int64(3),))
    verdict = Verification(status="different", reason="y: NaN", outputs=(broken,))
    report = validated(FakeRun(verification=verdict, seconds={"total": number}))
    (output,) = report["verification"]["outputs"]
    assert output["max_abs"] is output["max_rel"] is None
    assert output["worst_index"] == [3]
    assert report["seconds"]["total"] is None


@pytest.mark.parametrize(
    "break_it",
    [
        lambda report: report.pop("machine"),
        lambda report: report.update(schema=2),
        lambda report: report.update(extra=1),
        lambda report: report["model"].update(macs=-1),
        lambda report: report["model"].update(sha256="short"),
        lambda report: report["rewrites"][0].pop("index"),
        lambda report: report["approximation"].update(budget=0),
        lambda report: report["approximation"]["rewrites"][0].pop("error"),
        lambda report: report["verification"].update(status="maybe"),
        lambda report: report["verification"].update(equal=False),
        lambda report: report["seconds"].update(total="fast"),
    ],
)
def test_the_schema_notices_what_is_wrong(break_it: Any) -> None:
    report = validated(FULL)
    break_it(report)
    assert not Draft202012Validator(schema()).is_valid(report)


def test_peak_memory_is_at_least_what_this_test_holds() -> None:
    held = np.ones(30_000_000 // 8)
    assert (peak_rss_bytes() or 0) > held.nbytes


def test_the_table_shows_before_and_after() -> None:
    found = rows(FULL)
    before = graph_cost(FULL.original)
    assert text(FULL).splitlines()[0].split() == ["before", "after", "change"]
    assert found["nodes"] == ["2", "1", "-50.0", "%"]
    assert found["parameters"] == ["85", "65", "-23.5", "%"]
    assert found["MACs"] == [f"{before.macs:,}", f"{before.macs:,}", "="]
    assert found["file size"] == ["2,000", "1,500", "-25.0", "%"]
    assert found["max error"] == ["0.5"]
    assert found["seconds"] == ["2.88"]
    assert "MACs and bytes at N=1" in text(FULL)


def test_a_small_change_is_not_shown_as_none() -> None:
    facts = [FileFacts(path=None, sha256="0" * 64, bytes=size, opset=18) for size in (1_000_000, 999_900)]
    assert rows(replace(FULL, model=facts[0], optimized=facts[1]))["file size"][2:] == ["-0.01", "%"]


def test_the_table_of_a_run_that_knows_little() -> None:
    fixed = {folded: normalised(1, 3, 6, 7, folded=folded) for folded in (False, True)}
    run = FakeRun(original=fixed[False], graph=fixed[True])
    found = rows(run)
    assert found["max error"] == ["not", "verified"]
    assert found["seconds"] == ["-"]
    assert "file size" not in found
    assert "MACs and bytes" not in text(run)


@pytest.mark.parametrize(
    ("status", "errors", "shown"),
    [
        ("equal", (0.25, 0.5), ["0.5"]),
        ("different", (0.25, 0.125), ["0.25", "(different)"]),
        ("different", (0.25, math.nan), ["nan", "(different)"]),
        ("different", (math.nan, 0.25), ["nan", "(different)"]),
        ("unverified", (), ["unverified"]),
    ],
)
def test_the_error_shown_is_the_worst_of_all_outputs(
    status: Any, errors: tuple[float, ...], shown: list[str]
) -> None:
    outputs = tuple(replace(WORST, name=str(i), max_abs=error) for i, error in enumerate(errors))
    verdict = Verification(status=status, outputs=outputs)
    assert rows(FakeRun(verification=verdict))["max error"] == shown
