"""Matrix products for examples and near misses, and what comes after them."""

from collections.abc import Callable, Sequence

import numpy as np

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, Gemm, MatMul, Relu
from convgraph.ir.tensor import Array, DataType, Dim
from laws.draw import Draw

Tail = Callable[[GraphBuilder, Draw, Value], Value]


def after_product(
    tail: Tail,
    op: Gemm | MatMul,
    *,
    bias: Sequence[int] | float | None = (6,),
    rows: Sequence[Dim] = ("N",),
    columns: int = 6,
    dtype: type = np.float32,
    overridable: str = "",
    returned: bool = False,
    also_relu: bool = False,
    opset: int = 17,
    stack: Sequence[int] = (),
    added: Sequence[int] | None = None,
    bias_first: bool = False,
    also_sum: bool = False,
) -> Callable[[Draw], Graph]:
    """A product of x (N, 4) and a matrix, then ``tail``.

    ``bias`` is drawn in a shape, or one number in every column. ``overridable`` names "matrix" or "bias" to
    be an initializer that a caller may override; ``returned`` and ``also_relu`` say what else reads it.
    ``stack`` are axes in front of the matrix's two. ``added`` is the shape of what is added to the product,
    on its left if ``bias_first``; ``also_sum`` makes that sum a graph output too.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=opset)

        def parameter(name: str, array: Array) -> Operand:
            return b.overridable(name, array) if name == overridable else b.constant(array, name=name)

        across = isinstance(op, Gemm) and op.transA
        x = b.input("x", shape=(4, *rows) if across else (*rows, 4), dtype=DataType.of(np.dtype(dtype)))
        shape = (columns, 4) if isinstance(op, Gemm) and op.transB else (4, columns)
        operands = [parameter("matrix", draw.weight(*stack, *shape, dtype=dtype))]
        if bias is not None and isinstance(op, Gemm):
            operands.append(
                parameter(
                    "bias",
                    np.full(columns, bias, dtype)
                    if isinstance(bias, float)
                    else draw.weight(*bias, dtype=dtype),
                )
            )
        y = b.add(op, x, *operands, name="product", node="fc")
        total = y
        if added is not None:
            constant = parameter("added", draw.weight(*added, dtype=dtype))
            total = b.add(Add(), *((constant, y) if bias_first else (y, constant)))
        b.output(tail(b, draw, total), name="y")
        if also_sum:
            b.output(total, name="sum")
        if returned:
            b.output(y)
        if also_relu:
            b.output(b.add(Relu(), y), name="other")
        return b.build()

    return build
