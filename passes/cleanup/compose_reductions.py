"""Reduce along all axes at once, where that happens one after the other.

    mean(mean(x; axes a); axes b)  ->  mean(x; axes a, b)

and likewise for sums, products, maxima and minima. Both keep the axes that they reduce, or neither does. A
mean of means is the mean of all, as each is of as many; of whole numbers each mean is rounded by itself.
Exact in real arithmetic.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Op, ReduceMax, ReduceMean, ReduceMin, ReduceProd, ReduceSum, Reduction
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class ReducedTwice:
    """Two reductions of one kind, and the axes of x that go; None where they are not known."""

    inner: int
    outer: int
    axes: tuple[int, ...] | None


@dataclass(frozen=True, kw_only=True)
class ComposeReductions(Rewrite[ReducedTwice]):
    """Reduce along all axes at once, where that happens one after the other."""

    name: ClassVar[str] = "compose-reductions"
    roots: ClassVar[tuple[type[Op], ...]] = (ReduceMax, ReduceMean, ReduceMin, ReduceProd, ReduceSum)

    def find(self, graph: Graph, node: int) -> ReducedTwice | None:
        """A reduction of a reduction of the same kind."""
        between, op = graph.operand(node, 0), graph.op(node)
        inner = None if between is None else graph.producer(between)
        if between is None or type(inner) is not type(op) or not isinstance(inner, Reduction):
            return None
        return ReducedTwice(inner=between.node, outer=node, axes=_axes(graph, between.node, node))

    @requirement
    def the_axes_are_constant(self, graph: Graph, m: ReducedTwice) -> bool:
        """Both say along which axes they reduce, and do it along one at least."""
        return bool(m.axes)

    @requirement
    def both_treat_the_axes_alike(self, graph: Graph, m: ReducedTwice) -> bool:
        """Both keep the axes that they reduce, or neither does."""
        return _reduction(graph, m.inner).keepdims == _reduction(graph, m.outer).keepdims

    @requirement
    def nothing_is_rounded_between(self, graph: Graph, m: ReducedTwice) -> bool:
        """Means are of floating-point numbers."""
        is_mean = isinstance(graph.op(m.inner), ReduceMean)
        return not is_mean or graph.type(Value(m.inner, 0)).dtype.is_float

    @requirement
    def nothing_else_reads_the_inner_one(self, graph: Graph, m: ReducedTwice) -> bool:
        """Only the outer reduction reads the inner one, so that it goes."""
        return graph.sole_reader(Value(m.inner, 0)) is not None

    def apply(self, edit: Edit, m: ReducedTwice) -> None:
        """Put one reduction along all the axes in the place of both."""
        op = replace(_reduction(edit.graph, m.inner), noop_with_empty_axes=0)
        axes = edit.constant(np.array(m.axes, np.int64), name="axes")
        once = edit.add(op, edit.graph.operand(m.inner, 0), axes, like=m.outer)
        edit.replace(Value(m.outer, 0), once)


def _reduction(graph: Graph, node: int) -> Reduction:
    op = graph.op(node)
    assert isinstance(op, Reduction)
    return op


def _axes(graph: Graph, inner: int, outer: int) -> tuple[int, ...] | None:
    """The axes of what the inner reduction reads along which either reduces."""
    first, second, data = _reduced(graph, inner), _reduced(graph, outer), graph.operand(inner, 0)
    rank = None if data is None else graph.type(data).rank
    if first is None or second is None or rank is None:
        return None
    kept = range(rank) if _reduction(graph, inner).keepdims else [a for a in range(rank) if a not in first]
    return tuple(sorted({*first, *(kept[axis] for axis in second)}))


def _reduced(graph: Graph, node: int) -> tuple[int, ...] | None:
    data, axes = graph.operand(node, 0), graph.operand(node, 1)
    if data is None or (axes is not None and graph.constant(axes) is None):
        return None
    return _reduction(graph, node).reduced_axes(graph.type(data), axes and graph.type(axes))
