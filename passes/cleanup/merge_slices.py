"""Split a value once, where Slices take all parts of it, one after the other.

    x[: a], x[a : b], x[b :]  ->  split(x; a, b − a, …)        along one axis

Each part is taken by one Slice. It is fewer operations, and the spelling of chunks that other rewrites look
for. Exact: elements are copied.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Op, Slice, Split
from convgraph.passes.cleanup.parts import part
from convgraph.passes.cleanup.slices import constant_cuts
from convgraph.passes.rewrite import Rewrite, requirement

_MOST = 64  # Slices of one value: more are not looked through


@dataclass(frozen=True, slots=True, kw_only=True)
class AllParts:
    """Slices of x that take all of an axis, in order, and how much each takes; None: not known."""

    x: Value
    axis: int
    slices: tuple[Value, ...]
    sizes: tuple[int, ...] | None


@dataclass(frozen=True, kw_only=True)
class MergeSlices(Rewrite[AllParts]):
    """Split a value once, where Slices take all parts of it, one after the other."""

    name: ClassVar[str] = "merge-slices"
    roots: ClassVar[tuple[type[Op], ...]] = (Slice,)

    def find(self, graph: Graph, node: int) -> AllParts | None:
        """The first of several Slices that take all of an axis of one value."""
        cuts = constant_cuts(graph, node)
        axis = next(iter(cuts or {}), -1)
        first = part(graph, Value(node, 0), axis)
        if first is None or first.start != 0 or first.end is None:
            return None
        others = _to_the_end(first.end, _begins(graph, first.x, axis))
        if not others:
            return None
        slices = (Value(node, 0), *others)
        known = tuple(size for size in (graph.type(s).dim(axis) for s in slices) if isinstance(size, int))
        sizes = known if len(known) == len(slices) else None
        return AllParts(x=first.x, axis=axis, slices=slices, sizes=sizes)

    @requirement
    def the_sizes_are_known(self, graph: Graph, m: AllParts) -> bool:
        """How much each Slice takes is a number."""
        return m.sizes is not None

    def apply(self, edit: Edit, m: AllParts) -> None:
        """Put a Split in the place of all Slices."""
        first, *_ = m.slices
        sizes = edit.constant(np.array(m.sizes, np.int64), name="split")
        count = len(m.slices)
        pieces = edit.add_all(Split(axis=m.axis), m.x, sizes, like=first.node, outputs=count)
        for taken, piece in zip(m.slices, pieces, strict=True):
            edit.replace(taken, piece)


def _to_the_end(start: int, begins: dict[int, tuple[Value, int | None]]) -> list[Value]:
    """Slices one after the other from a place to the end of the axis; none where there is a gap."""
    found, reached = list[Value](), start
    while reached in begins:
        value, end = begins.pop(reached)
        found.append(value)
        if end is None:
            return found
        reached = end
    return []


def _begins(graph: Graph, x: Value, axis: int) -> dict[int, tuple[Value, int | None]]:
    """Slices of x along one axis that take more than nothing, and where they end, by where they begin."""
    uses = graph.readers(x)
    slices = [use.node for use in uses if isinstance(graph.op(use.node), Slice)] if len(uses) <= _MOST else []
    found = [(Value(node, 0), part(graph, Value(node, 0), axis)) for node in slices]
    known = [(value, p) for value, p in found if p is not None and (p.end is None or p.end > p.start)]
    return {p.start: (value, p.end) for value, p in known}
