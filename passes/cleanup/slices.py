"""What a Slice, or a Pad that crops, leaves out of its data, where that can be said."""

from collections.abc import Mapping

from convgraph.ir.graph import Graph
from convgraph.ir.ops import Pad, Slice
from convgraph.ir.ops.layout import FAR, Cut, python_slice
from convgraph.ir.tensor import Dim, TensorType

Ends = Mapping[int, tuple[int, int]]


def left_out(graph: Graph, node: int) -> Ends | None:
    """How many elements a Slice or Pad leaves out at the begin and at the end of each axis it is about.

    None for anything else, and where that depends on a value or an open size; where a Slice leaves some out
    in between or turns them round; where a Pad adds some.
    """
    op, operands = graph.op(node), graph.operands(node)
    if any(value is not None and graph.constant(value) is None for value in operands[1:]):
        return None
    data, *numbers = (None if value is None else graph.type(value) for value in operands)
    if data is None:
        return None
    if isinstance(op, Pad):
        return _cropped(op, data, *numbers)
    return _taken(op, data, *numbers) if isinstance(op, Slice) else None


def _cropped(op: Pad, data: TensorType, pads: TensorType | None, *rest: TensorType | None) -> Ends | None:
    assert pads is not None
    amounts = op.amounts(data, pads, rest[1] if len(rest) > 1 else None)
    if amounts is None or any(max(ends) > 0 for ends in amounts):
        return None
    return {axis: (-begin, -end) for axis, (begin, end) in enumerate(amounts)}


def _taken(
    op: Slice,
    data: TensorType,
    starts: TensorType | None,
    ends: TensorType | None,
    *rest: TensorType | None,
) -> Ends | None:
    assert starts is not None
    assert ends is not None
    cuts = op.cuts(data, starts, ends, *rest)
    if cuts is None:
        return None
    found = {axis: _ends(data.dim(axis), cut) for axis, cut in cuts.items()}
    known = {axis: pair for axis, pair in found.items() if pair is not None}
    return known if len(known) == len(found) else None


def _ends(size: Dim, cut: Cut) -> tuple[int, int] | None:
    if cut.step != 1:
        return None
    if isinstance(size, int):
        start, stop, _ = python_slice(cut, size).indices(size)
        return start, size - max(start, stop)
    if cut.start < 0 or 0 <= cut.end < FAR:
        return None
    return cut.start, max(-cut.end, 0)
