"""Tables for split-depthwise-separable."""

from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from laws.draw import Draw, feeds_for
from laws.weighted import Weight, convolved

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Clip, Conv
from convgraph.numerics.evaluate import evaluate
from convgraph.passes import Pipeline
from convgraph.passes.algebra.split_depthwise_separable import SplitDepthwiseSeparable

# Singular vectors are not dyadic. Of the weight, whose elements are rounded anew (two factors, one
# intermediate value), at most 4 roundings are left out: 2^-20 is 16 roundings of float32.
BOUND = 2.0**-20


def separable(*shape: int, rank: int = 1) -> Weight:
    """Σᵣ P[o, i, r] · D[i, r, …] of these output channels, input channels of a group, and kernel."""

    def weight(draw: Draw) -> np.ndarray:
        outside, inside, *kernel = shape
        mixing = draw.factor(outside, inside, rank, dtype=np.float64)
        kernels = draw.factor(inside, rank, *kernel, dtype=np.float64)
        return np.einsum("oir,ir...->oi...", mixing, kernels)

    return weight


def grouped(*shape: int, group: int) -> Weight:
    """Separable group by group: no kernel is shared between groups."""

    def weight(draw: Draw) -> np.ndarray:
        part = separable(shape[0] // group, *shape[1:])
        return np.concatenate([part(draw) for _ in range(group)])

    return weight


def some_zero_channels(draw: Draw) -> np.ndarray:
    """Input channels of rank 0, 1 and 2."""
    array = separable(16, 4, 3, 3, rank=2)(draw)
    array[:, 1] = 0
    array[:, 2] = separable(16, 1, 3, 3)(draw)[:, 0]
    return array


def activated(draw: Draw) -> Graph:
    """A convolution that has a Clip fused into it."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", 4, "H", "W"))
    op = replace(Conv.of(2, pads=1), activation=Clip())
    low, high = (b.constant(np.asarray(number, np.float32)) for number in (-2, 6))
    weight, bias = b.constant(separable(16, 4, 3, 3)(draw).astype(np.float32)), b.constant(draw.weight(16))
    b.output(b.add(op, x, weight, bias, low, high), name="y")
    return b.build()


EXAMPLES = {
    "rank 1": convolved(Conv.of(2, pads=1), separable(16, 4, 3, 3)),
    "rank 2": convolved(Conv.of(2, pads=1), separable(24, 4, 3, 5, rank=2)),
    "no bias": convolved(Conv.of(2, pads=1), separable(16, 4, 3, 3), bias=False),
    "strides, dilations, odd pads": convolved(
        Conv.of(2, strides=(2, 1), dilations=(1, 2), pads=(1, 2, 0, 3)), separable(16, 4, 3, 3)
    ),
    "groups": convolved(Conv.of(2, pads=1, group=2), grouped(32, 3, 3, 3, group=2)),
    "depthwise multiplier": convolved(Conv.of(2, pads=1, group=3), grouped(24, 1, 3, 3, group=3)),
    "1-D": convolved(Conv.of(1, pads=2), separable(16, 4, 5), spatial=("L",)),
    "3-D": convolved(Conv.of(3, pads=1), separable(12, 4, 3, 2, 2)),
    "SAME": convolved(replace(Conv.of(2, strides=2), auto_pad="SAME_LOWER"), separable(16, 4, 3, 3)),
    "some zero channels": convolved(Conv.of(2, pads=1), some_zero_channels),
    "nothing but zeros": convolved(Conv.of(2, pads=1), lambda _: np.zeros((16, 4, 3, 3), np.float32)),
    "fused activation": activated,
    "double": convolved(Conv.of(2, pads=1), separable(16, 4, 3, 3), dtype=np.float64),
}

NEAR_MISSES = {
    "the_weight_is_constant": [
        convolved(Conv.of(2, pads=1), separable(16, 4, 3, 3), given="overridable"),
    ],
    "it_is_cheaper_on_the_target": [
        convolved(Conv.of(2, pads=1), separable(4, 6, 3, 3, rank=3)),  # 3·(9 + 4) > 4·9
        convolved(Conv.of(2, pads=1, group=3), grouped(6, 1, 2, 1, group=3)),  # 2 + 2 = 2·2
    ],
}


@pytest.mark.parametrize(
    ("dtype", "roundings"),
    [
        (np.float16, 16),
        (ml_dtypes.bfloat16, 16),
        (np.float32, 16),
        (np.float64, 128),
    ],  # decomposed in float64
)
def test_the_rank_is_seen_through_the_rounding_of_every_type(dtype: type, roundings: int) -> None:
    for seed in range(5):
        draw = Draw(dyadic=False, seed=seed)
        graph = convolved(Conv.of(2, pads=1), separable(24, 4, 3, 5, rank=2), dtype=dtype)(draw)
        result, trace = Pipeline([SplitDepthwiseSeparable()]).run(graph)
        assert len(trace.applications) == 1
        unit = float(ml_dtypes.finfo(dtype).eps) / 2
        for feeds in feeds_for(graph, dyadic=False):
            expected, found = (evaluate(g, feeds)["y"].astype(np.float64) for g in (graph, result))
            assert np.abs(found - expected).max() <= roundings * unit * np.abs(expected).max()


@pytest.mark.parametrize("size", [1e-5, 1e-7, 1e-9])
def test_a_small_channel_is_not_lost_beside_large_ones(size: float) -> None:
    def one_small(draw: Draw) -> np.ndarray:
        array = separable(24, 4, 3, 5, rank=2)(draw)
        array[3] = size * draw.factor(*array.shape[1:], dtype=np.float64)
        return array

    graph = convolved(Conv.of(2, pads=1), one_small, bias=False, spatial=(7, 6))(Draw(dyadic=False))
    result, trace = Pipeline([SplitDepthwiseSeparable()]).run(graph)
    assert trace.applications
    for feeds in feeds_for(graph, dyadic=False):
        expected, found = (evaluate(g, feeds)["y"][:, 3] for g in (graph, result))
        assert np.abs(found - expected).max() <= BOUND * np.abs(expected).max()


@pytest.mark.parametrize("error", [1e-5, 1e-3])
def test_what_is_nearly_separable_is_left_alone(error: float) -> None:
    def nearly(draw: Draw) -> np.ndarray:
        array = separable(16, 4, 3, 3)(draw)
        return array + error * np.abs(array).max() * draw.rng.normal(size=array.shape).astype(np.float32)

    graph = convolved(Conv.of(2, pads=1), nearly)(Draw(dyadic=False))
    _, trace = Pipeline([SplitDepthwiseSeparable()]).run(graph)
    assert not trace.applications


def test_a_weight_that_is_not_finite_is_left_alone() -> None:
    def infinite(draw: Draw) -> np.ndarray:
        array = separable(16, 4, 3, 3)(draw)
        array[3, 0, 1, 1] = np.inf
        return array

    graph = convolved(Conv.of(2, pads=1), infinite)(Draw(dyadic=True))
    assert not Pipeline([SplitDepthwiseSeparable()]).run(graph)[1].applications


def test_a_weight_without_filters_is_left_alone() -> None:
    graph = convolved(Conv.of(2, pads=1), lambda _: np.zeros((0, 4, 3, 3), np.float32))(Draw(dyadic=True))
    assert not Pipeline([SplitDepthwiseSeparable()]).run(graph)[1].applications
