"""Tables for fold-transpose-into-gemm."""

from collections.abc import Callable, Sequence

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Abs, Add, Flatten, Gemm, MatMul, Op, Relu, Reshape, Transpose
from convgraph.ir.tensor import DataType, Dim

LAST = (0, 2, 3, 1)


def flattened(
    op: Op,
    *,
    shape: Sequence[Dim] = ("N", 3, 5, 2),
    perm: tuple[int, ...] = LAST,
    target: tuple[int, ...] = (),
    axis: int = 1,
    rows: int = 30,
    bias: bool = False,
    dtype: type = np.float32,
    row: bool = False,
    given: str = "",
    returned: str = "",
) -> Callable[[Draw], Graph]:
    """A product of a transposed and flattened image; ``target`` is what a Reshape makes of it.

    ``row``: a number is added to each channel, the last axis, and a Relu follows. ``given`` names what a
    caller may override or has to supply; ``returned`` is "turned", "relu" or "flat", which the graph returns.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=shape, dtype=DataType.of(np.dtype(dtype)))
        y = b.add(Transpose(perm=perm), b.add(Abs(), x), name="turned")
        if returned == "turned":
            b.output(y)
        y = b.add(Relu(), b.add(Add(), draw.weight(3, dtype=dtype), y), name="relu") if row else y
        if returned == "relu":
            b.output(y)
        y = (
            b.add(Reshape(), y, np.array(target, np.int64), name="flat")
            if target
            else b.add(Flatten(axis=axis), y)
        )
        if returned == "flat":
            b.output(b.add(Relu(), y), name="also")
        turned = isinstance(op, Gemm) and op.transB
        matrix = draw.weight(*((4, rows) if turned else (rows, 4)), dtype=dtype)
        operand: Operand = matrix
        if given == "overridable":
            operand = b.overridable("matrix", matrix)
        if given == "supplied":
            operand = b.input("matrix", shape=matrix.shape)
        b.output(b.add(op, y, operand, *([draw.weight(4, dtype=dtype)] if bias else [])), name="y")
        return b.build()

    return build


EXAMPLES = {
    "Flatten and Gemm": flattened(Gemm(), bias=True),
    "Flatten and MatMul": flattened(MatMul()),
    "Reshape": flattened(Gemm(alpha=2.0), target=(-1, 30)),
    "Reshape that copies": flattened(MatMul(), target=(0, -1)),
    "a transposed matrix": flattened(Gemm(transB=1, beta=0.5), bias=True),
    "a row between": flattened(Gemm(), row=True),
    "three axes": flattened(Gemm(), shape=("N", 3, 5), perm=(0, 2, 1), rows=15),
    "five axes": flattened(MatMul(), shape=("N", 2, 3, 5, 1), perm=(0, 3, 1, 4, 2)),
    "double": flattened(Gemm(), dtype=np.float64),
    "whole numbers": flattened(MatMul(), dtype=np.int32),
    "sizes known": flattened(MatMul(), shape=(4, 3, 5, 2), target=(4, 30)),
}

NEAR_MISSES = {
    "images_are_flattened": [
        flattened(MatMul(), shape=(4, 3, 5, 2), perm=(1, 0, 2, 3), target=(4, 30)),
        flattened(MatMul(), shape=(4, 3, 5, 2), axis=2, rows=6),
        flattened(MatMul(), shape=(4, 3, 5, 2), target=(4, 2, 15), rows=15),
    ],
    "the_matrix_is_constant": [
        flattened(MatMul(), given="overridable"),
        flattened(Gemm(), given="supplied"),
    ],
    "nothing_else_reads_what_lies_between": [
        flattened(MatMul(), returned="turned"),
        flattened(Gemm(), target=(0, -1), returned="flat"),
        flattened(Gemm(), row=True, returned="relu"),
    ],
}
