"""Make one matrix product of two in a row.

    (x · A + a) · B + b  ->  x · (A · B) + (a · B + b)

Each is a MatMul or a Gemm, whose biases, a and b, and factors are taken along; what is added to a MatMul of
more than two axes is the first's bias too. Exact in real arithmetic; floating point differs by reassociation
only. An invertible convolution kept as its factors P, L and U is such
a chain: W = P · L · U (Kingma and Dhariwal, Glow, 2018, section 3.2).
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, Gemm, MatMul, Op
from convgraph.ir.tensor import Array
from convgraph.passes.fusion.after_convolution import is_finite
from convgraph.passes.fusion.after_gemm import Product, column_vector, product_before
from convgraph.passes.fusion.channelwise import Vector
from convgraph.passes.rewrite import Measure, PricedRewrite, requirement, target_cost


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixChain:
    """A product, and the product that it is the left operand of."""

    first: Product
    second: Product


@dataclass(frozen=True, kw_only=True)
class ComposeMatmuls(PricedRewrite[MatrixChain]):
    """Make one matrix product of two in a row."""

    name: ClassVar[str] = "compose-matmuls"
    roots: ClassVar[tuple[type[Op], ...]] = (MatMul, Gemm)
    measure: ClassVar[Measure] = staticmethod(target_cost)

    def find(self, graph: Graph, node: int) -> MatrixChain | None:
        """A product whose left operand is a product."""
        second = product_before(graph, Value(node, 0))
        first = None if second is None else product_before(graph, second.a)
        return None if first is None or second is None else MatrixChain(first=first, second=second)

    @requirement
    def the_weights_are_constant(self, graph: Graph, m: MatrixChain) -> bool:
        """Both right operands, and the biases, are constants that no caller can override."""
        operands = (m.first.b, m.first.c, m.second.b, m.second.c)
        return all(graph.constant(value) is not None for value in operands if value is not None)

    @requirement
    def the_first_is_no_vector(self, graph: Graph, m: MatrixChain) -> bool:
        """The first matrix has two axes or more: a product with a vector drops an axis."""
        return (graph.type(m.first.b).rank or 0) >= 2

    @requirement
    def a_gemm_has_matrices_beside_it(self, graph: Graph, m: MatrixChain) -> bool:
        """Where one of the two is a Gemm, both right operands have two axes."""
        ranks = (graph.type(m.first.b).rank, graph.type(m.second.b).rank)
        return ranks == (2, 2) or not _has_gemm(graph, m)

    @requirement
    def the_second_takes_rows_for_rows(self, graph: Graph, m: MatrixChain) -> bool:
        """The second does not transpose what the first makes."""
        return not m.second.op.transA

    @requirement
    def nothing_else_reads_the_first_product(self, graph: Graph, m: MatrixChain) -> bool:
        """The first product has no other reader, so that it goes."""
        return all(graph.sole_reader(value) is not None for value in (m.first.product, m.first.value))

    @requirement
    def the_composed_weights_are_finite(self, graph: Graph, m: MatrixChain) -> bool:
        """The new matrix and bias stay within the range of their element type."""
        matrix, bias = _composed(graph, m)
        return is_finite(matrix) and (bias is None or is_finite(bias))

    def replaces(self, graph: Graph, match: MatrixChain) -> tuple[int, ...]:
        """Both products, and what is added between them."""
        return (match.first.product.node, match.first.value.node, match.second.value.node)

    def apply(self, edit: Edit, m: MatrixChain) -> None:
        """Multiply once, with the product of the matrices."""
        composed, added = _composed(edit.graph, m)
        matrix = edit.constant(composed, like=m.first.b)
        like, op = m.second.value.node, Gemm(transA=m.first.op.transA)
        if not _has_gemm(edit.graph, m):
            y = edit.add(MatMul(), m.first.a, matrix, like=like)
            if added is not None:
                y = edit.add(Add(), y, edit.constant(added, like=m.first.c), like=m.first.value.node)
        elif added is None:
            y = edit.add(op, m.first.a, matrix, like=like)
        else:
            bias = edit.constant(added, like=m.second.c or m.first.c)
            y = edit.add(op, m.first.a, matrix, bias, like=like)
        edit.replace(m.second.value, y)


def _has_gemm(graph: Graph, m: MatrixChain) -> bool:
    return any(isinstance(graph.producer(p.value), Gemm) for p in (m.first, m.second))


def _composed(graph: Graph, m: MatrixChain) -> tuple[Array, Array | None]:
    """The matrix and the bias of both products in one, rounded once."""
    first, second = _matrix(graph, m.first), _matrix(graph, m.second)
    before, after = _rows(graph, m.first), _bias(graph, m.second)
    kind = graph.type(m.first.b).dtype.numpy
    with np.errstate(over="ignore", invalid="ignore"):  # refused as not finite
        matrix = (first @ second).astype(kind)
        if before is None:
            return matrix, None if after is None else after.astype(kind)
        moved = before @ second
        return matrix, (moved if after is None else moved + after).astype(kind)


def _matrix(graph: Graph, product: Product) -> Vector:
    tensor = graph.constant(product.b)
    assert tensor is not None
    wide = product.op.alpha * tensor.numpy().astype(np.float64)
    return wide.T if product.op.transB else wide


def _rows(graph: Graph, product: Product) -> Vector | None:
    """The bias as a matrix, one row for all or one each; as a vector where the product is one."""
    tensor, bias = graph.constant(product.c), _bias(graph, product)
    if tensor is None or bias is None:
        return None
    if product.value == product.product:
        rows = bias.shape[0] if bias.ndim == 2 else 1
        return np.broadcast_to(bias, (rows, _matrix(graph, product).shape[1]))
    row = column_vector(graph, product, tensor)
    return row if row is None or graph.type(product.value).rank == 1 else row[None]


def _bias(graph: Graph, product: Product) -> Vector | None:
    tensor = graph.constant(product.c)
    return None if tensor is None else product.op.beta * tensor.numpy().astype(np.float64)
