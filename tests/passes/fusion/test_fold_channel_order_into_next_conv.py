"""Tables for fold-channel-order-into-next-conv."""

import numpy as np
import pytest
from laws.before import before_conv
from laws.draw import Draw
from laws.orders import (
    Step,
    also_returned,
    depthwise,
    gathered,
    halves_swapped,
    joined,
    shuffled,
    sliced,
    then,
    whole,
)

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    AveragePool,
    Cast,
    Clip,
    Conv,
    ConvTranspose,
    Elu,
    MaxPool,
    Relu,
)
from convgraph.ir.tensor import DataType
from convgraph.passes import Pipeline
from convgraph.passes.fusion.fold_channel_order_into_next_conv import FoldChannelOrderIntoNextConv

MIXED = gathered(2, 0, 3, 1)


def clipped(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """X between two numbers."""
    del draw
    return b.add(Clip(), x, -2.0, 3.0)


def as_weight(draw: Draw) -> Graph:
    """A convolution reads the ordered channels as its data and as its weight."""
    b = GraphBuilder("g", opset=17)
    y = MIXED(b, draw, b.input("x", shape=(6, 4, 3, 2)))
    b.output(b.add(Conv.of(2, pads=1), y, y), name="square")
    b.output(b.add(Conv.of(2, pads=1), y, draw.weight(6, 4, 3, 2)), name="y")
    return b.build()


def forked(draw: Draw) -> Graph:
    """Two ways through operations on each channel to three convolutions."""
    b = GraphBuilder("g", opset=17)
    y = MIXED(b, draw, b.input("x", shape=("N", 4, "H", "W")))
    left, right = b.add(Relu(), y), b.add(MaxPool.of((3, 2), pads=1), y)
    for value in (left, b.add(Elu(), left), right):
        b.output(b.add(Conv.of(2), value, draw.weight(6, 4, 3, 2), draw.weight(6)))
    return b.build()


EXAMPLES = {
    "gather": before_conv(MIXED, pads=1),
    "gather, negative numbers": before_conv(gathered(-2, 0, -1, 1), bias=False),
    "gather, axis from the end": before_conv(gathered(2, 0, 3, 1, axis=-3)),
    "reversed": before_conv(sliced(-1, -(2**63), -1), pads=(0, 1, 2, 0)),
    "halves swapped": before_conv(halves_swapped),
    "slices joined": before_conv(joined(sliced(2, 9), sliced(0, 2))),
    "odd after even": before_conv(joined(sliced(0, 9, 2), gathered(1, 3))),
    "shuffle": before_conv(shuffled(2, 2), spatial=(7, 5)),
    "shuffle on three axes": before_conv(shuffled(2, 1, 2, perm=(0, 3, 1, 2, 4, 5)), spatial=(7, 5)),
    "shuffle, open height": before_conv(shuffled(2, 2), spatial=("H", 5)),
    "shuffle, one axis of pixels": before_conv(shuffled(2, 2, perm=(0, 2, 1, 3), flat=True), spatial=(7, 5)),
    "a channel twice": before_conv(gathered(0, 1, 0, 0), inside=2),
    "joined with itself": before_conv(joined(whole, whole), inside=2),
    "groups": before_conv(gathered(1, 0, 3, 2), group=2),
    "1-D": before_conv(MIXED, rank=1, spatial=("L",)),
    "3-D": before_conv(MIXED, rank=3),
    "transposed": before_conv(gathered(1, 0, 3, 2), kinds=[ConvTranspose], group=2, pads=1),
    "transposed, a channel twice": before_conv(
        gathered(0, 0, 1, 1), inside=2, kinds=[ConvTranspose], group=2
    ),
    "two readers": before_conv(MIXED, kinds=[Conv, ConvTranspose]),
    "activation": before_conv(MIXED, activation=Relu(), bias=False),
    "bias from outside": before_conv(MIXED, computed="bias"),
    "half": before_conv(MIXED, dtype=np.float16),
    "double": before_conv(MIXED, dtype=np.float64),
    "through activations": before_conv(then(MIXED, Relu(), clipped, Elu())),
    "through pools": before_conv(
        then(MIXED, MaxPool.of((3, 2), pads=1), AveragePool.of((2, 2))), spatial=(9, 8)
    ),
    "through a cast": before_conv(then(MIXED, Cast(to=DataType.FLOAT)), dtype=np.float32),
    "a channel twice, through activations": before_conv(then(gathered(0, 1, 0, 0), Relu()), inside=2),
    "through a depthwise convolution": before_conv(
        then(shuffled(2, 2), Relu(), depthwise(Conv.of(2, pads=1, group=4), 4, 3, 2)), spatial=(7, 5)
    ),
    "through a depthwise transposed one": before_conv(
        then(MIXED, depthwise(ConvTranspose.of(2, strides=2, group=4), 4, 2, 3, bias=False))
    ),
    "forked": forked,
}

NEAR_MISSES = {
    "only_convolutions_read_it": [
        before_conv(MIXED, also_relu=True),
        before_conv(MIXED, returned=True),
        before_conv(then(MIXED, also_returned, Relu())),
        before_conv(then(MIXED, Relu(), also_returned, Elu())),
        as_weight,
    ],
    "the_weights_are_constant": [
        before_conv(MIXED, overridable="weight"),
        before_conv(MIXED, computed="weight"),
    ],
    "it_moves_channels_within_groups": [
        before_conv(MIXED, group=2),
        before_conv(shuffled(2, 2), group=2, spatial=(7, 5)),
        before_conv(gathered(0, 1, 1, 2), group=2, inside=3),
        before_conv(gathered(2, 3, 0, 1), group=2, kinds=[ConvTranspose]),
    ],
    "there_are_no_fewer_channels_than_before": [
        before_conv(sliced(1, 5), inside=5),
        before_conv(gathered(4, 0, 2, 1), inside=5),
    ],
}


@pytest.mark.parametrize(
    "step",
    [
        gathered(2, 0, 3, 1, axis=2),
        gathered(2, 0, 3, 1, indices="computed"),
        sliced(-1, -9, -1, axis=3),
        shuffled(2, 2, perm=(0, 2, 3, 1, 4)),
    ],
)
def test_what_is_no_order_of_channels_is_left(step: Step) -> None:
    graph = before_conv(step, spatial=(7, 5))(Draw(dyadic=True))
    _, trace = Pipeline([FoldChannelOrderIntoNextConv()]).run(graph)
    assert not trace.applications
    assert not trace.refusals
