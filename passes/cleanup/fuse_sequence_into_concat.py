"""Join values directly where a model puts them into a list only to join them.

    concat_from_sequence(sequence_construct(a, b, …)) -> concat(a, b, …)

Exact: nothing is computed. Exporters write Python's lists of values as sequences.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.analysis.elements import stated
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Concat, Op, Opaque
from convgraph.passes.cleanup.fuse_sequence_into_slice import is_sequence_op
from convgraph.passes.rewrite import Measure, Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedList:
    """What joins a list, and the values in it."""

    node: int
    op: Opaque
    elements: tuple[Value | None, ...]


def joined_lists(graph: Graph) -> int:
    """Measure: how many lists are joined."""
    return sum(is_sequence_op(graph.op(node), "ConcatFromSequence") for node in graph.compute_nodes())


@dataclass(frozen=True, kw_only=True)
class FuseSequenceIntoConcat(Rewrite[JoinedList]):
    """Join values directly where a model puts them into a list only to join them."""

    name: ClassVar[str] = "fuse-sequence-into-concat"
    roots: ClassVar[tuple[type[Op], ...]] = (Opaque,)
    measure: ClassVar[Measure] = staticmethod(joined_lists)

    def find(self, graph: Graph, node: int) -> JoinedList | None:
        """A ConcatFromSequence of a SequenceConstruct."""
        op, sequence = graph.op(node), graph.operand(node, 0)
        if not isinstance(op, Opaque) or not is_sequence_op(op, "ConcatFromSequence"):
            return None
        if sequence is None or not is_sequence_op(graph.producer(sequence), "SequenceConstruct"):
            return None
        elements = graph.operands(sequence.node)
        return JoinedList(node=node, op=op, elements=elements) if elements and None not in elements else None

    @requirement
    def it_joins_along_an_axis_they_have(self, graph: Graph, m: JoinedList) -> bool:
        """It says along which axis it joins them, which has no default, and adds none to join along."""
        return "axis" in m.op.encoded and stated(m.op, "new_axis", 0) == 0

    def apply(self, edit: Edit, m: JoinedList) -> None:
        """Put a Concat in its place."""
        joined = edit.add(Concat(axis=stated(m.op, "axis", 0)), *m.elements, like=m.node)
        edit.replace(Value(m.node, 0), joined)
