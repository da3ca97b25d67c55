"""Tables for split-conv-transpose-into-resize-and-conv."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from laws.draw import Draw
from laws.transposes import random_setting
from laws.weighted import Weight, convolved

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Clip, ConvTranspose
from convgraph.ir.tensor import Array
from convgraph.numerics.evaluate import evaluate
from convgraph.passes import Pipeline
from convgraph.passes.lowering.split_conv_transpose_into_resize_and_conv import (
    SplitConvTransposeIntoResizeAndConv,
)


def boxed(kernel: Array, strides: Sequence[int]) -> Array:
    """box ∗ kernel on every spatial axis, by its definition."""
    for axis, stride in enumerate(strides):
        shifted = [
            np.pad(kernel, [(n, stride - 1 - n) if a == axis + 2 else (0, 0) for a in range(kernel.ndim)])
            for n in range(stride)
        ]
        kernel = np.sum(shifted, axis=0)
    return kernel


def box_times(*shape: int, strides: Sequence[int]) -> Weight:
    """A weight that the box divides."""
    return lambda draw: boxed(draw.weight(*shape).astype(np.float64), strides)


def drawn(*shape: int) -> Weight:
    """Any weight of a shape, the last tap not zero."""

    def weight(draw: Draw) -> Array:
        array = draw.weight(*shape)
        array[(0, 0, *[-1] * (len(shape) - 2))] = 5
        return array

    return weight


def nearly_boxed(kernel: Array, strides: Sequence[int]) -> Array:
    """box ∗ kernel and a little more on one line; taken away again on another where there is one.

    The phases then have equal sums, all lines together, but not on every line.
    """
    weight = boxed(kernel, strides)
    weight[(0, 0, *[0] * len(strides))] += 1
    if len(strides) > 1:
        weight[(0, 0, *[0] * (len(strides) - 1), strides[-1])] -= 1
    return weight


def chequered(draw: Draw) -> Array:
    """A 4×4 kernel of equal phase sums whose lines do not agree."""
    weight = boxed(draw.weight(4, 6, 3, 3).astype(np.float64), (2, 2))
    weight[1, 2, 0, 0] += 3
    weight[1, 2, 2, 0] -= 3
    return weight


def transpose(rank: int, *, output_padding: tuple[int, ...] = (), **options: object) -> ConvTranspose:
    return replace(ConvTranspose.of(rank, **options), output_padding=output_padding)  # type: ignore[arg-type]


def activated(draw: Draw) -> Graph:
    """A transposed convolution without a bias that has a Clip fused into it."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", 4, "H", "W"))
    op = replace(ConvTranspose.of(2, strides=2, pads=1), activation=Clip())
    limits = [b.constant(np.asarray(number, np.float32)) for number in (-2, 6)]
    weight = box_times(4, 3, 3, 2, strides=(2, 2))(draw).astype(np.float32)
    b.output(b.add(op, x, b.constant(weight, name="weight"), None, *limits), name="y")
    return b.build()


def old_opset(draw: Draw) -> Graph:
    """From when Resize was called Upsample."""
    b = GraphBuilder("g", opset=9)
    x = b.input("x", shape=("N", 4, "H", "W"))
    weight = box_times(4, 3, 3, 2, strides=(2, 3))(draw).astype(np.float32)
    b.output(b.add(ConvTranspose.of(2, strides=(2, 3), pads=1), x, weight), name="y")
    return b.build()


def plain(op: ConvTranspose, *shape: int, **options: object) -> Callable[[Draw], Graph]:
    return convolved(op, box_times(*shape, strides=op.strides), **options)  # type: ignore[arg-type]


