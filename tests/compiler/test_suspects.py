"""Where seeded faults are put into a result, and what a run says of them."""

import numpy as np
import pytest

import convgraph as cg
from convgraph.compiler.suspects import PowerMode, suspects
from convgraph.ir.ops import BatchNormalization, Conv, Relu
from convgraph.passes import Trace

FOLDED = "fold-batchnorm-into-conv"
FUSED = "fuse-activation-into-conv"


def network() -> cg.Graph:
    """A convolution with a normalisation, and one without; a Relu behind each."""
    rng = np.random.default_rng(3)

    def weight(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return rng.standard_normal(shape).astype(np.float32)

    b = cg.GraphBuilder("network", opset=17)
    y = b.add(Conv.of(2, pads=1), b.input("x", shape=("N", 3, 9, 7)), weight(4, 3, 3, 3), name="first")
    statistics = (weight(4), weight(4), weight(4), np.abs(weight(4)) + np.float32(0.5))
    y = b.add(Relu(), b.add(BatchNormalization(), y, *statistics, name="normed"), name="seen")
    y = b.add(Conv.of(2), y, weight(5, 4, 2, 2), weight(5), name="second")
    b.output(b.add(Relu(), y), name="y")
    return b.build()


def test_what_changed_in_the_file_is_suspected_with_the_rewrites_behind_it() -> None:
    result = cg.optimize(network(), verify=False)
    found = suspects(result.original, result.graph, result.trace, mode="full")
    assert found is not None
    assert found.full
    assert dict(found.rewrites) == {"normed": (FOLDED,)}  # both are fused with a Relu: no file says so


@pytest.mark.parametrize("mode", ["sample", "full"])
def test_there_is_none_where_the_file_is_the_same(mode: PowerMode) -> None:
    graph = network()
    fused = cg.optimize(graph, passes=[FUSED], verify=False)
    assert len(fused.trace.applications) == 1
    assert suspects(fused.original, fused.graph, fused.trace, mode=mode) is None
    assert suspects(graph, graph, Trace(), mode=mode) is None


def test_a_run_measures_its_power() -> None:
    result = cg.optimize(network(), power="full")
    assert result.verification is not None
    power = result.verification.power
    assert power is not None
    assert power.full
    assert power.missed == ()
    kinds = sorted(attempt.kind for attempt in power.attempts)
    assert kinds == [
        "bias entry dropped",
        "channels swapped",
        "padding shifted",
        "tap moved",
        "weight scaled",
    ]
    assert {(attempt.at, attempt.rewrites) for attempt in power.attempts} == {("normed", (FOLDED,))}


def test_a_sample_is_the_default_and_off_none() -> None:
    sampled = cg.optimize(network())
    assert sampled.verification is not None
    assert sampled.verification.power is not None
    assert sampled.verification.power.attempts
    without = cg.optimize(network(), power="off")
    assert without.verification is not None
    assert without.verification.equal
    assert without.verification.power is None
