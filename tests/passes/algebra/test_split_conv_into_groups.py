"""Tables for split-conv-into-groups."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from laws.draw import Draw
from laws.weighted import Weight, convolved

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Clip, Conv, Convolution, ConvTranspose, PRelu, Relu
from convgraph.passes import FOLDING, Pipeline, Repeat
from convgraph.passes.algebra.split_conv_into_groups import SplitConvIntoGroups

CONV = Conv.of(2, pads=1)


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


def mixed(weight: Weight, *, rows: bool = True, columns: bool = True, group: int = 1) -> Weight:
    """The weight with its rows, and the columns of each group alike, in a random order."""

    def build(draw: Draw) -> np.ndarray:
        array, rng = weight(draw), np.random.default_rng(7)
        if rows:
            parts = array.reshape(group, -1, *array.shape[1:])
            array = np.concatenate([part[rng.permutation(len(part))] for part in parts])
        return array[:, rng.permutation(array.shape[1])] if columns else array

    return build


def uneven(draw: Draw) -> np.ndarray:
    """Components of 3x4, 2x1, 1x2, two rows and three columns of zeros: they fit two groups of 4x5, mixed."""
    array = np.zeros((8, 10, 3, 2), np.float32)
    for begin, count, first, wide in ((0, 3, 0, 4), (3, 2, 4, 1), (5, 1, 5, 2)):
        rows, columns = slice(begin, begin + count), slice(first, first + wide)
        array[rows, columns] = draw.factor(count, wide, 3, 2)
    return np.asarray(array[::-1, ::-1].copy())


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


def with_slopes(weight: Weight, *, op: Convolution = CONV, slopes: int = 6) -> Callable[[Draw], Graph]:
    """A convolution with a PRelu of so many slopes fused into it, its bias supplied by the caller."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x, bias = b.input("x", shape=("N", 4, "H", "W")), b.input("bias", shape=(6,))
        array, slope = b.constant(weight(draw)), b.constant(draw.factor(slopes, 1, 1))
        b.output(b.add(replace(op, activation=PRelu()), x, array, bias, slope), name="y")
        return b.build()

    return build


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
    "rows and columns mixed": convolved(CONV, mixed(blocks(6, 4, 3, 2, count=2))),
    "rows mixed": convolved(CONV, mixed(blocks(8, 12, 3, 2, count=4), columns=False), bias=False),
    "columns mixed": convolved(CONV, mixed(blocks(8, 12, 1, 2, count=4), rows=False)),
    "mixed within groups": convolved(
        Conv.of(2, pads=1, group=2), mixed(blocks(12, 4, 3, 3, count=2, group=2), group=2)
    ),
    "mixed, some zero blocks": convolved(CONV, mixed(some_zero_blocks)),
    "components of many sizes": convolved(CONV, uneven),
    "mixed, 1-D": convolved(Conv.of(1, pads=1), mixed(blocks(6, 4, 3, count=2)), spatial=("L",)),
    "mixed, transposed": convolved(TRANSPOSED, mixed(blocks(6, 4, 3, 2, count=2))),
    "mixed, transposed, in groups": convolved(
        replace(TRANSPOSED, group=2), mixed(blocks(12, 4, 3, 3, count=2, group=2), group=2)
    ),
    "mixed, one slope": with_slopes(mixed(blocks(6, 4, 3, 3, count=2)), slopes=1),
    "a slope for each channel, in order": with_slopes(mixed(blocks(6, 4, 3, 3, count=2), rows=False)),
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
    "its_activation_knows_no_channels": [
        with_slopes(mixed(blocks(6, 4, 3, 3, count=2))),
        with_slopes(mixed(blocks(4, 6, 3, 3, count=2)), op=TRANSPOSED),
    ],
    "it_is_cheaper_on_the_target": [
        convolved(Conv.of(2), mixed(blocks(6, 4, 1, 1, count=2)), batch=0, spatial=(7, 5)),
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


def test_neighbours_take_over_the_orders() -> None:
    """Two dense convolutions around a grouped one whose channels are mixed: no order is left."""
    draw = Draw(dyadic=True)
    b = GraphBuilder("g", opset=17)
    y = b.add(Conv.of(2), b.input("x", shape=("N", 5, "H", "W")), draw.weight(12, 5, 1, 1), draw.weight(12))
    y = b.add(CONV, b.add(Relu(), y), mixed(blocks(12, 12, 3, 3, count=4))(draw), draw.weight(12))
    b.output(b.add(Conv.of(2), b.add(Relu(), y), draw.weight(7, 12, 1, 1)), name="y")
    result, _ = Pipeline([Repeat(*FOLDING, SplitConvIntoGroups())]).run(b.build())
    assert [result.op(node).label for node in result.compute_nodes()] == ["Conv", "Relu"] * 2 + ["Conv"]
    assert [op.group for n in result.compute_nodes() if isinstance(op := result.op(n), Conv)] == [1, 4, 1]
