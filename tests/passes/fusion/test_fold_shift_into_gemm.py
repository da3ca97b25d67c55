"""Tables for fold-shift-into-gemm."""

import numpy as np
from laws.draw import Draw
from laws.product import Tail, after_product

import convgraph as cg
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Value
from convgraph.ir.ops import Add, Gemm, MatMul, Op, Sub


def shift(op: Op, *shape: int, left: bool = False, dtype: type = np.float32) -> Tail:
    """The product plus or minus a constant of a shape; the constant on the left if asked."""

    def tail(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        c = b.constant(draw.factor(*shape, dtype=dtype), name="c")
        return b.add(op, c, x) if left else b.add(op, x, c)

    return tail


def far(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A shift that leaves float16 once the bias is added to it, though the results need not."""
    del draw
    return b.add(Add(), x, np.full((), 65504.0, np.float16))


EXAMPLES = {
    "per column": after_product(shift(Add(), 6), Gemm()),
    "row, alpha and beta": after_product(shift(Add(), 1, 6), Gemm(alpha=0.5, beta=-2.0, transB=1)),
    "scalar, scalar bias": after_product(shift(Add()), Gemm(beta=4.0), bias=()),
    "no bias": after_product(shift(Add(), 6), Gemm(beta=3.0), bias=None),
    "constant left": after_product(shift(Add(), 6, left=True), Gemm()),
    "difference": after_product(shift(Sub(), 6), Gemm(transA=1)),
    "constant minus product": after_product(shift(Sub(), 6, left=True), Gemm(beta=2.0)),
    "MatMul": after_product(shift(Add(), 6), MatMul()),
    "constant minus MatMul": after_product(shift(Sub(), 6, left=True), MatMul()),
    "more axes": after_product(shift(Add(), 6), MatMul(), rows=("N", 3), added=(6,)),
    "constant minus more axes": after_product(
        shift(Sub(), 6, left=True), MatMul(), rows=("N", 3), added=(1, 6)
    ),
    "a stack of matrices": after_product(shift(Sub()), MatMul(), rows=("N", 2, 3), stack=(2,), added=(6,)),
    "half": after_product(shift(Add(), 6, dtype=np.float16), Gemm(), dtype=np.float16),
    "double": after_product(shift(Sub(), 6, dtype=np.float64), Gemm(), dtype=np.float64),
}

NEAR_MISSES = {
    "the_numbers_are_real": [after_product(shift(Add(), 6, dtype=np.int32), MatMul(), dtype=np.int32)],
    "the_constant_is_per_column_or_scalar": [
        after_product(shift(Add(), 6, 1), Gemm(), rows=(6,)),  # 6 rows and 6 columns
        after_product(shift(Add(), 1, 1, 6), Gemm()),  # would raise the rank
        after_product(shift(Add(), 6), Gemm(), columns=1, bias=(1,)),  # makes columns
    ],
    "there_is_a_bias_to_fold_into": [after_product(shift(Add(), 6), MatMul(), rows=("N", 3))],
    "the_weights_are_constant": [
        after_product(shift(Add(), 6), Gemm(), overridable="bias"),
        after_product(shift(Sub(), 6, left=True), Gemm(), overridable="matrix"),
    ],
    "the_folded_weights_are_finite": [after_product(far, Gemm(), dtype=np.float16, bias=64.0)],
    "nothing_else_reads_the_product": [
        after_product(shift(Add(), 6), Gemm(), returned=True),
        after_product(shift(Sub(), 6), MatMul(), also_relu=True),
    ],
}


def test_a_device_without_gemm_keeps_its_matmul() -> None:
    graph = after_product(shift(Add(), 6), MatMul())(Draw(dyadic=False))
    result = cg.optimize(graph, level="clean", without=["Gemm"])
    assert {result.graph.op(n).label for n in result.graph.compute_nodes()} == {"MatMul", "Add"}
