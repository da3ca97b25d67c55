"""Parts of a value along an axis: what a Slice or a Split takes in one piece."""

from typing import NamedTuple

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Split
from convgraph.ir.ops.layout import FAR, python_slice
from convgraph.passes.cleanup.slices import constant_cuts


class Part(NamedTuple):
    """The elements of x from ``start`` to before ``end``; None: to the last one."""

    x: Value
    start: int
    end: int | None


def part(graph: Graph, value: Value | None, axis: int) -> Part | None:
    """What a value is a part of along an axis, all else the same; None where that is not known."""
    op = None if value is None else graph.producer(value)
    x = None if value is None else graph.operand(value.node, 0)
    if value is None or x is None:
        return None
    rank = graph.type(x).rank
    if isinstance(op, Split) and rank is not None and op.axis % rank == axis:
        return _piece(graph, value, x, axis)
    cuts = constant_cuts(graph, value.node)
    if cuts is None or set(cuts) != {axis} or cuts[axis].step != 1:
        return None
    cut, size = cuts[axis], graph.type(x).dim(axis)
    if isinstance(size, int):
        start, end, _ = python_slice(cut, size).indices(size)
        return Part(x, start, None if end == size else end)
    known = cut.start >= 0 and cut.end >= 0
    return Part(x, cut.start, None if cut.end >= FAR else cut.end) if known else None


def _piece(graph: Graph, value: Value, x: Value, axis: int) -> Part | None:
    sizes = [graph.type(piece).dim(axis) for piece in graph.results(value.node)]
    known = [size for size in sizes if isinstance(size, int)]
    if len(known) != len(sizes):
        return None
    start = sum(known[: value.output])
    last = value.output == len(sizes) - 1
    return Part(x, start, None if last else start + known[value.output])
