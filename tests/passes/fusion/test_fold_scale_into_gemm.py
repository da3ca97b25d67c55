"""Tables for fold-scale-into-gemm."""

import numpy as np
from laws.draw import Draw
from laws.product import Tail, after_product

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Div, Gemm, MatMul, Mul, Op


def scale(op: Op, *shape: int, left: bool = False, dtype: type = np.float32) -> Tail:
    """The product times or over a constant of a shape; the constant on the left if asked."""

    def tail(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        c = b.constant(draw.factor(*shape, dtype=dtype), name="c")
        return b.add(op, c, x) if left else b.add(op, x, c)

    return tail


def huge(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A factor under which float16 weights overflow though the results need not."""
    del draw
    return b.add(Mul(), x, np.full((), 60000.0, np.float16))


def vector(draw: Draw) -> Graph:
    """A product with a vector of four elements has no columns; its four rows are scaled."""
    b = GraphBuilder("g", opset=17)
    y = b.add(MatMul(), b.input("x", shape=(3, 4, 4)), draw.weight(4))
    b.output(b.add(Mul(), y, draw.factor(4)), name="y")
    return b.build()


def of_open_columns(draw: Draw) -> Graph:
    """A product of two inputs, times a number."""
    del draw
    b = GraphBuilder("g", opset=17)
    y = b.add(MatMul(), b.input("x", shape=(3, 4)), b.input("w", shape=(4, "M")))
    b.output(b.add(Mul(), y, np.full((), 2, np.float32)), name="y")
    return b.build()


EXAMPLES = {
    "per column": after_product(scale(Mul(), 6), Gemm()),
    "row": after_product(scale(Mul(), 1, 6), Gemm(transB=1)),
    "scalar": after_product(scale(Mul()), Gemm(alpha=0.5, beta=2.0)),
    "one element, left": after_product(scale(Mul(), 1, left=True), Gemm()),
    "quotient": after_product(scale(Div(), 6), Gemm(transA=1), bias=(1, 6)),
    "no bias": after_product(scale(Mul(), 6), Gemm(beta=3.0), bias=None),
    "MatMul": after_product(scale(Mul(), 6), MatMul()),
    "MatMul, old opset": after_product(scale(Mul(), 6), MatMul(), opset=9),
    "one column": after_product(scale(Mul(), 1, 1), Gemm(), columns=1, bias=(1,)),
    "more axes": after_product(scale(Mul(), 6), MatMul(), rows=("N", 3)),
    "more axes and a bias": after_product(scale(Mul(), 6), MatMul(), rows=("N", 3), added=(6,)),
    "a bias first, a quotient": after_product(
        scale(Div(), 1, 1, 6), MatMul(), rows=("N", 3), added=(1, 1, 6), bias_first=True
    ),
    "more axes, one number": after_product(scale(Mul(), 1, left=True), MatMul(), rows=("N", 3), added=()),
    "a stack of matrices": after_product(scale(Mul(), 6), MatMul(), rows=("N", 2, 3), stack=(2,), added=(6,)),
    "half": after_product(scale(Mul(), 6, dtype=np.float16), Gemm(), dtype=np.float16),
    "double": after_product(scale(Div(), 6, dtype=np.float64), Gemm(), dtype=np.float64),
}

NEAR_MISSES = {
    "the_numbers_are_real": [
        after_product(lambda b, _, x: b.add(Div(), x, 2), MatMul(), dtype=np.int32, rows=("N", 3)),
        after_product(lambda b, _, x: b.add(Mul(), x, 3), MatMul(), dtype=np.int32),
    ],
    "the_product_is_not_a_divisor": [after_product(scale(Div(), 6, left=True), Gemm(), rows=(3,))],
    "the_constant_is_per_column_or_scalar": [
        after_product(scale(Mul(), 6, 1), Gemm(), rows=(6,)),  # 6 rows and 6 columns
        after_product(scale(Mul(), 1, 1, 6), Gemm()),  # would raise the rank
        after_product(scale(Mul(), 6), Gemm(), columns=1, bias=(1,)),  # makes columns
        after_product(scale(Mul(), 6, 1), MatMul(), rows=("N", 6)),  # one number a row
        of_open_columns,
    ],
    "the_second_operand_has_columns": [vector],
    "the_weights_are_constant": [
        after_product(scale(Mul(), 6), Gemm(), overridable="matrix"),
        after_product(scale(Mul(), 6), Gemm(), overridable="bias"),
    ],
    "the_folded_weights_are_finite": [after_product(huge, Gemm(), dtype=np.float16)],
    "nothing_else_reads_the_product": [
        after_product(scale(Mul(), 6), MatMul(), rows=("N", 3), added=(6,), returned=True),
        after_product(scale(Mul(), 6), MatMul(), rows=("N", 3), added=(6,), also_sum=True),
        after_product(scale(Mul(), 6), Gemm(), returned=True),
        after_product(scale(Mul(), 6), MatMul(), also_relu=True),
    ],
}
