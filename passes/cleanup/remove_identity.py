"""Remove operations that hand their operand on unchanged.

    identity(x) -> x        cast(x, type of x) -> x        concat(x) = sum(x) = max(x) = min(x) = mean(x) -> x
    transpose(x, 0 1 2 …) -> x        slice(x, everything) -> x        pad(x, 0 0 0 …) -> x
    reshape(x) = flatten(x) = squeeze(x) = unsqueeze(x) = expand(x) -> x        where the shape stays

Exact: nothing is computed before or after.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Cast,
    Concat,
    Expand,
    Identity,
    Max,
    Mean,
    Min,
    Op,
    Pad,
    Slice,
    Sum,
    Transpose,
)
from convgraph.passes.cleanup.broadcasting import asked_shape, joint
from convgraph.passes.cleanup.handed_on import HandedOn, PassedOn
from convgraph.passes.cleanup.same_elements import ARRANGING, arrangement, keeps_order
from convgraph.passes.cleanup.slices import left_out


@dataclass(frozen=True, kw_only=True)
class RemoveIdentity(HandedOn):
    """Remove operations that hand their operand on unchanged."""

    name: ClassVar[str] = "remove-identity"
    roots: ClassVar[tuple[type[Op], ...]] = (
        Identity,
        Cast,
        Concat,
        Sum,
        Max,
        Min,
        Mean,
        Slice,
        Pad,
        Expand,
        *ARRANGING,
    )

    def find(self, graph: Graph, node: int) -> PassedOn | None:
        """An operation whose result is its first operand."""
        source = graph.operand(node, 0)
        if source is None or not _changes_nothing(graph, node, source):
            return None
        return PassedOn(source=source, result=Value(node, 0))


def _changes_nothing(graph: Graph, node: int, source: Value) -> bool:
    op = graph.op(node)
    if isinstance(op, Cast):
        return op.to is graph.type(source).dtype
    if isinstance(op, Transpose) and op.perm is not None and op.perm == tuple(range(len(op.perm))):
        return True
    if isinstance(op, ARRANGING):
        how = arrangement(graph, source, Value(node, 0)) if keeps_order(graph, node) else None
        return how is not None and how.op is None
    if isinstance(op, Expand):
        shape, asked = graph.type(source).shape, asked_shape(graph, graph.operand(node, 1))
        if shape is None or asked is None or None in (*shape, *asked):
            return False
        return joint(shape, asked) == shape
    if isinstance(op, (Slice, Pad)):
        gone = left_out(graph, node)
        return gone is not None and not any(any(ends) for ends in gone.values())
    return len(graph.operands(node)) == 1
