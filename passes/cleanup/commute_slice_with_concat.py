"""Slice the part of a Concat from which a Slice takes everything.

    concat(a, b, c)[i : j]  ->  b[i − |a| : j − |a|]        where |a| ≤ i and j ≤ |a| + |b|

along the axis of the Concat; other axes may be cut as well. Where all of b is taken that is left to what
removes Slices. Exact: elements are copied.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Concat, Op, Slice
from convgraph.ir.ops.layout import Cut, python_slice
from convgraph.passes.cleanup.slices import constant_cuts, cut_of
from convgraph.passes.fusion.commute_slice_with_conv import traffic
from convgraph.passes.rewrite import Measure, Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicedConcat:
    """The part from which everything is taken, None if it is more than one, and what is taken of its axes."""

    part: Value | None
    cuts: Mapping[int, Cut]
    result: Value


@dataclass(frozen=True, kw_only=True)
class CommuteSliceWithConcat(Rewrite[SlicedConcat]):
    """Slice the part of a Concat from which a Slice takes everything."""

    name: ClassVar[str] = "commute-slice-with-concat"
    roots: ClassVar[tuple[type[Op], ...]] = (Slice,)
    measure: ClassVar[Measure] = staticmethod(traffic)

    def find(self, graph: Graph, node: int) -> SlicedConcat | None:
        """A Slice that cuts the axis along which a Concat joins parts of known sizes."""
        joined = graph.operand(node, 0)
        op = None if joined is None else graph.producer(joined)
        if joined is None or not isinstance(op, Concat):
            return None
        kind, parts, cuts = graph.type(joined), graph.operands(joined.node), constant_cuts(graph, node)
        axis = op.axis % (kind.rank or 1)
        sizes = [0 if part is None else graph.type(part).dim(axis) for part in parts]
        known = [size for size in sizes if isinstance(size, int)]
        if cuts is None or axis not in cuts or len(known) < len(parts):
            return None
        places = range(sum(known))[python_slice(cuts[axis], sum(known))]
        at, cut = _inside(places, known)
        part = None if at is None else parts[at]
        return SlicedConcat(part=part, cuts={**cuts, axis: cut}, result=Value(node, 0))

    @requirement
    def everything_is_of_one_part(self, graph: Graph, m: SlicedConcat) -> bool:
        """What it takes, if it takes anything, lies within one of the parts."""
        return m.part is not None

    def apply(self, edit: Edit, m: SlicedConcat) -> None:
        """Slice the part."""
        numbers = zip(*((cut.start, cut.end, axis, cut.step) for axis, cut in m.cuts.items()), strict=True)
        constants = [edit.constant(np.array(column, np.int64), name="cut") for column in numbers]
        edit.replace(m.result, edit.add(Slice(), m.part, *constants, like=m.result.node))


def _inside(places: range, sizes: list[int]) -> tuple[int | None, Cut]:
    """Which part has all these places, and how they are taken of it; None when it is not one alone."""
    if not places:
        return None, Cut(0, 0, 1)
    ends = list(accumulate(sizes))
    at = next(number for number, end in enumerate(ends) if places[0] < end)
    begin = ends[at] - sizes[at]
    if not begin <= places[-1] < ends[at]:
        return None, Cut(0, 0, 1)
    return at, cut_of(range(places[0] - begin, places[-1] - begin + places.step, places.step), sizes[at])
