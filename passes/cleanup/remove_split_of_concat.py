"""Read the parts themselves, where a Split takes apart what a Concat joined.

    split(concat(a, b, c))  ->  a, b, c        along one axis, into pieces as long as a, b and c

Exact: elements are copied.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Concat, Op, Split
from convgraph.passes.cleanup.handed_on import may_stand_for
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitConcat:
    """Each piece, and the part of the Concat that it is."""

    pairs: tuple[tuple[Value, Value], ...]


@dataclass(frozen=True, kw_only=True)
class RemoveSplitOfConcat(Rewrite[SplitConcat]):
    """Read the parts themselves, where a Split takes apart what a Concat joined."""

    name: ClassVar[str] = "remove-split-of-concat"
    roots: ClassVar[tuple[type[Op], ...]] = (Split,)

    def find(self, graph: Graph, node: int) -> SplitConcat | None:
        """A Split of a Concat along the same axis, into pieces of the same number and sizes, all known."""
        op, joined = graph.op(node), graph.operand(node, 0)
        concat = None if joined is None else graph.producer(joined)
        if joined is None or not isinstance(op, Split) or not isinstance(concat, Concat):
            return None
        rank, pieces, parts = graph.type(joined).rank, graph.results(node), graph.operands(joined.node)
        if not rank or op.axis % rank != concat.axis % rank or len(pieces) != len(parts):
            return None
        pairs = tuple((piece, part) for piece, part in zip(pieces, parts, strict=True) if part is not None)
        sizes = [(graph.type(a).dim(op.axis), graph.type(b).dim(op.axis)) for a, b in pairs]
        same = all(isinstance(a, int) and a == b for a, b in sizes)
        return SplitConcat(pairs=pairs) if same else None

    @requirement
    def the_names_of_the_interface_stay(self, graph: Graph, m: SplitConcat) -> bool:
        """It does not join a graph output to a graph input or another output, two names that must stay."""
        return all(may_stand_for(graph, part, piece) for piece, part in m.pairs)

    def apply(self, edit: Edit, m: SplitConcat) -> None:
        """Let what reads each piece read the part."""
        for piece, part in m.pairs:
            edit.replace(piece, part)
