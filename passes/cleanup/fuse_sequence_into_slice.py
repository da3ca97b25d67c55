"""Take one piece of a value by a Slice, where a model cuts it into a sequence of equal pieces first.

    sequence_at(split_to_sequence(x, k), i) -> x[k·i : k·(i + 1)]        k and i constant

Exact: nothing is computed. PyTorch's exporter writes ``chunk`` and ``split`` as sequences.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.analysis.elements import stated
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Op, Opaque, Slice
from convgraph.passes.rewrite import Measure, Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class PickedPiece:
    """What is cut along which axis into pieces how long, which one is taken, and what it is called."""

    x: Value
    axis: int
    length: int
    place: int
    result: Value


def sequence_picks(graph: Graph) -> int:
    """Measure: how many values are taken out of sequences."""
    return sum(is_sequence_op(graph.op(node), "SequenceAt") for node in graph.compute_nodes())


@dataclass(frozen=True, kw_only=True)
class FuseSequenceIntoSlice(Rewrite[PickedPiece]):
    """Take one piece of a value by a Slice, where a model cuts it into a sequence of equal pieces first."""

    name: ClassVar[str] = "fuse-sequence-into-slice"
    roots: ClassVar[tuple[type[Op], ...]] = (Opaque,)
    measure: ClassVar[Measure] = staticmethod(sequence_picks)

    def find(self, graph: Graph, node: int) -> PickedPiece | None:
        """A SequenceAt, by a constant, of a SplitToSequence into pieces of one constant length."""
        if not is_sequence_op(graph.op(node), "SequenceAt"):
            return None
        sequence, place = graph.operand(node, 0), graph.operand(node, 1)
        split = None if sequence is None else graph.producer(sequence)
        if sequence is None or not isinstance(split, Opaque) or not is_sequence_op(split, "SplitToSequence"):
            return None
        x, lengths = graph.operand(sequence.node, 0), graph.operand(sequence.node, 1)
        index, length = graph.constant(place), graph.constant(lengths)
        if x is None or index is None or index.size != 1 or length is None or length.shape != ():
            return None
        return PickedPiece(
            x=x,
            axis=stated(split, "axis", 0),
            length=int(length.numpy()),
            place=int(index.numpy().reshape(-1)[0]),
            result=Value(node, 0),
        )

    @requirement
    def it_counts_from_the_front(self, graph: Graph, m: PickedPiece) -> bool:
        """The number of the piece is not negative: how many pieces there are may depend on a size."""
        return m.place >= 0

    def apply(self, edit: Edit, m: PickedPiece) -> None:
        """Put a Slice in its place."""
        begin = m.place * m.length
        numbers = ((begin,), (begin + m.length,), (m.axis,))
        cut = (edit.constant(np.array(number, np.int64), name="cut") for number in numbers)
        edit.replace(m.result, edit.add(Slice(), m.x, *cut, like=m.result.node))


def is_sequence_op(op: Op, op_type: str) -> bool:
    """Whether an operation is this one of ONNX's own, of which convgraph has no class."""
    return isinstance(op, Opaque) and (op.domain, op.op_type) == ("", op_type)