EXAMPLES = {
    "2-D": plain(transpose(2, strides=2, pads=1), 4, 6, 3, 3),
    "oblong static": plain(transpose(2, strides=2, pads=(1, 0, 2, 1)), 4, 6, 3, 2, spatial=(7, 6)),
    "kernel is the stride": plain(transpose(2, strides=3), 4, 6, 1, 1, bias=False),
    "unequal strides": plain(transpose(2, strides=(3, 2), pads=1), 4, 6, 2, 3),
    "one axis grows": plain(transpose(2, strides=(1, 2), pads=1), 4, 6, 2, 3),
    "output padding": plain(transpose(2, strides=2, pads=1, output_padding=(1, 0)), 4, 6, 2, 2),
    "padding beyond the quotient": plain(transpose(2, strides=2, pads=(3, 0, 1, 2)), 4, 6, 2, 2),
    "groups": plain(transpose(2, strides=2, pads=1, group=2), 4, 3, 3, 2),
    "depthwise": plain(transpose(2, strides=2, pads=1, group=4), 4, 1, 3, 3),
    "1-D": plain(transpose(1, strides=3, pads=1), 4, 6, 3, spatial=("L",)),
    "3-D": plain(transpose(3, strides=2, pads=1), 4, 6, 2, 1, 2),
    "dilation": convolved(
        transpose(2, strides=(2, 1), dilations=(3, 2)),
        lambda draw: boxed(draw.weight(4, 6, 2, 2).astype(np.float64), (2, 1)),
    ),
    "SAME": plain(replace(transpose(2, strides=2), auto_pad="SAME_UPPER"), 4, 6, 2, 3),
    "output shape": plain(
        replace(transpose(2, strides=2), output_shape=(13, 12)), 4, 6, 2, 3, spatial=(7, 6)
    ),
    "zeros": convolved(transpose(2, strides=2), lambda _: np.zeros((4, 6, 2, 2), np.float32)),
    "Clip": activated,
    "Upsample": old_opset,
    "double": plain(transpose(2, strides=2, pads=1), 4, 6, 3, 3, dtype=np.float64),
    "half": plain(transpose(2, strides=2, pads=1), 4, 6, 3, 3, dtype=np.float16),
}


def vast(draw: Draw) -> Array:
    """A kernel that the box divides, though the quotient is beyond float16."""
    del draw
    return np.tile([60000.0, -60000.0, -60000.0, 60000.0], (4, 6, 1))


NEAR_MISSES = {
    "the_weights_are_constant": [
        plain(transpose(2, strides=2), 4, 6, 3, 3, given="overridable"),
        plain(transpose(2, strides=2), 4, 6, 3, 3, given="computed"),
    ],
    "the_pads_are_known": [
        plain(replace(transpose(2, strides=2), output_shape=(13, 12)), 4, 6, 2, 3),
    ],
    "the_box_divides_the_kernel": [
        convolved(transpose(2, strides=2, pads=1), drawn(4, 6, 4, 4)),
        convolved(transpose(2, strides=2, pads=1), chequered),
        convolved(transpose(2, strides=3), drawn(4, 6, 2, 4)),
        convolved(transpose(2, strides=2, dilations=2), drawn(4, 6, 2, 2)),
        convolved(transpose(1, strides=2), vast, spatial=("L",), dtype=np.float16),
    ],
}


def divisible(rng: np.random.Generator, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    return boxed(rng.integers(-3, 4, shape), strides)


def nearly_divisible(rng: np.random.Generator, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    return nearly_boxed(rng.integers(-3, 4, (*shape[:2], *(size + 1 for size in shape[2:]))), strides)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_applied_where_the_box_divides_and_nowhere_else(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(50):
        setting = random_setting(rng, weight=divisible, dilate=False)
        graph = setting.graph()
        result, trace = Pipeline([SplitConvTransposeIntoResizeAndConv()]).run(graph)
        assert len(trace.applications) == 1
        np.testing.assert_array_equal(
            evaluate(result, setting.feed())["y"], evaluate(graph, setting.feed())["y"], str(setting.op)
        )
        near = random_setting(rng, weight=nearly_divisible, dilate=False).graph()
        _, trace = Pipeline([SplitConvTransposeIntoResizeAndConv()]).run(near)
        assert not trace.applications
        assert [refusal.requirement for refusal in trace.refusals] == ["the_box_divides_the_kernel"]


def test_equal_sums_of_the_phases_are_not_enough() -> None:
    weight = nearly_boxed(np.ones((1, 1, 3, 3)), (2, 2))[0, 0]
    assert len({float(weight[a::2, b::2].sum()) for a in (0, 1) for b in (0, 1)}) == 1


def test_rounding_the_weights_to_their_type_leaves_them_divisible() -> None:
    rng = np.random.default_rng(3)

    def real(_: np.random.Generator, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
        return boxed(rng.normal(size=shape), strides)

    for _ in range(50):
        _, trace = Pipeline([SplitConvTransposeIntoResizeAndConv()]).run(
            random_setting(rng, weight=real, dilate=False).graph()
        )
        assert len(trace.applications) == 1
