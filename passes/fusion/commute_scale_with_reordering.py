"""Multiply by a number before values are reordered or reshaped, where what makes them takes the factor.

    transpose(conv(x)) · c  ->  transpose(conv(x) · c)        reshape(x·W + b) / c  ->  reshape((x·W + b) / c)

c is one number; between may be any Transpose, Reshape, Flatten, Squeeze, Unsqueeze, DepthToSpace and
SpaceToDepth. The factor then goes into the weights: that is how attention divides by the root of its width.
Exact: each element is multiplied by the same number, wherever it stands.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    DepthToSpace,
    Div,
    Flatten,
    Mul,
    Op,
    Reshape,
    SpaceToDepth,
    Squeeze,
    Transpose,
    Unsqueeze,
)
from convgraph.passes.fusion.after_convolution import convolution, convolution_before
from convgraph.passes.fusion.after_gemm import product_before
from convgraph.passes.fusion.scalars import beside_a_number, pairs_in_order
from convgraph.passes.rewrite import Measure, Rewrite, requirement

_REORDERINGS = (Transpose, Reshape, Flatten, Squeeze, Unsqueeze, DepthToSpace, SpaceToDepth)
_MOST = 8  # reorderings passed; from each node of a chain of thousands, all those before it would be


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledReordering:
    """The value to scale instead, its reorderings, first to last, and what scales the last by a number."""

    source: Value
    reorderings: tuple[int, ...]
    scale: int
    number: float


def reorderings_before_scales(graph: Graph) -> tuple[int, int]:
    """Measure: how many operations there are, then how many reorderings stand before those that scale."""
    return pairs_in_order(graph, first=_REORDERINGS, then=(Mul, Div))


@dataclass(frozen=True, kw_only=True)
class CommuteScaleWithReordering(Rewrite[ScaledReordering]):
    """Multiply by a number before values are reordered, where what makes them takes the factor."""

    name: ClassVar[str] = "commute-scale-with-reordering"
    roots: ClassVar[tuple[type[Op], ...]] = (Mul, Div)
    measure: ClassVar[Measure] = staticmethod(reorderings_before_scales)

    def find(self, graph: Graph, node: int) -> ScaledReordering | None:
        """A product or quotient of a number and the reordered result of a convolution or matrix product."""
        beside = beside_a_number(graph, node)
        if beside is None or (beside[2] and isinstance(graph.op(node), Div)):
            return None
        value: Value | None
        value, number, _ = beside
        nodes: list[int] = []
        while value is not None and isinstance(graph.producer(value), _REORDERINGS) and len(nodes) < _MOST:
            nodes.append(value.node)
            value = graph.operand(value.node, 0)
        if value is None or not nodes or not _takes_a_factor(graph, value):
            return None
        return ScaledReordering(source=value, reorderings=tuple(reversed(nodes)), scale=node, number=number)

    @requirement
    def nothing_else_reads_what_is_between(self, graph: Graph, m: ScaledReordering) -> bool:
        """Each reordered value has no other reader, and the graph does not return it."""
        return all(graph.sole_reader(Value(node, 0)) is not None for node in m.reorderings)

    def apply(self, edit: Edit, m: ScaledReordering) -> None:
        """Scale first, then reorder."""
        kind = edit.graph.type(m.source).dtype.numpy
        number = edit.constant(np.array(m.number, kind), name="factor")
        value = edit.add(edit.graph.op(m.scale), m.source, number, like=m.scale)
        for node in m.reorderings:
            _, *rest = edit.graph.operands(node)
            value = edit.add(edit.graph.op(node), value, *rest, like=node)
        edit.replace(Value(m.scale, 0), value)


def _takes_a_factor(graph: Graph, value: Value) -> bool:
    """Whether only one operation reads a value that is made with constant weights, which can be scaled."""
    if graph.sole_reader(value) is None or graph.type(value).rank is None:
        return False
    conv, product = convolution_before(graph, value), product_before(graph, value)
    if conv is not None:
        return convolution(graph, conv).activation is None and _are_constant(graph, graph.operands(conv)[1:3])
    if product is None or graph.sole_reader(product.product) is None or not graph.type(value).dtype.is_float:
        return False
    return (graph.type(product.b).rank or 0) >= 2 and _are_constant(graph, (product.b, product.c))


def _are_constant(graph: Graph, values: tuple[Value | None, ...]) -> bool:
    return all(value is None or graph.constant(value) is not None for value in values)
