"""Tables for move-monotone-after-max-pool."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from laws.draw import Draw

from convgraph.ir import ops
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, GlobalMaxPool, MaxPool, Op, Pad, Relu
from convgraph.ir.tensor import Array, DataType, Dim
from convgraph.passes import EXACT, Pipeline
from convgraph.passes.algebra.move_monotone_after_max_pool import MoveMonotoneAfterMaxPool

HALVING = MaxPool.of((3, 2), strides=2)


def pooled(
    function: Op,
    *operands: Array | None,
    pool: Op = HALVING,
    left: bool = False,
    spatial: Sequence[Dim] = ("H", "W"),
    channels: int = 4,
    dtype: type = np.float32,
    border: float | None = None,
    also: str = "",
    opset: int = 20,
) -> Callable[[Draw], Graph]:
    """A pool of a function of x (N, channels, …) and constants, which come first if ``left``.

    ``border`` pads x with this number. ``also`` returns "indices" of the pool, or the function's "values".
    """

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=opset)
        x = b.input("x", shape=("N", channels, *spatial), dtype=DataType.of(np.dtype(dtype)))
        if border is not None:
            x = b.add(Pad(), x, np.array([0, 0, 1, 1, 0, 0, 1, 1]), np.asarray(border, dtype))
        others = [None if o is None else b.constant(np.asarray(o, dtype)) for o in operands]
        value = b.add(function, *others, x) if left else b.add(function, x, *others)
        y, *indices = b.add_all(pool, value, names=("y", "where") if also == "indices" else ("y",))
        b.output(y)
        if also:
            b.output(indices[0] if also == "indices" else value)
        return b.build()

    return build


def per_channel(*numbers: float) -> Array:
    return np.asarray(numbers).reshape(-1, 1, 1)


POSITIVE, MIXED = per_channel(2, 0.5, 4, 0), per_channel(2, -0.5, 1, 3)

EXAMPLES = {
    "relu": pooled(Relu()),
    "leaky": pooled(ops.LeakyRelu(alpha=0.25)),
    "clip": pooled(ops.Clip(), np.asarray(-1), np.asarray(2)),
    "clip above": pooled(ops.Clip(), None, np.asarray(2)),
    "prelu": pooled(ops.PRelu(), POSITIVE),
    "rounded": pooled(ops.Round(), dtype=np.float16),
    "product": pooled(ops.Mul(), POSITIVE),
    "constant left": pooled(ops.Mul(), np.asarray(2), left=True),
    "quotient": pooled(ops.Div(), np.asarray(4)),
    "sum": pooled(ops.Add(), MIXED),
    "difference": pooled(ops.Sub(), MIXED, dtype=np.float64),
    "one channel made four": pooled(ops.Mul(), POSITIVE, channels=1),
    "padded": pooled(Relu(), pool=MaxPool.of((3, 2), strides=2, pads=(1, 0, 1, 1))),
    "dilated": pooled(Relu(), pool=MaxPool.of((2, 2), strides=2, dilations=2)),
    "rounded up": pooled(Relu(), pool=MaxPool.of((3, 3), strides=2, ceil_mode=1), spatial=(8, 7)),
    "SAME": pooled(Relu(), pool=replace(HALVING, auto_pad="SAME_UPPER")),
    "VALID": pooled(Relu(), pool=replace(HALVING, auto_pad="VALID", dilations=(1, 2)), spatial=(8, 7)),
    "global": pooled(Relu(), pool=GlobalMaxPool()),
    "global, of a border": pooled(ops.Sigmoid(), pool=GlobalMaxPool(), border=0.0),
    "border of zeros": pooled(ops.LeakyRelu(alpha=0.25), border=0.0),
    "border of zeros as wide as the window": pooled(
        ops.Add(), MIXED, border=0.0, pool=MaxPool.of((1, 2), strides=2)
    ),
    "border of another number": pooled(Relu(), border=2.0),
    "1-D": pooled(Relu(), pool=MaxPool.of((3,), strides=3), spatial=("L",)),
    "3-D": pooled(Relu(), pool=MaxPool.of((2, 1, 2), strides=2), spatial=("H", "W", 4)),
}

NEAR_MISSES = {
    "nothing_reads_the_indices": [pooled(Relu(), also="indices", pool=MaxPool.of((2, 2), strides=2))],
    "the_function_is_the_same_everywhere": [
        pooled(ops.Add(), np.asarray([3, -3, 2, 0, 1]), spatial=(7, 5), pool=MaxPool.of((1, 1), strides=2)),
        pooled(ops.Mul(), np.arange(7.0).reshape(7, 1), spatial=(7, 4)),
        pooled(ops.PRelu(), np.arange(4.0), spatial=(7, 4), pool=MaxPool.of((3, 3), strides=(2, 1), pads=1)),
        pooled(ops.Mul(), np.ones((1, 4, 1, 1)), spatial=("L",), pool=HALVING),
    ],
    "the_function_never_decreases": [
        pooled(ops.Mul(), MIXED),
        pooled(ops.PRelu(), MIXED),
        pooled(ops.Div(), np.asarray(-2)),
        pooled(ops.Div(), np.asarray(-0.0)),
        pooled(ops.Mul(), np.asarray(np.inf)),
        pooled(ops.Div(), np.asarray(2), left=True),
        pooled(ops.Sub(), MIXED, left=True),
        pooled(ops.Pow(), np.asarray(2)),
        pooled(ops.Add(), np.asarray(126), dtype=np.int8),
        pooled(ops.LeakyRelu(alpha=-0.5)),
        pooled(ops.Elu(alpha=-1.0)),
        pooled(ops.Selu(gamma=-1.0)),
        pooled(ops.HardSigmoid(alpha=-0.5)),
        pooled(ops.ThresholdedRelu(alpha=-1.0)),
        *(pooled(op) for op in (ops.Abs(), ops.Neg(), ops.HardSwish(), ops.Gelu(), ops.Mish(), ops.Cos())),
    ],
    "every_window_meets_the_data": [
        pooled(
            Relu(), pool=MaxPool.of((2, 2), dilations=(8, 1), pads=(1, 0, 1, 0), strides=2), spatial=(7, 6)
        ),
    ],
    "it_is_cheaper_on_the_target": [
        pooled(Relu(), also="values"),
        pooled(Relu(), pool=MaxPool.of((3, 3), pads=1)),
    ],
}


def branching(*, also: bool) -> Graph:
    """A convolution, a Relu of it, and a pool of that; ``also`` something else reads the convolution."""
    draw, b = Draw(dyadic=True), GraphBuilder("g", opset=17)
    y = b.add(Conv.of(2), b.input("x", shape=("N", 4, "H", "W")), draw.weight(6, 4, 3, 3))
    b.output(b.add(HALVING, b.add(Relu(), y)), name="y")
    if also:
        b.output(b.add(ops.Sigmoid(), y), name="other")
    return b.build()


def test_what_a_convolution_takes_over_stays_there() -> None:
    result, _ = Pipeline(EXACT).run(branching(also=False))
    assert [result.op(n).label for n in result.compute_nodes()] == ["Conv", "MaxPool"]


def test_what_no_convolution_takes_over_moves() -> None:
    _, trace = Pipeline(EXACT).run(branching(also=True))
    assert "move-monotone-after-max-pool" in {done.rewrite for done in trace.applications}


def test_the_slope_of_a_constant_is_no_function_of_x() -> None:
    b = GraphBuilder("g", opset=17)
    slope = b.input("slope", shape=("N", 4, "H", "W"))
    b.output(b.add(HALVING, b.add(ops.PRelu(), -np.ones((1, 4, 7, 5), np.float32), slope)), name="y")
    _, trace = Pipeline([MoveMonotoneAfterMaxPool()]).run(b.build())
    assert not trace.applications
