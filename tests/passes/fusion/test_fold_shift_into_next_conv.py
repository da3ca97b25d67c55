"""Tables for fold-shift-into-next-conv."""

import numpy as np
from laws.before import Head, before_conv
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Value
from convgraph.ir.ops import Add, Conv, ConvTranspose, Op, Relu, Sub


def shift(op: Op, *shape: int, left: bool = False, dtype: type = np.float32) -> Head:
    """X plus or minus a constant of a shape; the constant on the left if asked."""

    def head(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        c = b.constant(draw.factor(*shape, dtype=dtype), name="c")
        return b.add(op, c, x) if left else b.add(op, x, c)

    return head


def far(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A shift that leaves float16 once it is multiplied with the weights, though the results need not."""
    del draw
    return b.add(Add(), x, np.full((), 65504.0, np.float16))


def nothing(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A shift by zero."""
    del draw
    return b.add(Sub(), x, np.zeros((4, 1, 1), np.float32))


EXAMPLES = {
    "per channel": before_conv(shift(Add(), 4, 1, 1)),
    "per channel, full rank, no bias": before_conv(shift(Add(), 1, 4, 1, 1), bias=False),
    "scalar": before_conv(shift(Add())),
    "constant left": before_conv(shift(Add(), 4, 1, 1, left=True)),
    "difference": before_conv(shift(Sub(), 4, 1, 1)),
    "constant minus x": before_conv(shift(Sub(), 4, 1, 1, left=True), bias=False),
    "groups": before_conv(shift(Add(), 4, 1, 1), group=2),
    "1-D": before_conv(shift(Sub(), 4, 1), rank=1, spatial=("L",)),
    "3-D": before_conv(shift(Add(), 4, 1, 1, 1), rank=3),
    "two readers": before_conv(shift(Sub(), 4, 1, 1), kinds=[Conv, Conv]),
    "activation": before_conv(shift(Add(), 4, 1, 1), activation=Relu()),
    "by zero, padded": before_conv(nothing, pads=1),
    "by zero, transposed": before_conv(nothing, kinds=[ConvTranspose]),
    "half": before_conv(shift(Add(), 4, 1, 1, dtype=np.float16), dtype=np.float16),
}

NEAR_MISSES = {
    "the_constant_is_per_channel_or_scalar": [
        before_conv(shift(Add(), 4), spatial=(7, 4)),  # 4 channels and 4 columns
        before_conv(shift(Add(), 4, 1), spatial=(4, 7)),  # 4 channels and 4 rows
        before_conv(shift(Add(), 4, 1, 1), inside=1),  # x has one channel, the sum four
    ],
    "every_window_sees_the_shift": [
        before_conv(shift(Add(), 4, 1, 1), pads=(0, 0, 0, 1)),
        before_conv(shift(Sub(), 4, 1, 1, left=True), pads=1),
        before_conv(shift(Add(), 4, 1, 1), kinds=[ConvTranspose]),
        before_conv(shift(Add(), 4, 1, 1), kinds=[Conv, ConvTranspose]),
    ],
    "the_biases_are_constant": [
        before_conv(shift(Add(), 4, 1, 1), overridable="bias"),
        before_conv(shift(Add(), 4, 1, 1), computed="bias"),
    ],
    "only_convolutions_read_it": [
        before_conv(shift(Add(), 4, 1, 1), also_relu=True),
        before_conv(shift(Add(), 4, 1, 1), returned=True),
    ],
    "the_weights_are_constant": [before_conv(shift(Add(), 4, 1, 1), overridable="weight")],
    "the_folded_weights_are_finite": [before_conv(far, dtype=np.float16)],
}
