"""Let what reads an expanded value expand it by itself.

    expand(x; shape) + y  ->  x + y        where y is as large as the shape already

for every operation that broadcasts its operands. Exact: the same elements meet.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Expand, Op
from convgraph.passes.cleanup.broadcasting import (
    all_readers_broadcast,
    asked_shape,
    is_as_large_with,
    joint,
)
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class Expanded:
    """x, and x expanded."""

    x: Value
    result: Value


@dataclass(frozen=True, kw_only=True)
class AbsorbExpandIntoBroadcast(Rewrite[Expanded]):
    """Let what reads an expanded value expand it by itself."""

    name: ClassVar[str] = "absorb-expand-into-broadcast"
    roots: ClassVar[tuple[type[Op], ...]] = (Expand,)

    def find(self, graph: Graph, node: int) -> Expanded | None:
        """An Expand that something reads."""
        x, result = graph.operand(node, 0), Value(node, 0)
        return Expanded(x=x, result=result) if x is not None and graph.readers(result) else None

    @requirement
    def all_that_reads_it_broadcasts(self, graph: Graph, m: Expanded) -> bool:
        """Pointwise operations of several operands read it, and the graph does not return it."""
        return all_readers_broadcast(graph, m.result)

    @requirement
    def the_results_are_as_large_without(self, graph: Graph, m: Expanded) -> bool:
        """What reads it with x alone gives results of the same shape."""
        own, asked = graph.type(m.x).shape, asked_shape(graph, graph.operand(m.result.node, 1))
        wide = joint(own, asked)
        can_run = wide is not None or None in (own, asked)
        return can_run and is_as_large_with(graph, m.result, shape=wide, instead=own)

    def apply(self, edit: Edit, m: Expanded) -> None:
        """Let the readers read x."""
        for use in edit.graph.readers(m.result):
            edit.rewire(use, m.x)
