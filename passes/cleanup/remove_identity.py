"""Remove operations that hand their operand on unchanged.

    identity(x) -> x        cast(x, type of x) -> x        concat(x) = sum(x) = max(x) = min(x) = mean(x) -> x
    transpose(x, 0 1 2 …) -> x        slice(x, everything) -> x        pad(x, 0 0 0 …) -> x

Exact: nothing is computed before or after.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Cast,
    Concat,
    Identity,
    Input,
    Max,
    Mean,
    Min,
    Op,
    Pad,
    Slice,
    Sum,
    Transpose,
)
from convgraph.passes.cleanup.slices import left_out
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOn:
    """``result`` always equals ``source``."""

    source: Value
    result: Value


@dataclass(frozen=True, kw_only=True)
class RemoveIdentity(Rewrite[PassedOn]):
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
        Transpose,
        Slice,
        Pad,
    )

    def find(self, graph: Graph, node: int) -> PassedOn | None:
        """An operation whose result is its first operand."""
        source = graph.operand(node, 0)
        if source is None or not _changes_nothing(graph, node, source):
            return None
        return PassedOn(source=source, result=Value(node, 0))

    @requirement
    def the_names_of_the_interface_stay(self, graph: Graph, m: PassedOn) -> bool:
        """It does not join a graph output to a graph input or another output, two names that must stay."""
        return may_stand_for(graph, m.source, m.result)

    def apply(self, edit: Edit, m: PassedOn) -> None:
        """Let the readers read the source."""
        edit.replace(m.result, m.source)


def may_stand_for(graph: Graph, source: Value, result: Value) -> bool:
    """Whether ``source`` can take the place of ``result`` without an Identity that keeps a name."""
    fixed = graph.is_output(source) or isinstance(graph.producer(source), Input)
    return not (fixed and graph.is_output(result))


def _changes_nothing(graph: Graph, node: int, source: Value) -> bool:
    op = graph.op(node)
    if isinstance(op, Cast):
        return op.to is graph.type(source).dtype
    if isinstance(op, Transpose):
        return op.perm is not None and op.perm == tuple(range(len(op.perm)))
    if isinstance(op, (Slice, Pad)):
        gone = left_out(graph, node)
        return gone is not None and not any(any(ends) for ends in gone.values())
    return len(graph.operands(node)) == 1
