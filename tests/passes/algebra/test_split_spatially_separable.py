"""Tables for split-spatially-separable."""

from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from laws.check import encoded
from laws.draw import Draw, feeds_for
from laws.weighted import Weight, convolved

from convgraph.exporters.onnx_model import to_onnx
from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Clip, Conv
from convgraph.numerics.evaluate import evaluate
from convgraph.passes import Pipeline
from convgraph.passes.algebra.split_spatially_separable import SplitSpatiallySeparable

# Singular vectors are not dyadic. Of the weight, whose elements are rounded anew (two factors, one
# intermediate value), at most 4 roundings are left out: 2^-20 is 16 roundings of float32.
BOUND = 2.0**-20


def separable(*shape: int, rank: int = 1, group: int = 1) -> Weight:
    """Σᵣ V[r, i, y, …] · H[o, r, x] of output channels, a group's input channels, and kernel."""

    def weight(draw: Draw) -> np.ndarray:
        outside, inside, *kernel = shape
        first = draw.factor(group, rank, inside, *kernel[:-1], dtype=np.float64)
        last = draw.factor(group, outside // group, rank, kernel[-1], dtype=np.float64)
        return np.einsum("gri...,gorx->goi...x", first, last).reshape(shape)

    return weight


def blur(channels: int) -> Weight:
    """The binomial kernel 1 4 6 4 1 in both directions, on each channel."""
    row = np.asarray([1, 4, 6, 4, 1]) / 16
    return lambda _: np.broadcast_to(np.outer(row, row), (channels, 1, 5, 5))


def sobel(_: Draw) -> np.ndarray:
    """Both gradients of three channels: each separable, the pair not by one filter."""
    slope = np.outer([1, 2, 1], [-1, 0, 1])
    return np.stack([slope, slope.T] * 3)[:, None]


def gradients_of_a_sum(_: Draw) -> np.ndarray:
    """Three differences along x of smoothings along y, of five channels."""
    kernel = np.outer([1, 4, 6, 4, 1], [-1, -2, 0, 2, 1])
    return np.broadcast_to(kernel, (4, 5, 5, 5)) * np.arange(1, 5).reshape(4, 1, 1, 1)


def activated(draw: Draw) -> Graph:
    """A convolution that has a Clip fused into it."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", 4, "H", "W"))
    op = replace(Conv.of(2, pads=1), activation=Clip())
    low, high = (b.constant(np.asarray(number, np.float32)) for number in (-2, 6))
    weight, bias = b.constant(separable(6, 4, 3, 3)(draw).astype(np.float32)), b.constant(draw.weight(6))
    b.output(b.add(op, x, weight, bias, low, high), name="y")
    return b.build()


EXAMPLES = {
    "one filter": convolved(Conv.of(2, pads=1), separable(6, 4, 3, 3)),
    "three filters": convolved(Conv.of(2, pads=2), separable(6, 4, 5, 5, rank=3)),
    "oblong kernel, no bias": convolved(Conv.of(2, pads=(2, 1, 1, 0)), separable(6, 4, 5, 3), bias=False),
    "dilations, odd pads": convolved(
        Conv.of(2, dilations=(1, 2), pads=(1, 2, 0, 3)), separable(6, 4, 3, 3), spatial=(7, 6)
    ),
    "strides": convolved(Conv.of(2, strides=(3, 2), pads=(2, 1, 0, 3)), separable(6, 4, 5, 3)),
    "blur": convolved(Conv.of(2, pads=2, group=3), blur(3), bias=False),
    "blur, strided": convolved(Conv.of(2, pads=(2, 2, 1, 3), strides=2, group=3), blur(3)),
    "smoothed gradients": convolved(Conv.of(2, pads=2), gradients_of_a_sum),
    "groups": convolved(Conv.of(2, pads=1, group=2), separable(6, 2, 3, 3, group=2)),
    "depthwise multiplier": convolved(Conv.of(2, pads=2, group=3), separable(6, 1, 5, 5, group=3)),
    "SAME": convolved(
        replace(Conv.of(2, strides=(2, 1)), auto_pad="SAME_UPPER"), separable(6, 4, 3, 3), spatial=(8, 6)
    ),
    "SAME along one axis whose size is open": convolved(
        replace(Conv.of(2, strides=(1, 2)), auto_pad="SAME_LOWER"), separable(6, 4, 3, 3)
    ),
    "3-D, the last axis": convolved(Conv.of(3, pads=1), separable(6, 4, 2, 3, 3)),
    "3-D, every axis": convolved(
        Conv.of(3, pads=1, group=3), lambda _: np.broadcast_to(np.ones((3, 3, 3)) / 27, (3, 1, 3, 3, 3))
    ),
    "nothing but zeros": convolved(Conv.of(2, pads=1), lambda _: np.zeros((6, 4, 3, 3), np.float32)),
    "fused activation": activated,
    "double": convolved(Conv.of(2, pads=1), separable(6, 4, 3, 3), dtype=np.float64),
}

NEAR_MISSES = {
    "the_weight_is_constant": [
        convolved(Conv.of(2, pads=1), separable(6, 4, 3, 3), given="overridable"),
    ],
    "it_is_cheaper_on_the_target": [
        # The first filter runs on every column, the whole only on every third.
        convolved(Conv.of(2, pads=2, strides=(1, 3)), separable(6, 6, 5, 5, rank=9), spatial=(12, 12)),
        convolved(
            Conv.of(2, pads=1, strides=(1, 4), group=3), separable(3, 1, 3, 3, group=3), spatial=(9, 16)
        ),
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
        graph = convolved(Conv.of(2, pads=1), separable(9, 7, 3, 5, rank=2), dtype=dtype)(draw)
        result, trace = Pipeline([SplitSpatiallySeparable()]).run(graph)
        assert len(trace.applications) == 1
        unit = float(ml_dtypes.finfo(dtype).eps) / 2
        for feeds in feeds_for(graph, dyadic=False):
            expected, found = (evaluate(g, feeds)["y"].astype(np.float64) for g in (graph, result))
            assert np.abs(found - expected).max() <= roundings * unit * np.abs(expected).max()


def test_two_gradients_of_a_channel_need_two_filters_which_do_not_pay() -> None:
    graph = convolved(Conv.of(2, pads=1, group=3), sobel)(Draw(dyadic=True))
    assert not Pipeline([SplitSpatiallySeparable()]).run(graph)[1].applications


def test_a_box_is_split_along_every_axis() -> None:
    graph = EXAMPLES["3-D, every axis"](Draw(dyadic=True))
    result, _ = Pipeline([SplitSpatiallySeparable()]).run(graph)
    weights = [result.operand(n, 1) for n in result.compute_nodes() if isinstance(result.op(n), Conv)]
    assert [result.type(w).shape for w in weights if w is not None] == [
        (3, 1, 3, 1, 1),
        (3, 1, 1, 3, 1),
        (3, 1, 1, 1, 3),
    ]


def test_pads_are_numbers_where_sizes_tell_them() -> None:
    op = replace(Conv.of(2, strides=(1, 2)), auto_pad="SAME_LOWER")
    graph = convolved(op, separable(6, 4, 3, 3))(Draw(dyadic=True))
    result, _ = Pipeline([SplitSpatiallySeparable()]).run(graph)
    assert encoded(from_onnx(to_onnx(result))) == encoded(result)


@pytest.mark.parametrize("size", [1e-5, 1e-7, 1e-9])
def test_a_small_channel_is_not_lost_beside_large_ones(size: float) -> None:
    def one_small(draw: Draw) -> np.ndarray:
        array = separable(9, 7, 3, 5, rank=2)(draw)
        array[3] = size * draw.factor(*array.shape[1:], dtype=np.float64)
        return array

    graph = convolved(Conv.of(2, pads=1), one_small, bias=False, spatial=(7, 6))(Draw(dyadic=False))
    result, trace = Pipeline([SplitSpatiallySeparable()]).run(graph)
    assert trace.applications
    for feeds in feeds_for(graph, dyadic=False):
        expected, found = (evaluate(g, feeds)["y"][:, 3] for g in (graph, result))
        assert np.abs(found - expected).max() <= BOUND * np.abs(expected).max()


def test_what_is_nearly_separable_is_left_alone() -> None:
    def nearly(draw: Draw) -> np.ndarray:
        array = separable(6, 4, 3, 3)(draw)
        return array + 1e-5 * np.abs(array).max() * draw.rng.normal(size=array.shape)

    graph = convolved(Conv.of(2, pads=1), nearly)(Draw(dyadic=False))
    assert not Pipeline([SplitSpatiallySeparable()]).run(graph)[1].applications


def test_a_weight_that_is_not_finite_is_left_alone() -> None:
    def infinite(draw: Draw) -> np.ndarray:
        array = separable(6, 4, 3, 3)(draw)
        array[3, 0, 1, 1] = np.inf
        return array

    graph = convolved(Conv.of(2, pads=1), infinite)(Draw(dyadic=True))
    assert not Pipeline([SplitSpatiallySeparable()]).run(graph)[1].applications
