"""What a Slice, or a Pad that crops, leaves out of its data, where that can be said."""

from collections.abc import Mapping

from convgraph.ir.graph import Graph
from convgraph.ir.ops import Pad, Slice
from convgraph.ir.ops.layout import FAR, Cut, python_slice
from convgraph.ir.tensor import Dim, TensorType

_END = 2**63 - 1

Ends = Mapping[int, tuple[int, int]]


def constant_cuts(graph: Graph, node: int) -> Mapping[int, Cut] | None:
    """What a Slice takes of each axis it is about; None for anything else, and where that is not constant."""
    op, (data, *numbers) = graph.op(node), graph.operands(node) or (None,)
    if not isinstance(op, Slice) or data is None:
        return None
    if any(value is not None and graph.constant(value) is None for value in numbers):
        return None
    starts, ends, *rest = (None if value is None else graph.type(value) for value in numbers)
    assert starts is not None
    assert ends is not None
    return op.cuts(graph.type(data), starts, ends, *rest)


def left_out(graph: Graph, node: int) -> Ends | None:
    """How many elements a Slice or Pad leaves out at the begin and at the end of each axis it is about.

    None for anything else, and where that depends on a value or an open size; where a Slice leaves some out
    in between or turns them round; where a Pad adds some.
    """
    op, operands = graph.op(node), graph.operands(node)
    if isinstance(op, Slice):
        return _taken(graph, node)
    if any(value is not None and graph.constant(value) is None for value in operands[1:]):
        return None
    data, *numbers = (None if value is None else graph.type(value) for value in operands)
    return _cropped(op, data, *numbers) if isinstance(op, Pad) and data is not None else None


def _cropped(op: Pad, data: TensorType, pads: TensorType | None, *rest: TensorType | None) -> Ends | None:
    assert pads is not None
    amounts = op.amounts(data, pads, rest[1] if len(rest) > 1 else None)
    if amounts is None or any(max(ends) > 0 for ends in amounts):
        return None
    return {axis: (-begin, -end) for axis, (begin, end) in enumerate(amounts)}


def _taken(graph: Graph, node: int) -> Ends | None:
    data, cuts = graph.operand(node, 0), constant_cuts(graph, node)
    if cuts is None or data is None:
        return None
    kind = graph.type(data)
    found = {axis: _ends(kind.dim(axis), cut) for axis, cut in cuts.items()}
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


def cut_of(places: range, size: int) -> Cut:
    """The numbers that take these places of an axis."""
    if not places:
        return Cut(0, 0, 1)
    if len(places) == 1:
        return Cut(places[0], places[0] + 1, 1)
    beyond = places[-1] + (1 if places.step > 0 else -1)
    if places.step > 0:
        return Cut(places[0], _END if beyond >= size else beyond, places.step)
    return Cut(places[0], -_END if beyond < 0 else beyond, places.step)
