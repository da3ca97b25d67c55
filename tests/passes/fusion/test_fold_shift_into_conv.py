"""Tables for fold-shift-into-conv."""

import numpy as np
from laws.draw import Draw
from laws.nets import Tail, after_conv

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Value
from convgraph.ir.ops import Add, ConvTranspose, Op, Relu, Sub


def shift(op: Op, *shape: int, left: bool = False, dtype: type = np.float32) -> Tail:
    """The convolution plus or minus a constant of a shape; the constant on the left if asked."""

    def tail(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        c = b.constant(draw.weight(*shape, dtype=dtype), name="c")
        return b.add(op, c, x) if left else b.add(op, x, c)

    return tail


def far(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A shift that leaves float16 once the bias is added to it, though the results need not."""
    del draw
    return b.add(Add(), x, np.full((), 65504.0, np.float16))


def two_readers(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """The convolution is read twice."""
    b.output(b.add(Relu(), x), name="other")
    return shift(Add(), 6, 1, 1)(b, draw, x)


EXAMPLES = {
    "per channel": after_conv(shift(Add(), 6, 1, 1)),
    "no bias": after_conv(shift(Add(), 1, 6, 1, 1), bias=False),
    "scalar": after_conv(shift(Add())),
    "constant left": after_conv(shift(Add(), 6, 1, 1, left=True)),
    "difference": after_conv(shift(Sub(), 6, 1, 1)),
    "constant minus conv": after_conv(shift(Sub(), 6, 1, 1, left=True)),
    "scalar minus conv, no bias": after_conv(shift(Sub(), left=True), bias=False),
    "groups": after_conv(shift(Add(), 6, 1, 1), group=2),
    "1-D": after_conv(shift(Sub(), 6, 1), rank=1, spatial=("L",)),
    "3-D": after_conv(shift(Add(), 6, 1, 1, 1), rank=3),
    "transposed": after_conv(shift(Sub(), 6, 1, 1, left=True), kind=ConvTranspose, group=2),
    "half": after_conv(shift(Add(), 6, 1, 1, dtype=np.float16), dtype=np.float16),
}

NEAR_MISSES = {
    "the_constant_is_per_channel_or_scalar": [
        after_conv(shift(Add(), 6), spatial=(11, 5)),  # 6 channels and 6 columns
        after_conv(shift(Add(), 6, 1), spatial=(11, 5)),  # 6 channels and 6 rows
        after_conv(shift(Add(), 1, 6, 6, 6), spatial=(11, 5)),
    ],
    "the_weights_are_constant": [
        after_conv(shift(Add(), 6, 1, 1), overridable="bias"),
        after_conv(shift(Sub(), 6, 1, 1, left=True), overridable="weight"),
    ],
    "the_folded_weights_are_finite": [after_conv(far, dtype=np.float16, bias=64.0)],
    "nothing_else_reads_the_convolution": [after_conv(two_readers), after_conv(shift(Add()), returned=True)],
    "the_convolution_has_no_activation": [after_conv(shift(Add(), 6, 1, 1), activation=Relu())],
}
