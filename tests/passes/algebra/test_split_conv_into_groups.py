"""Tables for split-conv-into-groups."""

from dataclasses import replace

import numpy as np
import pytest
from laws.draw import Draw
from laws.weighted import Weight, convolved

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Clip, Conv, Convolution, ConvTranspose
from convgraph.passes import Pipeline
from convgraph.passes.algebra.split_conv_into_groups import SplitConvIntoGroups


def blocks(*shape: int, count: int, group: int = 1) -> Weight:
    """``count`` dense blocks on the diagonal of each group's part of a weight."""

    def weight(draw: Draw) -> np.ndarray:
        dense = draw.factor(*shape)
        (rows, columns), parts = (shape[0] // group, shape[1]), np.zeros(shape, np.float32)
        high, wide = rows // count, columns // count
        for row in range(shape[0]):
            begin = row % rows // high * wide
            parts[row, begin : begin + wide] = dense[row, begin : begin + wide]
        return parts

    return weight


def bilinear(channels: int, factor: int) -> Weight:
    """The dense weight of a channel by channel upsampling, as fully convolutional networks initialise it."""
    centre = factor - (1 if factor % 2 else 0.5)
    row = 1 - np.abs(np.arange(2 * factor) - centre) / factor

    def weight(_: Draw) -> np.ndarray:
        return np.eye(channels)[:, :, None, None] * np.outer(row, row)

    return weight


def some_zero_blocks(draw: Draw) -> np.ndarray:
    """Of four blocks one is zero, and so is a tap of another."""
    array = blocks(8, 4, 3, 2, count=4)(draw)
    array[2:4] = 0
    array[6, :, 1, 1] = 0
    return array


def activated(draw: Draw) -> Graph:
    """A convolution without a bias that has a Clip fused into it."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", 4, "H", "W"))
    op = replace(Conv.of(2, pads=1), activation=Clip())
    low, high = (b.constant(np.asarray(number, np.float32)) for number in (-2, 6))
    b.output(b.add(op, x, b.constant(blocks(6, 4, 3, 3, count=2)(draw)), None, low, high), name="y")
    return b.build()


TRANSPOSED = ConvTranspose.of(2, strides=2, pads=1)

EXAMPLES = {
    "two groups": convolved(Conv.of(2, pads=1), blocks(6, 4, 3, 2, count=2)),
    "every channel on its own": convolved(Conv.of(2, pads=1), blocks(8, 4, 3, 3, count=4), bias=False),
    "pointwise": convolved(Conv.of(2), blocks(6, 9, 1, 1, count=3)),
    "groups of groups": convolved(Conv.of(2, pads=1, group=2), blocks(12, 4, 3, 3, count=2, group=2)),
    "strides, dilations, odd pads": convolved(
        Conv.of(2, strides=(2, 1), dilations=(1, 2), pads=(1, 2, 0, 3)), blocks(6, 4, 3, 3, count=2)
    ),
    "SAME": convolved(replace(Conv.of(2, strides=2), auto_pad="SAME_UPPER"), blocks(6, 4, 3, 3, count=2)),
    "1-D": convolved(Conv.of(1, pads=1), blocks(6, 4, 3, count=2), spatial=("L",)),
    "3-D": convolved(Conv.of(3, pads=1), blocks(6, 4, 3, 2, 2, count=2)),
    "some zero blocks": convolved(Conv.of(2, pads=1), some_zero_blocks),
    "nothing but zeros": convolved(Conv.of(2, pads=1), lambda _: np.zeros((6, 4, 3, 3), np.float32)),
    "fused activation": activated,
    "double": convolved(Conv.of(2, pads=1), blocks(6, 4, 3, 3, count=2), dtype=np.float64),
    "half": convolved(Conv.of(2, pads=1), blocks(6, 4, 3, 3, count=2), dtype=np.float16),
    "transposed": convolved(TRANSPOSED, blocks(6, 4, 3, 2, count=2)),
    "transposed groups of groups": convolved(
        replace(TRANSPOSED, group=2), blocks(12, 4, 3, 3, count=2, group=2)
    ),
    "bilinear upsampling": convolved(TRANSPOSED, bilinear(3, 2), bias=False),
    "transposed to a size": convolved(
        replace(TRANSPOSED, output_shape=(14, 11)), blocks(6, 4, 3, 2, count=2), spatial=(7, 6)
    ),
}

NEAR_MISSES = {
    "the_weight_is_constant": [
        convolved(Conv.of(2, pads=1), blocks(6, 4, 3, 2, count=2), given="overridable"),
        convolved(TRANSPOSED, blocks(6, 4, 3, 2, count=2), given="overridable"),
    ],
}


@pytest.mark.parametrize("op", [Conv.of(2, pads=1), TRANSPOSED])
def test_one_number_off_the_diagonal_keeps_it_whole(op: Convolution) -> None:
    def nearly(draw: Draw) -> np.ndarray:
        array = blocks(6, 4, 3, 3, count=2)(draw)
        array[5, 0, 1, 2] = 1e-30
        return array

    assert not Pipeline([SplitConvIntoGroups()]).run(convolved(op, nearly)(Draw(dyadic=True)))[1].applications


def test_the_finest_blocks_are_found() -> None:
    graph = convolved(Conv.of(2, pads=1), blocks(12, 12, 3, 3, count=6))(Draw(dyadic=True))
    result, trace = Pipeline([SplitConvIntoGroups()]).run(graph)
    assert len(trace.applications) == 1
    (op,) = (op for n in result.compute_nodes() if isinstance(op := result.op(n), Conv))
    assert op.group == 6
