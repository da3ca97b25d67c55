"""Latency side by side: what is counted, in which order, and what is said of it."""

import itertools
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import parser

from convgraph.compiler.measure import (
    LEAST_ROUNDS,
    MOST_TIMES,
    TURN,
    Latencies,
    interleaved,
    measure,
)
from convgraph.ir.tensor import Array
from convgraph.numerics.session import ModelSource, Unverifiable


class Bench:
    """Runs that take a time of their own on a clock of ours."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ran: list[str] = []

    def taking(self, name: str, *seconds: float) -> Callable[[], None]:
        """A run that takes each of the times in turn."""
        ahead = itertools.cycle(seconds)

        def run() -> None:
            self.ran.append(name)
            self.now += next(ahead)

        return run

    def clock(self) -> float:
        return self.now


def test_a_run_takes_what_it_takes() -> None:
    bench = Bench()
    runs = {"a": bench.taking("a", 0.5), "b": bench.taking("b", 0.125)}
    found = interleaved(runs, clock=bench.clock, seconds=0)
    assert found.rounds == {"a": (0.5,) * LEAST_ROUNDS, "b": (0.125,) * LEAST_ROUNDS}
    assert found.median("a") == 0.5
    ratio = found.ratio("a", "b")
    assert (ratio.low, ratio.median, ratio.high) == (4, 4, 4)


def test_warming_up_is_not_counted() -> None:
    bench = Bench()
    found = interleaved({"a": bench.taking("a", 9, 9, *(1,) * 100)}, clock=bench.clock, seconds=0)
    assert set(found.rounds["a"]) == {1.0}


def test_a_short_run_is_repeated_and_its_time_is_that_of_one() -> None:
    bench = Bench()
    runs = {"short": bench.taking("short", TURN / 8), "long": bench.taking("long", 1.0)}
    found = interleaved(runs, clock=bench.clock, seconds=0)
    assert bench.ran.count("short") == 2 + 8 * LEAST_ROUNDS
    assert bench.ran.count("long") == 2 + LEAST_ROUNDS
    assert found.rounds["short"] == pytest.approx((TURN / 8,) * LEAST_ROUNDS)


def test_a_run_without_a_length_is_repeated_so_often_and_no_more() -> None:
    bench = Bench()
    interleaved({"none": bench.taking("none", 0.0)}, clock=bench.clock, seconds=0)
    assert len(bench.ran) == 2 + MOST_TIMES * LEAST_ROUNDS


def test_each_runs_once_a_round_and_none_always_follows_another() -> None:
    bench = Bench()
    interleaved({name: bench.taking(name, 1.0) for name in "abc"}, clock=bench.clock, seconds=0, seed=1)
    rounds = ["".join(bench.ran[start : start + 3]) for start in range(6, len(bench.ran), 3)]
    assert {"".join(sorted(one)) for one in rounds} == {"abc"}
    assert len(set(rounds)) > 2


def test_more_time_gives_more_rounds() -> None:
    def run() -> None:
        pass

    ticks = itertools.count()
    found = interleaved({"a": run}, clock=lambda: float(next(ticks)), seconds=0.05)
    assert len(found.rounds["a"]) > LEAST_ROUNDS


def test_a_ratio_is_taken_within_each_round() -> None:
    """What slows both sides of a round changes nothing, though it is most of what is seen."""
    noise = np.random.default_rng(0).uniform(1, 10, size=50)
    slow, fast = tuple(3 * noise), tuple(2 * noise)
    ratio = Latencies(rounds={"slow": slow, "fast": fast}, seed=0).ratio("slow", "fast")
    assert (ratio.low, ratio.median, ratio.high) == pytest.approx((1.5, 1.5, 1.5))


def test_the_interval_holds_the_true_median_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        noisy = tuple(2 * np.exp(random.normal(scale=0.2, size=25)))
        ratio = Latencies(rounds={"a": noisy, "b": (1.0,) * 25}, seed=seed).ratio("a", "b")
        assert ratio.low <= ratio.median <= ratio.high
        held += ratio.low <= 2 <= ratio.high
    assert 0.9 <= held / 200 <= 0.99


def test_the_same_rounds_give_the_same_interval() -> None:
    rounds = {"a": (1.0, 2.0, 3.0, 5.0), "b": (1.0, 1.0, 1.0, 1.0)}
    assert Latencies(rounds=rounds, seed=3).ratio("a", "b") == Latencies(rounds=rounds, seed=3).ratio(
        "a", "b"
    )


def chain(length: int) -> onnx.ModelProto:
    """So many convolutions in a row."""
    nodes = "".join(f"v{i + 1} = Conv<pads=[1,1,1,1]>(v{i}, w)\n" for i in range(length))
    return parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]>'
        f"g (float[1,16,24,24] v0, float[16,16,3,3] w) => (float[1,16,24,24] v{length}) {{ {nodes} }}"
    )


def inputs() -> dict[str, Array]:
    random = np.random.default_rng(0)
    return {
        "v0": random.normal(size=(1, 16, 24, 24)).astype(np.float32),
        "w": random.normal(size=(16, 16, 3, 3)).astype(np.float32) / 12,
    }


@pytest.mark.parametrize("threads", [1, 2])
def test_models_are_measured(threads: int) -> None:
    models: dict[str, ModelSource] = {"one": chain(1), "bytes": chain(4).SerializeToString()}
    found = measure(models, feeds=inputs(), threads=threads, seconds=0.1)
    assert list(found.rounds) == ["one", "bytes"]
    assert len(found.rounds["one"]) == len(found.rounds["bytes"]) >= LEAST_ROUNDS
    assert all(seconds > 0 for rounds in found.rounds.values() for seconds in rounds)


def test_a_model_that_does_not_run_is_named() -> None:
    with pytest.raises(Unverifiable, match="broken: "):
        measure({"whole": chain(1), "broken": b"no model"}, feeds=inputs(), seconds=0)
    with pytest.raises(Unverifiable, match="whole: "):
        measure({"whole": chain(1)}, feeds={"v0": inputs()["v0"]}, seconds=0)
