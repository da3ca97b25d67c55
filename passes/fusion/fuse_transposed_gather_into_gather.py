"""Gather along an axis where it is, instead of bringing it to the front and back.

    transpose(gather(transpose(x, p), i, axis a), p⁻¹)  ->  gather(x, i, axis p(a))
    gathernd(x, i; one number a row)  =  gather(x, i, axis 0)

Exact: elements move, nothing is computed. PyTorch's exporter spells a selection or a permutation of channels,
``x[:, order]``, so, with a GatherND.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Gather, Op, Opaque, Transpose
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class TransposedGather:
    """x, x with its axes in another order, what is gathered from that by which indices, and the result."""

    x: Value
    moved: Value
    indices: Value
    gathered: Value
    result: Value


@dataclass(frozen=True, kw_only=True)
class FuseTransposedGatherIntoGather(Rewrite[TransposedGather]):
    """Gather along an axis where it is, instead of bringing it to the front and back."""

    name: ClassVar[str] = "fuse-transposed-gather-into-gather"
    roots: ClassVar[tuple[type[Op], ...]] = (Transpose,)
    makes: ClassVar[tuple[type[Op], ...]] = (Gather,)

    def find(self, graph: Graph, node: int) -> TransposedGather | None:
        """A Transpose of a Gather, or a GatherND, of a Transpose."""
        gathered = graph.operand(node, 0)
        if gathered is None or not _gathers(graph.producer(gathered)):
            return None
        moved, indices = graph.operands(gathered.node)
        if moved is None or indices is None or not isinstance(graph.producer(moved), Transpose):
            return None
        x = graph.operand(moved.node, 0)
        return x and TransposedGather(
            x=x, moved=moved, indices=indices, gathered=gathered, result=Value(node, 0)
        )

    @requirement
    def the_axes_come_back(self, graph: Graph, m: TransposedGather) -> bool:
        """The second transposition undoes the first."""
        there, back = _perm(graph, m.moved), _perm(graph, m.result)
        return len(there) == len(back) > 0 and all(back[axis] == at for at, axis in enumerate(there))

    @requirement
    def it_gathers_along_one_axis(self, graph: Graph, m: TransposedGather) -> bool:
        """The indices of a GatherND are constant, one number each."""
        if isinstance(graph.producer(m.gathered), Gather):
            return True
        indices = graph.constant(m.indices)
        return indices is not None and len(indices.shape) == 2

    @requirement
    def nothing_else_reads_what_is_gathered(self, graph: Graph, m: TransposedGather) -> bool:
        """Only the second transposition reads it, so that both go."""
        return graph.sole_reader(m.gathered) is not None

    def apply(self, edit: Edit, m: TransposedGather) -> None:
        """Gather from x itself."""
        graph, there = edit.graph, _perm(edit.graph, m.moved)
        op, indices, axis = graph.producer(m.gathered), m.indices, 0
        if isinstance(op, Gather):
            axis = op.axis
        else:
            constant = graph.constant(m.indices)
            assert constant is not None
            indices = edit.constant(constant.numpy().reshape(-1), like=m.indices)
        edit.replace(m.result, edit.add(Gather(axis=there[axis]), m.x, indices, like=m.gathered.node))


def _gathers(op: Op) -> bool:
    return isinstance(op, Gather) or (isinstance(op, Opaque) and (op.domain, op.op_type) == ("", "GatherND"))


def _perm(graph: Graph, value: Value) -> tuple[int, ...]:
    op = graph.producer(value)
    return (op.perm or ()) if isinstance(op, Transpose) else ()
