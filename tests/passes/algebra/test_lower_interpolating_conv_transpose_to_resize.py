"""Tables for lower-interpolating-conv-transpose-to-resize."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from laws.check import means_the_same, rewrites_and_stays_well_formed
from laws.draw import Draw
from laws.meaning import in_onnxruntime
from laws.weighted import Weight, convolved

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import ConvTranspose, LeakyRelu, Mul, Pad, PRelu, Resize
from convgraph.numerics.evaluate import evaluate
from convgraph.passes import Pipeline
from convgraph.passes.algebra.lower_interpolating_conv_transpose_to_resize import (
    LowerInterpolatingConvTransposeToResize,
)


def filtered(strides: Sequence[int]) -> np.ndarray:
    """The filter with which fully convolutional networks initialise an upsampling."""
    kernel = np.ones(())
    for stride in strides:
        size = 2 * stride - stride % 2
        centre = stride - 1 if size % 2 else stride - 0.5
        kernel = np.multiply.outer(kernel, 1 - np.abs(np.arange(size) - centre) / stride)
    return kernel


def depthwise(*strides: int, channels: int = 4, scaled: bool = False) -> Weight:
    def weight(draw: Draw) -> np.ndarray:
        factor = draw.factor(channels) if scaled else np.ones(channels)
        return np.multiply.outer(factor, filtered(strides))[:, None]

    return weight


def diagonal(*strides: int, channels: int = 4, group: int = 1, scaled: bool = False) -> Weight:
    def weight(draw: Draw) -> np.ndarray:
        own = depthwise(*strides, channels=channels, scaled=scaled)(draw)
        dense = np.zeros((channels, channels // group, *own.shape[2:]))
        dense[np.arange(channels), np.arange(channels) % (channels // group)] = own[:, 0]
        return dense

    return weight


def changed(weight: Weight, *place: int, by: float = 0.25) -> Weight:
    """The weight with one number off."""

    def build(draw: Draw) -> np.ndarray:
        array = weight(draw)
        array[place] += by
        return array

    return build


def up(
    *strides: int, group: int = 1, pads: int | Sequence[int] | None = None, **more: object
) -> ConvTranspose:
    """By default padded as fully convolutional networks do."""
    own = [stride // 2 for stride in strides]
    op = ConvTranspose.of(
        len(strides), strides=strides, pads=(*own, *own) if pads is None else pads, group=group
    )
    return replace(op, **more)


def sloped(draw: Draw) -> Graph:
    """One without a bias that has a slope for each channel fused into it."""
    b = GraphBuilder("g", opset=17)
    op = up(2, 4, group=3, activation=PRelu())
    slope = b.constant(draw.factor(3, 1, 1), name="slope")
    weight = b.constant(depthwise(2, 4, channels=3)(draw).astype(np.float32))
    b.output(b.add(op, b.input("x", shape=("N", 3, "H", "W")), weight, None, slope), name="y")
    return b.build()


def of_nothing(draw: Draw) -> Graph:
    """A batch that is known to be empty, of one channel."""
    b = GraphBuilder("g", opset=17)
    x, weight = b.input("x", shape=(0, 1, 7, 6)), depthwise(2, 2, channels=1)(draw).astype(np.float32)
    b.output(b.add(up(2, 2), x, weight), name="y")
    return b.build()


EXAMPLES = {
    "depthwise": convolved(up(2, 2, group=4), depthwise(2, 2)),
    "no bias": convolved(up(2, 2, group=4), depthwise(2, 2), bias=False),
    "dense": convolved(up(4, 4), diagonal(4, 4), bias=False),
    "groups": convolved(up(2, 2, group=2), diagonal(2, 2, group=2)),
    "scaled": convolved(up(2, 2, group=4), depthwise(2, 2, scaled=True)),
    "scaled, dense": convolved(up(2, 2), diagonal(2, 2, scaled=True), spatial=(7, 5)),
    "unequal": convolved(up(4, 2, group=4), depthwise(4, 2)),
    "one axis": convolved(up(1, 4, group=4), depthwise(1, 4), spatial=(7, "W")),
    "no pads": convolved(up(2, 4, group=4, pads=0), depthwise(2, 4)),
    "more pads": convolved(up(2, 4, group=4, pads=(1, 3, 2, 4)), depthwise(2, 4)),
    "nothing near the edge": convolved(up(2, 4, group=4, pads=(2, 4, 3, 5)), depthwise(2, 4)),
    "output padding": convolved(
        up(2, 4, group=4, pads=(0, 1, 0, 2), output_padding=(1, 3)), depthwise(2, 4), spatial=(7, 5)
    ),
    "much output padding": convolved(
        up(4, 8, group=4, pads=0, output_padding=(3, 7)), depthwise(4, 8), spatial=(3, 2)
    ),
    "SAME": convolved(up(2, 4, group=4, auto_pad="SAME_UPPER"), depthwise(2, 4)),
    "a single pixel": convolved(up(4, 2, group=4), depthwise(4, 2), spatial=(1, 1)),
    "1-D": convolved(up(4, group=4), depthwise(4), spatial=("L",)),
    "3-D": convolved(up(2, 1, 4, group=4), depthwise(2, 1, 4)),
    "fused activation": convolved(
        up(2, 2, group=4, activation=LeakyRelu(alpha=0.25)), depthwise(2, 2, scaled=True)
    ),
    "fused slopes": sloped,
    "half": convolved(up(2, 2, group=4), depthwise(2, 2, scaled=True), dtype=np.float16),
    "double": convolved(up(2, 2, group=4), depthwise(2, 2, scaled=True), dtype=np.float64),
}

NEAR_MISSES: dict[str, list[Callable[[Draw], Graph]]] = {
    "the_weights_are_constant": [
        convolved(up(2, 2, group=4), depthwise(2, 2), given="overridable"),
    ],
    "the_pads_are_known": [
        convolved(up(2, 2, group=4, output_shape=(14, 10)), depthwise(2, 2)),
    ],
    "it_is_cheaper_on_the_target": [of_nothing],
}


@pytest.mark.parametrize("seed", range(5))
def test_any_padding_is_bit_for_bit_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for number in range(20):
        rank = int(rng.integers(1, 4))
        strides = (2, *(2 ** int(power) for power in rng.integers(0, 3, rank - 1)))
        extra = tuple(int(rng.integers(0, stride)) for stride in strides)
        pads = [int(rng.integers(0, 2 * stride + 2)) for stride in 2 * strides]
        size = [3 + (begin + end) // s for begin, end, s in zip(pads, pads[rank:], strides, strict=False)]
        dense = bool(number % 2)
        op = up(*strides, pads=pads, output_padding=extra, group=1 if dense else 4)
        weight = (diagonal if dense else depthwise)(*strides, scaled=True)
        graph = convolved(op, weight, spatial=size)(Draw(dyadic=True, seed=seed))
        result, trace = Pipeline([LowerInterpolatingConvTransposeToResize()]).run(graph)
        assert len(trace.applications) == 1
        feeds = {"x": Draw(dyadic=True, seed=number).weight(2, 4, *size)}
        for run in (evaluate, in_onnxruntime):
            np.testing.assert_array_equal(run(result, feeds)["y"], run(graph, feeds)["y"], str(op))


@pytest.mark.parametrize("strides", [(3, 3), (5, 2), (3,), (6, 1)])
def test_weights_that_are_rounded_are_recognised(strides: tuple[int, ...]) -> None:
    op = up(*strides, group=4)
    for weight in (depthwise(*strides), depthwise(*strides, scaled=True)):
        graph = convolved(op, weight, spatial=(7, 5)[: len(strides)])(Draw(dyadic=False))
        rewrites_and_stays_well_formed(LowerInterpolatingConvTransposeToResize(), graph)
        means_the_same(LowerInterpolatingConvTransposeToResize(), graph, dyadic=False)


@pytest.mark.parametrize(
    ("op", "weight"),
    [
        (up(2, 2, group=4), changed(depthwise(2, 2), 0, 0, 0, 1)),
        (up(2, 2, group=4), changed(depthwise(2, 2), 3, 0, 2, 2, by=1e-5)),
        (up(2, 2), changed(diagonal(2, 2), 1, 0, 2, 2)),
        (up(3, 2, group=4), depthwise(2, 2)),
        (replace(up(2, 2, group=4), dilations=(2, 1)), depthwise(2, 2)),
        (up(2, 2, group=4), lambda draw: np.repeat(depthwise(2, 2)(draw), 2, axis=1)),
    ],
)
def test_other_kernels_are_left_alone(op: ConvTranspose, weight: Weight) -> None:
    graph = convolved(op, weight)(Draw(dyadic=True))
    _, trace = Pipeline([LowerInterpolatingConvTransposeToResize()]).run(graph)
    assert not trace.applications
    assert not trace.refusals


def test_zeros_and_factors_are_added_only_where_they_are_needed() -> None:
    inner = convolved(up(2, 4, group=4, pads=(2, 4, 3, 5)), depthwise(2, 4), bias=False)(Draw(dyadic=True))
    result, _ = Pipeline([LowerInterpolatingConvTransposeToResize()]).run(inner)
    kinds = [type(result.op(node)) for node in result.compute_nodes()]
    assert Resize in kinds
    assert Pad not in kinds
    assert Mul not in kinds
