"""Write a matrix product over the channels, between two transpositions, as the pointwise convolution it is.

    transpose(matmul(transpose(x, channels last), A), channels first)  ->  conv1×1(x, Aᵀ)

Exact: the same products, summed in the same order. Channels-last linear layers come so from exporters;
invertible 1×1 convolutions and pointwise MLPs are often written this way.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Conv, MatMul, Op, Transpose
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class PointwiseProduct:
    """x, its channels-last form, the product with the matrix, and the product with channels first again."""

    x: Value
    last: Value
    product: Value
    matrix: Value
    result: Value


@dataclass(frozen=True, kw_only=True)
class FuseTransposedMatmulIntoConv(Rewrite[PointwiseProduct]):
    """Write a matrix product over the channels, between two transpositions, as a pointwise convolution."""

    name: ClassVar[str] = "fuse-transposed-matmul-into-conv"
    roots: ClassVar[tuple[type[Op], ...]] = (Transpose,)

    def find(self, graph: Graph, node: int) -> PointwiseProduct | None:
        """A Transpose of a MatMul of a Transpose."""
        product = graph.operand(node, 0)
        if product is None or not isinstance(graph.producer(product), MatMul):
            return None
        last, matrix = graph.operands(product.node)
        if last is None or matrix is None or not isinstance(graph.producer(last), Transpose):
            return None
        x = graph.operand(last.node, 0)
        return x and PointwiseProduct(x=x, last=last, product=product, matrix=matrix, result=Value(node, 0))

    @requirement
    def the_channels_go_last_and_come_back(self, graph: Graph, m: PointwiseProduct) -> bool:
        """The first transposition moves axis 1 of three or more to the end, the second moves it back."""
        rank = graph.type(m.x).rank
        if rank is None or rank < 3:
            return False
        orders = (_order(graph, m.last), _order(graph, m.result))
        return orders == ((0, *range(2, rank), 1), (0, rank - 1, *range(1, rank - 1)))

    @requirement
    def the_matrix_is_constant(self, graph: Graph, m: PointwiseProduct) -> bool:
        """The product is with a constant matrix on the right."""
        matrix = graph.constant(m.matrix)
        return matrix is not None and len(matrix.shape) == 2

    @requirement
    def nothing_else_reads_what_lies_between(self, graph: Graph, m: PointwiseProduct) -> bool:
        """The channels-last product has no other reader, so that it goes."""
        return graph.sole_reader(m.product) is not None

    def apply(self, edit: Edit, m: PointwiseProduct) -> None:
        """Convolve with the transposed matrix."""
        matrix, rank = edit.graph.constant(m.matrix), edit.graph.type(m.x).rank
        assert matrix is not None
        assert rank is not None
        kernel = np.ascontiguousarray(matrix.numpy().T).reshape(*matrix.shape[::-1], *(1,) * (rank - 2))
        weight = edit.constant(kernel, like=m.matrix)
        edit.replace(m.result, edit.add(Conv.of(rank - 2), m.x, weight, like=m.product.node))


def _order(graph: Graph, value: Value) -> tuple[int, ...] | None:
    op = graph.producer(value)
    return op.perm if isinstance(op, Transpose) else None
