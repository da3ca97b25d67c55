"""Put axes in another order once, where that happens twice in a row.

    transpose(transpose(x; p); q)  ->  transpose(x; p∘q)        transpose(transpose(x; p); p⁻¹)  ->  x

Exact: elements move, nothing is computed.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Op, Transpose
from convgraph.passes.cleanup.handed_on import may_stand_for
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class TransposedTwice:
    """x, x with its axes in another order, that in one more, and which axes of x these are."""

    x: Value
    first: Value
    second: Value
    perm: tuple[int, ...]

    @property
    def is_undone(self) -> bool:
        """Whether the axes are those of x again."""
        return self.perm == tuple(range(len(self.perm)))


@dataclass(frozen=True, kw_only=True)
class ComposeTransposes(Rewrite[TransposedTwice]):
    """Put axes in another order once, where that happens twice in a row."""

    name: ClassVar[str] = "compose-transposes"
    roots: ClassVar[tuple[type[Op], ...]] = (Transpose,)

    def find(self, graph: Graph, node: int) -> TransposedTwice | None:
        """A Transpose of a Transpose."""
        outer, first = graph.op(node), graph.operand(node, 0)
        inner = None if first is None else graph.producer(first)
        if first is None or not isinstance(inner, Transpose) or not isinstance(outer, Transpose):
            return None
        x, rank = graph.operand(first.node, 0), graph.type(first).rank
        if x is None or rank is None:
            return None
        there = inner.order(rank)
        perm = tuple(there[axis] for axis in outer.order(rank))
        return TransposedTwice(x=x, first=first, second=Value(node, 0), perm=perm)

    @requirement
    def one_of_them_goes(self, graph: Graph, m: TransposedTwice) -> bool:
        """Only the second reads the first, or it undoes the first and its readers can read x."""
        undone = m.is_undone and may_stand_for(graph, m.x, m.second)
        return undone or graph.sole_reader(m.first) is not None

    def apply(self, edit: Edit, m: TransposedTwice) -> None:
        """Read x, with one Transpose unless the order is that of x."""
        op = Transpose(perm=m.perm)
        edit.replace(m.second, m.x if m.is_undone else edit.add(op, m.x, like=m.second.node))
