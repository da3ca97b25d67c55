"""Tables for fold-shift-into-border-map.

The convolutions of the examples make less than half of what they read.
"""

from collections.abc import Callable, Sequence

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, BatchNormalization, Conv, Convolution, ConvTranspose, Op, Relu, Sub
from convgraph.ir.tensor import DataType, Dim

Head = Callable[[GraphBuilder, Draw, Value], Value]


def norm(*, training: int = 0, given: str = "", steep: bool = False, dtype: type = np.float32) -> Head:
    """A batch normalisation of 8 channels; ``given`` names a statistic that a caller may override."""

    def head(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        arrays = {
            "scale": np.full(8, 60000.0, dtype) if steep else draw.factor(8, dtype=dtype),
            "beta": draw.weight(8, dtype=dtype),
            "mean": draw.weight(8, dtype=dtype),
            "var": draw.variance(8, dtype=dtype),
        }
        operands = [b.overridable(n, a) if n == given else b.constant(a, name=n) for n, a in arrays.items()]
        op = BatchNormalization(epsilon=draw.epsilon, training_mode=training)
        return b.add_all(op, x, *operands, names=("normed", "m", "v")[: 3 if training else 1])[0]

    return head


def shift(op: Op, *shape: int, left: bool = False) -> Head:
    """X plus or minus a constant of a shape; the constant on the left if asked."""

    def head(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        c = b.constant(draw.factor(*shape), name="c")
        return b.add(op, c, x) if left else b.add(op, x, c)

    return head


def before(
    head: Head,
    op: Convolution | None = None,
    *,
    kernel: Sequence[int] = (3, 2),
    outside: int = 3,
    spatial: Sequence[Dim] = (9, 7),
    bias: bool = True,
    dtype: type = np.float32,
    computed: bool = False,
    also: str = "",
) -> Callable[[Draw], Graph]:
    """``head`` of x (N, 8, …) and a convolution of it, by default to 3 channels with stride 2 and pads 1."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        y = head(b, draw, b.input("x", shape=("N", 8, *spatial), dtype=DataType.of(np.dtype(dtype))))
        kind = op or Conv.of(2, pads=1, strides=2)
        shape = (8, outside // kind.group) if isinstance(kind, ConvTranspose) else (outside, 8 // kind.group)
        weight: Operand = draw.weight(*shape, *kernel, dtype=dtype)
        if computed:
            weight = b.input("weight", shape=(*shape, *kernel), dtype=DataType.of(np.dtype(dtype)))
        b.output(b.add(kind, y, weight, *([draw.weight(outside, dtype=dtype)] if bias else []), name="y"))
        if also == "returned":
            b.output(y)
        if also == "read":
            b.output(b.add(Relu(), y), name="other")
        return b.build()

    return build


def activated(op: Convolution) -> Convolution:
    """The convolution with a fused Relu."""
    return type(op)(**{**op.attributes(), "activation": Relu()})


EXAMPLES = {
    "batch normalisation": before(norm()),
    "no bias": before(norm(), bias=False),
    "one-sided pads": before(norm(), Conv.of(2, pads=(2, 0, 0, 1), strides=(2, 1))),
    "sum": before(shift(Add(), 8, 1, 1)),
    "sum with one number, on the left": before(shift(Add(), left=True)),
    "difference": before(shift(Sub(), 1, 8, 1, 1)),
    "constant minus x": before(shift(Sub(), 8, 1, 1, left=True)),
    "groups": before(norm(), Conv.of(2, pads=1, group=2), outside=2),
    "dilations": before(norm(), Conv.of(2, pads=2, dilations=2, strides=2)),
    "1-D": before(norm(), Conv.of(1, pads=1, strides=2), kernel=(3,), spatial=(11,)),
    "3-D": before(norm(), Conv.of(3, pads=1, strides=2), kernel=(3, 2, 2), spatial=(9, 7, 5)),
    "transposed": before(norm(), ConvTranspose.of(2, pads=1), outside=2),
    "half": before(norm(dtype=np.float16), dtype=np.float16),
    "double": before(norm(dtype=np.float64), dtype=np.float64),
}

NEAR_MISSES = {
    "scale_and_shift_are_constant": [
        before(norm(training=1)),
        before(norm(given="mean")),
        before(shift(Add(), 9, 1)),  # one number a row
    ],
    "one_convolution_reads_it": [before(norm(), also="returned"), before(norm(), also="read")],
    "the_convolution_has_no_activation": [before(norm(), activated(Conv.of(2, pads=1, strides=2)))],
    "the_weight_is_constant": [before(norm(), computed=True)],
    "the_sizes_are_known": [before(norm(), spatial=("H", 7))],
    "the_map_is_small": [before(norm(), spatial=(400, 900))],
    "the_folded_numbers_are_finite": [before(norm(steep=True, dtype=np.float16), dtype=np.float16)],
    "it_is_cheaper_on_the_target": [before(norm(), outside=16, op=Conv.of(2, pads=1))],
}
