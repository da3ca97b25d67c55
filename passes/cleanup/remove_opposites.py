"""Remove two operations in a row that undo each other.

    ¬¬x -> x        −(−x) -> x

Exact. Exporters negate masks, and what reads them negates them again.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Neg, Not, Op
from convgraph.passes.cleanup.handed_on import may_stand_for
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """A value, what is made of it, and that undone."""

    x: Value
    between: Value
    again: Value


@dataclass(frozen=True, kw_only=True)
class RemoveOpposites(Rewrite[Undone]):
    """Remove two operations in a row that undo each other."""

    name: ClassVar[str] = "remove-opposites"
    roots: ClassVar[tuple[type[Op], ...]] = (Not, Neg)

    def find(self, graph: Graph, node: int) -> Undone | None:
        """A Not of a Not, or a Neg of a Neg."""
        between = graph.operand(node, 0)
        if between is None or type(graph.producer(between)) is not type(graph.op(node)):
            return None
        x = graph.operand(between.node, 0)
        return None if x is None else Undone(x=x, between=between, again=Value(node, 0))

    @requirement
    def an_operation_goes(self, graph: Graph, m: Undone) -> bool:
        """Not both the first stays, being read elsewhere, and a copy of x, with a name that must stay."""
        return graph.sole_reader(m.between) is not None or may_stand_for(graph, m.x, m.again)

    def apply(self, edit: Edit, m: Undone) -> None:
        """Let the readers read x."""
        edit.replace(m.again, m.x)
