"""Tables for fold-scale-into-next-conv."""

import numpy as np
from laws.before import Head, before_conv
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Conv, ConvTranspose, Div, Mul, Op, Relu


def scale(op: Op, *shape: int, left: bool = False, dtype: type = np.float32) -> Head:
    """X times or over a constant of a shape; the constant on the left if asked."""

    def head(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        c = b.constant(draw.factor(*shape, dtype=dtype), name="c")
        return b.add(op, c, x) if left else b.add(op, x, c)

    return head


def huge(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A factor under which float16 weights overflow though the results need not."""
    del draw
    return b.add(Mul(), x, np.full((), 60000.0, np.float16))


def as_weight(draw: Draw) -> Graph:
    """A convolution reads the product as its data and as its weight."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=(6, 4, 3, 2))
    y = b.add(Mul(), x, draw.factor(4, 1, 1))
    b.output(b.add(Conv.of(2, pads=1), y, y), name="square")
    b.output(b.add(Conv.of(2, pads=1), y, draw.weight(6, 4, 3, 2)), name="y")
    return b.build()


EXAMPLES = {
    "per channel": before_conv(scale(Mul(), 4, 1, 1), pads=1),
    "per channel, full rank": before_conv(scale(Mul(), 1, 4, 1, 1), bias=False),
    "scalar": before_conv(scale(Mul()), pads=(0, 1, 2, 0)),
    "one element": before_conv(scale(Mul(), 1)),
    "constant left": before_conv(scale(Mul(), 4, 1, 1, left=True)),
    "quotient": before_conv(scale(Div(), 4, 1, 1), pads=1),
    "groups": before_conv(scale(Mul(), 4, 1, 1), group=2),
    "1-D": before_conv(scale(Mul(), 4, 1), rank=1, spatial=("L",)),
    "3-D": before_conv(scale(Div(), 4, 1, 1, 1), rank=3),
    "transposed": before_conv(scale(Mul(), 4, 1, 1), kinds=[ConvTranspose], group=2, pads=1),
    "two readers": before_conv(scale(Mul(), 4, 1, 1), kinds=[Conv, ConvTranspose]),
    "activation": before_conv(scale(Mul(), 4, 1, 1), activation=Relu(), bias=False),
    "bias from outside": before_conv(scale(Mul(), 4, 1, 1), computed="bias"),
    "half": before_conv(scale(Mul(), 4, 1, 1, dtype=np.float16), dtype=np.float16),
    "double": before_conv(scale(Div(), 4, 1, 1, dtype=np.float64), dtype=np.float64),
}

NEAR_MISSES = {
    "the_value_is_not_a_divisor": [before_conv(scale(Div(), 4, 1, 1, left=True), spatial=(7, 6))],
    "the_constant_is_per_channel_or_scalar": [
        before_conv(scale(Mul(), 4), spatial=(7, 4)),  # 4 channels and 4 columns
        before_conv(scale(Mul(), 4, 1), spatial=(4, 7)),  # 4 channels and 4 rows
        before_conv(scale(Mul(), 2, 1, 1, 1), spatial=(7, 6)),
        before_conv(scale(Mul(), 4, 1, 1), inside=1),  # x has one channel, the product four
    ],
    "only_convolutions_read_it": [
        before_conv(scale(Mul(), 4, 1, 1), also_relu=True),
        before_conv(scale(Mul(), 4, 1, 1), returned=True),
        as_weight,
    ],
    "the_weights_are_constant": [
        before_conv(scale(Mul(), 4, 1, 1), overridable="weight"),
        before_conv(scale(Mul(), 4, 1, 1), computed="weight"),
    ],
    "the_folded_weights_are_finite": [before_conv(huge, dtype=np.float16)],
}
