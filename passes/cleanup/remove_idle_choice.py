"""Remove choices between equals, and those that always turn out the same.

    where(c, x, x) = max(x, x) = min(x, x) = x ∧ x = x ∨ x -> x
    where(true, x, y) -> x        where(false, y, x) -> x

Exact. What merging equal operations leaves, and masks that exporters make for options that are off.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import And, Max, Min, Op, Or, Where
from convgraph.passes.cleanup.handed_on import BroadcastOn, PassedOn


@dataclass(frozen=True, kw_only=True)
class RemoveIdleChoice(BroadcastOn):
    """Remove choices between equals, and those that always turn out the same."""

    name: ClassVar[str] = "remove-idle-choice"
    roots: ClassVar[tuple[type[Op], ...]] = (Where, Max, Min, And, Or)

    def find(self, graph: Graph, node: int) -> PassedOn | None:
        """An operation that chooses, on operands of which one is always what it comes to."""
        is_where = isinstance(graph.op(node), Where)
        options = graph.operands(node)[1:] if is_where else graph.operands(node)
        if len(set(options)) != 1 and is_where:
            options = _taken(graph, node)
        if len(set(options)) != 1 or options[0] is None:
            return None
        return PassedOn(source=options[0], result=Value(node, 0))


def _taken(graph: Graph, node: int) -> tuple[Value | None, ...]:
    """What a Where always takes; nothing unless its condition is constant, and the same everywhere."""
    condition, *options = graph.operands(node)
    tensor = graph.constant(condition)
    if tensor is None or not tensor.size:
        return ()
    truths = tensor.numpy()
    return () if truths.any() and not truths.all() else (options[0 if truths.any() else 1],)
