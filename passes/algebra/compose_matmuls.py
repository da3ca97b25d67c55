"""Make one matrix product of two in a row.

    (x · A) · B  ->  x · (A · B)

Exact in real arithmetic; floating point differs by reassociation only. An invertible convolution kept as its
factors P, L and U is such a chain: W = P · L · U (Kingma and Dhariwal, Glow, 2018, section 3.2).
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import MatMul, Op
from convgraph.passes.rewrite import Measure, PricedRewrite, requirement, target_cost


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixChain:
    """x, the matrix it is multiplied with first, that product, the second matrix and the second product."""

    x: Value
    first: Value
    between: Value
    second: Value
    result: Value


@dataclass(frozen=True, kw_only=True)
class ComposeMatmuls(PricedRewrite[MatrixChain]):
    """Make one matrix product of two in a row."""

    name: ClassVar[str] = "compose-matmuls"
    roots: ClassVar[tuple[type[Op], ...]] = (MatMul,)
    measure: ClassVar[Measure] = staticmethod(target_cost)

    def find(self, graph: Graph, node: int) -> MatrixChain | None:
        """A product whose left operand is a product."""
        between, second = graph.operands(node)
        if between is None or second is None or not isinstance(graph.producer(between), MatMul):
            return None
        x, first = graph.operands(between.node)
        if x is None or first is None:
            return None
        return MatrixChain(x=x, first=first, between=between, second=second, result=Value(node, 0))

    @requirement
    def both_matrices_are_constant(self, graph: Graph, m: MatrixChain) -> bool:
        """Both right operands are constants that no caller can override."""
        return graph.constant(m.first) is not None and graph.constant(m.second) is not None

    @requirement
    def the_first_is_no_vector(self, graph: Graph, m: MatrixChain) -> bool:
        """The first has two axes or more: a product with a vector drops an axis."""
        return (graph.type(m.first).rank or 0) >= 2

    @requirement
    def nothing_else_reads_the_first_product(self, graph: Graph, m: MatrixChain) -> bool:
        """The first product has no other reader, so that it goes."""
        return graph.sole_reader(m.between) is not None

    def replaces(self, graph: Graph, match: MatrixChain) -> tuple[int, ...]:
        """Both products."""
        return (match.between.node, match.result.node)

    def apply(self, edit: Edit, m: MatrixChain) -> None:
        """Multiply once, with the product of the matrices."""
        first, second = edit.graph.constant(m.first), edit.graph.constant(m.second)
        assert first is not None
        assert second is not None
        product = first.numpy().astype(np.float64) @ second.numpy().astype(np.float64)
        matrix = edit.constant(product.astype(first.numpy().dtype), like=m.first)
        edit.replace(m.result, edit.add(MatMul(), m.x, matrix, like=m.result.node))
