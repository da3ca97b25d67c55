"""Slice once, where Slices follow a Slice.

    x[a:b][c:d]  ->  x[a + c : min(b, a + d)]        x[a::s][c::t]  ->  x[a + c·s :: s·t]

and likewise for negative numbers, as far as sizes are known; Slices of different axes go together whatever
the sizes. All that read the first Slice are Slices, so that it goes. Exact: elements are copied.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Op, Slice
from convgraph.ir.ops.layout import FAR, Cut, python_slice
from convgraph.ir.tensor import Dim
from convgraph.passes.cleanup.slices import constant_cuts, cut_of
from convgraph.passes.rewrite import Rewrite, requirement

_END = 2**63 - 1
_Cuts = Mapping[int, Cut]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicedSlice:
    """A Slice of x, the Slices that read it, and what each takes of x; None where that is not known."""

    x: Value
    inner: int
    outer: tuple[int, ...]
    taken: tuple[_Cuts | None, ...]


@dataclass(frozen=True, kw_only=True)
class ComposeSlices(Rewrite[SlicedSlice]):
    """Slice once, where Slices follow a Slice."""

    name: ClassVar[str] = "compose-slices"
    roots: ClassVar[tuple[type[Op], ...]] = (Slice,)

    def find(self, graph: Graph, node: int) -> SlicedSlice | None:
        """A Slice that nothing but Slices reads."""
        uses = graph.readers(Value(node, 0))
        if not uses or not all(use.slot == 0 and isinstance(graph.op(use.node), Slice) for use in uses):
            return None
        x, readers = graph.operand(node, 0), tuple(use.node for use in uses)
        taken = tuple(_both(graph, node, reader) for reader in readers)
        return x and SlicedSlice(x=x, inner=node, outer=readers, taken=taken)

    @requirement
    def one_slice_takes_the_same(self, graph: Graph, m: SlicedSlice) -> bool:
        """What is taken of each axis is constant, and can be said with one start, end and step."""
        return None not in m.taken

    @requirement
    def the_graph_does_not_return_the_first(self, graph: Graph, m: SlicedSlice) -> bool:
        """No caller gets what the first Slice takes."""
        return not graph.is_output(Value(m.inner, 0))

    def apply(self, edit: Edit, m: SlicedSlice) -> None:
        """Put Slices of x in the place of those of the first one."""
        for node, cuts in zip(m.outer, m.taken, strict=True):
            assert cuts is not None
            columns = (*zip(*cuts.values(), strict=True),)
            starts, ends, steps = columns or ((), (), ())
            numbers = {"starts": starts, "ends": ends, "axes": tuple(cuts), "steps": steps}
            constants = [edit.constant(np.array(column, np.int64), name=n) for n, column in numbers.items()]
            given = constants if set(steps) - {1} else constants[:3]
            edit.replace(Value(node, 0), edit.add(Slice(), m.x, *given, like=node))


def _both(graph: Graph, inner: int, outer: int) -> _Cuts | None:
    """What two Slices, one after the other, take of each axis."""
    first, second, x = constant_cuts(graph, inner), constant_cuts(graph, outer), graph.operand(inner, 0)
    if first is None or second is None or x is None:
        return None
    kind, cuts = graph.type(x), dict(first)
    for axis, cut in second.items():
        both = composed(cuts[axis], cut, size=kind.dim(axis)) if axis in cuts else cut
        if both is None:
            return None
        cuts[axis] = both
    return dict(sorted(cuts.items()))


def composed(first: Cut, second: Cut, *, size: Dim) -> Cut | None:
    """What ``x[first][second]`` takes of x; None where that depends on a size that is not known."""
    if isinstance(size, int):
        places = range(size)[python_slice(first, size)]
        return cut_of(places[python_slice(second, len(places))], size)
    if min(first.start, second.start) < 0 or min(first.step, second.step) < 1:
        return None
    start, step = first.start + second.start * first.step, first.step * second.step
    open_ends = [cut.end >= FAR for cut in (first, second)]
    if all(open_ends):
        return Cut(start, _END, step)
    if step > 1:
        return None
    ends = [first.end, second.end + first.start if second.end >= 0 else second.end]
    if open_ends[0] or open_ends[1]:
        return Cut(start, ends[open_ends[0]], 1)
    if ends[0] < 0 and ends[1] < 0:
        return Cut(start, sum(ends), 1)
    return Cut(start, min(ends), 1) if min(ends) >= 0 else None
