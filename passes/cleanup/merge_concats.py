"""Join once, where what is joined was joined before along the same axis, and leave out what has no elements.

    concat(concat(a, b), c)  ->  concat(a, b, c)        concat(a, nothing, c)  ->  concat(a, c)

A Concat that something else reads as well stays. Exact: elements are copied.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Concat, Op
from convgraph.passes.rewrite import Measure, Rewrite, operand_count, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedTwice:
    """The Concat, its operands that join along its axis and may go, and all parts that have elements."""

    node: int
    inner: tuple[int, ...]
    parts: tuple[Value, ...]


@dataclass(frozen=True, kw_only=True)
class MergeConcats(Rewrite[JoinedTwice]):
    """Join once, where what is joined was joined before, and leave out what has no elements."""

    name: ClassVar[str] = "merge-concats"
    roots: ClassVar[tuple[type[Op], ...]] = (Concat,)
    measure: ClassVar[Measure] = staticmethod(operand_count)

    def find(self, graph: Graph, node: int) -> JoinedTwice | None:
        """The last of the Concats that join along one axis, or a Concat of something without elements."""
        axis, operands = _axis(graph, node), graph.operands(node)
        if axis is None or _goes(graph, node, axis):
            return None
        nodes = dict.fromkeys(v.node for v in operands if v is not None)
        inner = tuple(before for before in nodes if _axis(graph, before) == axis)
        inner = tuple(before for before in inner if _goes(graph, before, axis)) or inner
        parts = tuple(part for part in _parts(graph, node, inner, axis) if graph.type(part).dim(axis) != 0)
        parts = parts or tuple(value for value in operands[:1] if value is not None)
        return JoinedTwice(node=node, inner=inner, parts=parts) if inner or parts != operands else None

    @requirement
    def only_this_one_reads_the_inner_ones(self, graph: Graph, m: JoinedTwice) -> bool:
        """Nothing else reads or returns what is joined first, so that it goes."""
        return all(graph.sole_reader(Value(node, 0)) is not None for node in m.inner)

    def apply(self, edit: Edit, m: JoinedTwice) -> None:
        """Put one Concat of all parts in its place."""
        edit.replace(Value(m.node, 0), edit.add(edit.graph.op(m.node), *m.parts, like=m.node))


def _axis(graph: Graph, node: int) -> int | None:
    """The axis of a Concat, counted from the front; None for anything else or of unknown rank."""
    op, rank = graph.op(node), graph.type(Value(node, 0)).rank
    return op.axis % rank if isinstance(op, Concat) and rank else None


def _goes(graph: Graph, node: int, axis: int) -> bool:
    """Whether nothing but one Concat along an axis reads a Concat along that axis."""
    use = graph.sole_reader(Value(node, 0))
    return use is not None and _axis(graph, node) == _axis(graph, use.node) == axis


def _parts(graph: Graph, node: int, inner: Collection[int], axis: int) -> Iterator[Value]:
    """What a Concat joins, and in the place of those inside of it what these join, at any depth."""
    waiting = list(reversed(graph.operands(node)))
    while waiting:
        value = waiting.pop()
        if value is not None and (value.node in inner or _goes(graph, value.node, axis)):
            waiting.extend(reversed(graph.operands(value.node)))
        elif value is not None:
            yield value
