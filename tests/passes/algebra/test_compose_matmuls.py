"""Tables for compose-matmuls."""

from collections.abc import Callable

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Abs, Add, Gemm, MatMul
from convgraph.ir.tensor import Dim


def chain(
    *sizes: int, leading: tuple[Dim, ...] = ("N",), given: str = "", read: bool = False
) -> Callable[[Draw], Graph]:
    """x (leading…, sizes[0]) times a matrix for each further size.

    ``given`` makes the "first" or "second" matrix one that a caller may override; ``read``: a reader between.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        value: Value = b.input("x", shape=(*leading, sizes[0]))
        names = ("first", "second", "third")
        for name, rows, columns in zip(names, sizes, sizes[1:], strict=False):
            drawn = draw.weight(rows, columns)
            matrix = b.overridable(name, drawn) if name == given else b.constant(drawn, name=name)
            value = b.add(MatMul(), value, matrix)
            if read and name == "first":
                b.output(b.add(Abs(), value), name="z")
        b.output(b.add(Abs(), value), name="y")
        return b.build()

    return build


def shaped(first: tuple[int, ...], second: tuple[int, ...]) -> Callable[[Draw], Graph]:
    """x (N, 4, 4) times constants of these shapes."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=("N", 4, 4))
        product = b.add(MatMul(), b.add(MatMul(), x, draw.weight(*first)), draw.weight(*second))
        b.output(product, name="y")
        return b.build()

    return build


def biased(
    *sizes: int,
    leading: tuple[Dim, ...] = ("N", 7),
    bias: tuple[int, ...] = (),
    last: tuple[int, ...] = (),
    read: bool = False,
) -> Callable[[Draw], Graph]:
    """x (leading…, sizes[0]) times a matrix (sizes), plus a constant of shape ``bias``, times another.

    ``last`` is the other's shape; ``read``: a reader of the first product.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        first = b.add(MatMul(), b.input("x", shape=(*leading, sizes[0])), draw.weight(*sizes))
        total = b.add(Add(), b.constant(draw.weight(*bias)), first)
        b.output(b.add(Abs(), b.add(MatMul(), total, draw.weight(*last))), name="y")
        if read:
            b.output(b.add(Abs(), first), name="z")
        return b.build()

    return build


def gemms(
    first: Gemm,
    second: Gemm,
    *biases: tuple[int, ...] | None,
    matmul: str = "",
    given: str = "",
    large: float | None = None,
    vector: bool = False,
) -> Callable[[Draw], Graph]:
    """x (3, 4) times a matrix (4, 5) times one (5, 4), each as a Gemm with a bias of a shape, or none.

    ``matmul``: which is a MatMul instead; ``given``: which bias a caller may override; ``large``: the number
    that both matrices are full of; ``vector``: the second right operand has one axis.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        value: Value = b.input("x", shape=(4, 3) if first.transA else (3, 4))
        for name, op, shape, bias in zip(("a", "b"), (first, second), ((4, 5), (5, 4)), biases, strict=True):
            rows, columns = (3, 4) if name == "b" and op.transA else shape
            wanted = (columns, rows) if op.transB else (rows, columns)
            matrix = draw.weight(*wanted) if large is None else np.full(wanted, large, np.float32)
            if vector and name == "b":
                matrix = matrix[:, 0]
            operands = [b.constant(matrix, name=name)]
            if bias is not None:
                drawn = draw.weight(*bias)
                operands.append(b.overridable("given", drawn) if given == name else b.constant(drawn))
            value = b.add(MatMul() if matmul == name else op, value, *operands)
        b.output(b.add(Abs(), value), name="y")
        return b.build()

    return build


PLAIN, TURNED = Gemm(), Gemm(transB=1)

EXAMPLES = {
    "two Gemms": gemms(TURNED, TURNED, (5,), (4,)),
    "no first bias": gemms(PLAIN, TURNED, None, (1, 4)),
    "no second bias": gemms(TURNED, PLAIN, (1,), None),
    "no bias": gemms(PLAIN, PLAIN, None, None),
    "a bias a row": gemms(PLAIN, PLAIN, (3, 1), (3, 4)),
    "alpha, beta": gemms(Gemm(alpha=0.5, beta=2.0), Gemm(alpha=2.0, beta=0.5), (5,), ()),
    "columns": gemms(Gemm(transA=1), PLAIN, (5,), (4,)),
    "MatMul, Gemm": gemms(PLAIN, TURNED, None, (4,), matmul="a"),
    "Gemm, MatMul": gemms(TURNED, PLAIN, (5,), None, matmul="b"),
    "square": chain(4, 4, 4),
    "three": chain(4, 4, 4, 4),
    "narrowing": chain(6, 5, 3),
    "batched": chain(4, 5, 4, leading=("N", 7, "W")),
    "a stack of matrices": shaped((4, 4), (1, 4, 4)),
    "a vector last": shaped((4, 4), (4,)),
    "a sum between": biased(6, 5, bias=(5,), last=(5, 3)),
    "a sum of one number between": biased(6, 5, bias=(1, 1, 1), last=(5, 3), leading=("N", 2)),
    "a sum before a vector": biased(6, 5, bias=(5,), last=(5,)),
    "a sum before a stack": biased(6, 5, bias=(1, 5), last=(2, 5, 3), leading=("N", 2, 4)),
    "a sum of vectors": biased(6, 5, bias=(5,), last=(5, 3), leading=()),
    "a sum of vectors before a stack": biased(6, 5, bias=(5,), last=(2, 5, 3), leading=()),
}

NEAR_MISSES = {
    "the_weights_are_constant": [
        *(chain(4, 4, 4, given=given) for given in ("first", "second")),
        *(gemms(PLAIN, PLAIN, (5,), (4,), given=given) for given in ("a", "b")),
    ],
    "the_first_is_no_vector": [shaped((4,), (4, 4))],
    "a_gemm_has_matrices_beside_it": [gemms(PLAIN, PLAIN, (5,), None, matmul="b", vector=True)],
    "the_second_takes_rows_for_rows": [gemms(PLAIN, Gemm(transA=1), (5,), (4,))],
    "nothing_else_reads_the_first_product": [
        chain(4, 4, 4, read=True),
        biased(4, 4, bias=(4,), last=(4, 4), read=True),
    ],
    "the_composed_weights_are_finite": [gemms(PLAIN, PLAIN, (5,), (4,), large=1e20)],
    "it_is_cheaper_on_the_target": [chain(40, 1, 40, leading=(9,))],
}
