"""Multiply the smaller side of three matrices first.

    (a · b) · c  ->  a · (b · c)
    a · (b · c)  ->  (a · b) · c

whichever takes fewer multiplications: over n vertices, A · (x · W) spares a graph convolution n² for each
channel that the weight W takes away. The product between must have no other reader. Any number of leading
axes, which are spread alike. Exact in real arithmetic; floating point differs by reassociation only.

Source: Kipf and Welling, Semi-Supervised Classification with Graph Convolutional Networks (2017), for
convolutions that are such products.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import MatMul, Op
from convgraph.passes.rewrite import Measure, PricedRewrite, requirement, target_cost


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreeFactors:
    """The factors from left to right, the inner product, and whether it is the left one's."""

    factors: tuple[Value, Value, Value]
    inner: Value
    left: bool
    result: Value


@dataclass(frozen=True, kw_only=True)
class AssociateMatmuls(PricedRewrite[ThreeFactors]):
    """Multiply the smaller side of three matrices first."""

    name: ClassVar[str] = "associate-matmuls"
    roots: ClassVar[tuple[type[Op], ...]] = (MatMul,)
    measure: ClassVar[Measure] = staticmethod(target_cost)

    def find(self, graph: Graph, node: int) -> ThreeFactors | None:
        """A product of a product, on the left or else on the right."""
        found = (_factors(graph, node, left=left) for left in (True, False))
        return next((match for match in found if match is not None), None)

    @requirement
    def all_are_matrices(self, graph: Graph, m: ThreeFactors) -> bool:
        """Every factor has two axes or more: a product with a vector drops an axis."""
        return all((graph.type(factor).rank or 0) >= 2 for factor in m.factors)

    @requirement
    def nothing_else_reads_the_inner_product(self, graph: Graph, m: ThreeFactors) -> bool:
        """Only the outer product reads the inner one, so that it goes."""
        return graph.sole_reader(m.inner) is not None

    def replaces(self, graph: Graph, match: ThreeFactors) -> tuple[int, ...]:
        """Both products."""
        return (match.inner.node, match.result.node)

    def apply(self, edit: Edit, m: ThreeFactors) -> None:
        """Multiply in the other order."""
        a, b, c = m.factors
        if m.left:
            y = edit.add(MatMul(), a, edit.add(MatMul(), b, c, like=m.inner.node), like=m.result.node)
        else:
            y = edit.add(MatMul(), edit.add(MatMul(), a, b, like=m.inner.node), c, like=m.result.node)
        edit.replace(m.result, y)


def _factors(graph: Graph, node: int, *, left: bool) -> ThreeFactors | None:
    """Three factors whose inner product stands on one side of a node's."""
    operands = graph.operands(node)
    inner, other = operands if left else operands[::-1]
    if inner is None or other is None or not isinstance(graph.producer(inner), MatMul):
        return None
    first, second = graph.operands(inner.node)
    assert first is not None
    assert second is not None
    factors = (first, second, other) if left else (other, first, second)
    return ThreeFactors(factors=factors, inner=inner, left=left, result=Value(node, 0))
