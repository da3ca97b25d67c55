"""Tables for fold-channel-order-into-conv."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from laws.draw import Draw
from laws.nets import after_conv
from laws.orders import (
    also_returned,
    depthwise,
    gathered,
    halves_swapped,
    joined,
    shuffled,
    sliced,
    then,
)

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    AveragePool,
    Conv,
    ConvTranspose,
    Elu,
    Gather,
    GlobalAveragePool,
    PRelu,
    Relu,
    Reshape,
    Tanh,
    Transpose,
)
from convgraph.ir.tensor import Dim
from convgraph.passes import Pipeline
from convgraph.passes.fusion.channel_order import agree
from convgraph.passes.fusion.fold_channel_order_into_conv import FoldChannelOrderIntoConv

MIXED = gathered(2, 5, 0, 3, 1, 4)


def pieces_read(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """The channels in two pieces and joined again the other way, one of the pieces read by a Relu too."""
    first, second = sliced(0, 2)(b, draw, x), sliced(2, 6)(b, draw, x)
    b.output(b.add(Relu(), first), name="piece")
    return joined(lambda *_: second, lambda *_: first)(b, draw, x)


def activated(*, slopes: int, group: int = 1) -> Callable[[Draw], Graph]:
    """A convolution with a PRelu of so many slopes fused into it."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        op = replace(Conv.of(2, group=group), activation=PRelu())
        operands = (draw.weight(6, 4 // group, 3, 2), draw.weight(6), draw.factor(slopes, 1, 1))
        y = b.add(op, b.input("x", shape=("N", 4, "H", "W")), *operands)
        b.output(gathered(1, 0, 2, 3, 5, 4)(b, draw, y), name="y")
        return b.build()

    return build


def sloped(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A convolution of each channel alone, with an activation of its own for each, and another order."""
    op = replace(Conv.of(2, group=6), activation=PRelu())
    y = b.add(op, x, draw.weight(6, 1, 1, 1), draw.weight(6), draw.factor(6, 1, 1))
    return MIXED(b, draw, y)


def after_relu(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """The channels of a Relu in another order; the Relu is read besides."""
    y = b.add(Relu(), x)
    b.output(b.add(Tanh(), y), name="other")
    return MIXED(b, draw, y)


EXAMPLES = {
    "gather": after_conv(MIXED),
    "some of the channels": after_conv(gathered(4, 1), bias=False),
    "a channel twice, another not": after_conv(gathered(0, 0, 1, 5)),
    "the last channels": after_conv(sliced(2, 2**63 - 1)),
    "every second channel": after_conv(sliced(1, 6, 2)),
    "halves swapped": after_conv(halves_swapped),
    "slices joined": after_conv(joined(sliced(2, 9), sliced(0, 2))),
    "shuffle": after_conv(shuffled(3, 2), spatial=(7, 5)),
    "shuffle, one axis of pixels": after_conv(shuffled(2, 3, perm=(0, 2, 1, 3), flat=True), spatial=(7, 6)),
    "groups": after_conv(gathered(2, 0, 1, 3, 5, 4), group=2),
    "fewer in each group": after_conv(gathered(2, 0, 4, 3), group=2),
    "1-D": after_conv(MIXED, rank=1, spatial=("L",)),
    "3-D": after_conv(MIXED, rank=3),
    "transposed": after_conv(MIXED, kind=ConvTranspose),
    "transposed, groups": after_conv(gathered(2, 0, 4, 3), kind=ConvTranspose, group=2),
    "fused activation": after_conv(MIXED, activation=Elu()),
    "one slope": activated(slopes=1),
    "half": after_conv(MIXED, dtype=np.float16),
    "double": after_conv(MIXED, dtype=np.float64),
    "through activations": after_conv(then(Relu(), Tanh(), MIXED)),
    "through pools": after_conv(then(AveragePool.of((2, 3), pads=1), Relu(), GlobalAveragePool(), MIXED)),
    "through a depthwise convolution": after_conv(
        then(Relu(), depthwise(Conv.of(2, pads=1, group=6), 6, 3, 2), MIXED)
    ),
    "through a depthwise convolution, some of the channels": after_conv(
        then(
            depthwise(ConvTranspose.of(2, strides=2, group=6), 6, 2, 3, bias=False), Elu(), gathered(5, 2, 1)
        )
    ),
}

NEAR_MISSES = {
    "nothing_else_reads_the_channels": [
        after_conv(MIXED, returned=True),
        after_conv(after_relu),
        after_conv(then(Relu(), also_returned, MIXED)),
        after_conv(pieces_read),
    ],
    "the_parameters_are_constant": [
        after_conv(MIXED, overridable="weight"),
        after_conv(MIXED, computed="weight"),
        after_conv(MIXED, overridable="bias"),
        after_conv(MIXED, computed="bias"),
    ],
    "its_activation_knows_no_channels": [
        activated(slopes=6),
        activated(slopes=6, group=2),
        after_conv(sloped),
    ],
    "it_moves_channels_within_groups": [
        after_conv(MIXED, group=2),
        after_conv(gathered(0, 1, 2), group=2),
        after_conv(MIXED, group=2, kind=ConvTranspose),
    ],
    "there_are_no_more_channels_than_before": [
        after_conv(gathered(0, 1, 2, 3, 4, 5, 0)),
        after_conv(gathered(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5)),
    ],
}


@pytest.mark.parametrize(
    ("sizes", "agreed"),
    [
        (("N", 6, 4, 5), True),
        (("N", 6, 4, "W"), True),
        (("N", 6, 4, None), True),
        (("N", 6, 4, 7), False),
        (("N", 6, "H", "W"), False),
        (("N", 6, None, None), False),
        (("N", 6, 4), False),
        (("N", 6, 4, 5, 1), False),
        (None, False),
    ],
)
def test_of_as_many_elements_one_size_may_be_open(sizes: tuple[Dim, ...] | None, agreed: bool) -> None:
    assert agree(("N", 6, 4, 5), sizes) is agreed


def test_numbers_of_channels_that_are_no_whole_ones_are_left() -> None:
    def broken(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        del draw
        return b.add(Gather(axis=1), x, np.array([1, 0, 2, 5, 4, 3], np.float32))

    graph = after_conv(broken)(Draw(dyadic=True))
    assert not Pipeline([FoldChannelOrderIntoConv()]).run(graph)[1].applications


def test_a_shuffle_that_moves_pixels_as_well_is_left() -> None:
    def turned(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        del draw
        _, channels, high, wide = b.type(x).shape or ()
        assert isinstance(high, int)
        assert isinstance(wide, int)
        assert channels == 6
        apart = b.add(Reshape(), x, np.array([0, 2, 3, high, wide]))
        mixed = b.add(Transpose(perm=(0, 2, 1, 3, 4)), apart)
        return b.add(Reshape(), mixed, np.array([0, 6, wide, high]))

    graph = after_conv(turned, spatial=(7, 5))(Draw(dyadic=True))
    assert not Pipeline([FoldChannelOrderIntoConv()]).run(graph)[1].applications
