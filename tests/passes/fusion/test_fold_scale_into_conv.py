"""Tables for fold-scale-into-conv."""

import numpy as np
from laws.draw import Draw
from laws.nets import Tail, after_conv

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Value
from convgraph.ir.ops import ConvTranspose, Div, Mul, Op, Relu


def scale(op: Op, *shape: int, left: bool = False, dtype: type = np.float32) -> Tail:
    """The convolution times or over a constant of a shape; the constant on the left if asked."""

    def tail(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        c = b.constant(draw.factor(*shape, dtype=dtype), name="c")
        return b.add(op, c, x) if left else b.add(op, x, c)

    return tail


def huge(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A factor under which float16 weights overflow though the results need not."""
    del draw
    return b.add(Mul(), x, np.float16(60000.0) * np.ones((), np.float16))


def two_readers(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """The convolution is read twice."""
    b.output(b.add(Relu(), x), name="other")
    return scale(Mul(), 6, 1, 1)(b, draw, x)


EXAMPLES = {
    "per channel": after_conv(scale(Mul(), 6, 1, 1)),
    "per channel, full rank": after_conv(scale(Mul(), 1, 6, 1, 1)),
    "scalar": after_conv(scale(Mul())),
    "one element": after_conv(scale(Mul(), 1)),
    "constant left": after_conv(scale(Mul(), 6, 1, 1, left=True)),
    "quotient": after_conv(scale(Div(), 6, 1, 1)),
    "quotient by a scalar": after_conv(scale(Div()), bias=False),
    "groups": after_conv(scale(Mul(), 6, 1, 1), group=2),
    "1-D": after_conv(scale(Mul(), 6, 1), rank=1, spatial=("L",)),
    "3-D": after_conv(scale(Div(), 6, 1, 1, 1), rank=3),
    "one channel": after_conv(scale(Mul(), 1, 1, 1), channels=(4, 1)),
    "transposed": after_conv(scale(Mul(), 6, 1, 1), kind=ConvTranspose, group=2),
    "half": after_conv(scale(Mul(), 6, 1, 1, dtype=np.float16), dtype=np.float16),
    "double": after_conv(scale(Div(), 6, 1, 1, dtype=np.float64), dtype=np.float64),
}

NEAR_MISSES = {
    "the_constant_is_per_channel_or_scalar": [
        after_conv(scale(Mul(), 6), spatial=(11, 5)),  # 6 channels and 6 columns
        after_conv(scale(Mul(), 6, 1), spatial=(11, 5)),  # 6 channels and 6 rows
        after_conv(scale(Mul(), 2, 1, 1, 1), spatial=(7, 6)),
        after_conv(scale(Mul(), 1, 1, 1, 1, 1), spatial=(7, 6)),  # would raise the rank
    ],
    "the_convolution_is_not_a_divisor": [after_conv(scale(Div(), 6, 1, 1, left=True))],
    "the_weights_are_constant": [after_conv(scale(Mul(), 6, 1, 1), overridable="weight")],
    "the_folded_weights_are_finite": [after_conv(huge, dtype=np.float16)],
    "nothing_else_reads_the_convolution": [after_conv(two_readers), after_conv(scale(Mul()), returned=True)],
    "the_convolution_has_no_activation": [after_conv(scale(Mul(), 6, 1, 1), activation=Relu())],
}
