"""Pad with what lies at the other side, where a model joins a value with slices of itself.

    concat(x[−p:], x, x[:q])  ->  pad(x; p, q; wrap)        along one axis, p or q perhaps 0

A panorama goes on at the other side. PyTorch's older exporter spells circular padding with slices, its newer
one with Pad: this makes them one. It is fewer operations, and as fast. Exact: elements are copied.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Concat, Op, Pad, Slice
from convgraph.ir.ops.layout import FAR, Cut, python_slice
from convgraph.ir.tensor import DataType
from convgraph.passes.rewrite import Rewrite, requirement

_SINCE = 19  # the opset whose Pad has this mode
_PADDED_EVERYWHERE = (  # runtimes lack a Pad of other elements
    DataType.FLOAT,
    DataType.DOUBLE,
    DataType.FLOAT16,
    DataType.INT32,
    DataType.INT64,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedSlices:
    """A value, the axis, and the slices of it that a Concat puts before and after it."""

    joined: int
    data: Value
    axis: int
    before: Value | None
    after: Value | None


@dataclass(frozen=True, kw_only=True)
class FuseSlicesIntoWrapPad(Rewrite[WrappedSlices]):
    """Pad with what lies at the other side, where a model joins a value with slices of itself."""

    name: ClassVar[str] = "fuse-slices-into-wrap-pad"
    roots: ClassVar[tuple[type[Op], ...]] = (Concat,)

    def find(self, graph: Graph, node: int) -> WrappedSlices | None:
        """A Concat of a value and of Slices of it, at most one before and one after."""
        op, parts, kind = graph.op(node), graph.operands(node), graph.type(Value(node, 0))
        if not isinstance(op, Concat) or kind.rank is None or not 2 <= len(parts) <= 3:
            return None
        if graph.model.opset < _SINCE or kind.dtype not in _PADDED_EVERYWHERE:
            return None
        data = next((x for x in parts if x and all(y == x or _sliced(graph, y) == x for y in parts)), None)
        if data is None or parts.count(data) != 1:
            return None
        place = parts.index(data)
        before, after = parts[:place], parts[place + 1 :]
        if len(before) > 1 or len(after) > 1:
            return None
        return WrappedSlices(
            joined=node,
            data=data,
            axis=op.axis % kind.rank,
            before=(*before, None)[0],
            after=(*after, None)[0],
        )

    @requirement
    def each_slice_is_of_the_other_side(self, graph: Graph, m: WrappedSlices) -> bool:
        """What comes before is the end of the value, what comes after its begin, by a known length."""
        return _lengths(graph, m) is not None

    @requirement
    def a_slice_goes(self, graph: Graph, m: WrappedSlices) -> bool:
        """Nothing but the Concat reads one of the slices."""
        return any(graph.sole_reader(part) is not None for part in (m.before, m.after) if part is not None)

    def apply(self, edit: Edit, m: WrappedSlices) -> None:
        """Put a Pad in place of the slices and the Concat."""
        lengths, rank = _lengths(edit.graph, m), edit.graph.type(m.data).rank
        assert lengths is not None
        assert rank is not None
        pads = np.zeros((2, rank), np.int64)
        pads[:, m.axis] = lengths
        amounts = edit.constant(pads.reshape(-1), name="pads")
        edit.replace(Value(m.joined, 0), edit.add(Pad(mode="wrap"), m.data, amounts, like=m.joined))


def _sliced(graph: Graph, part: Value | None) -> Value | None:
    """What a value is a Slice of."""
    if part is None or not isinstance(graph.producer(part), Slice):
        return None
    return graph.operand(part.node, 0)


def _lengths(graph: Graph, m: WrappedSlices) -> tuple[int, int] | None:
    """How much is put before and after; None unless it is what a Pad would take."""
    before = 0 if m.before is None else _length(graph, m, m.before)
    after = 0 if m.after is None else _length(graph, m, m.after)
    return None if before is None or after is None else (before, after)


def _length(graph: Graph, m: WrappedSlices, part: Value) -> int | None:
    """The length of a slice along the axis, if it is known and the slice begins or ends where it should."""
    size, cut = graph.type(m.data).dim(m.axis), _cut(graph, m, part)
    if cut is None or cut.step != 1:
        return None
    if isinstance(size, int):
        start, stop, _ = python_slice(cut, size).indices(size)
        beside = start if part == m.after else size - stop
        return None if beside else max(stop - start, 0)
    # An open size is at least one: one element is there, more may not be.
    one = (cut.start, cut.end) == (0, 1) if part == m.after else cut.start == -1 and cut.end >= FAR
    return 1 if one else None


def _cut(graph: Graph, m: WrappedSlices, part: Value) -> Cut | None:
    """What a Slice takes along the axis; None unless that is constant, and the only axis it cuts."""
    op, numbers = graph.producer(part), [value for value in graph.operands(part.node)[1:] if value]
    if any(graph.is_supplied(value) for value in numbers):
        return None
    assert isinstance(op, Slice)
    cuts = op.cuts(graph.type(m.data), *(graph.type(value) for value in numbers))
    return cuts.get(m.axis) if cuts is not None and len(cuts) == 1 else None
