"""Pad once, where a Pad follows another or a Slice cuts some of what was added off again.

    pad(pad(x; p); q)  ->  pad(x; p + q)        pad(x; p)[l : −r]  ->  pad(x; p − (l, r))

of one constant, or both with copies of the border (edge), on any axes; with reflections (reflect) or what
lies at the other side (wrap) as long as no axis is padded twice. A Pad with negative amounts cuts off as a
Slice does; of each axis no more than was added, or nothing was added at all. Exact: elements are copied.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Op, Pad, Slice
from convgraph.passes.cleanup.slices import left_out
from convgraph.passes.rewrite import Rewrite, requirement

Amounts = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PadOfPad:
    """The first Pad, what pads or cuts its result, how much either adds, and what both come to.

    Amounts are (begin, end) of every axis, negative where elements are cut off; None when they are not known.
    """

    inner: int
    outer: int
    first: Amounts | None
    second: Amounts | None

    @property
    def pairs(self) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        """The amounts of both, axis by axis."""
        return list(zip(self.first or (), self.second or (), strict=True))


@dataclass(frozen=True, kw_only=True)
class ComposePads(Rewrite[PadOfPad]):
    """Pad once, where a Pad follows another or a Slice cuts some of what was added off again."""

    name: ClassVar[str] = "compose-pads"
    roots: ClassVar[tuple[type[Op], ...]] = (Pad, Slice)

    def find(self, graph: Graph, node: int) -> PadOfPad | None:
        """A Pad of a Pad, of one mode where both add something, or a Slice of a Pad that cuts off ends."""
        between = graph.operand(node, 0)
        if between is None or not isinstance(graph.producer(between), Pad):
            return None
        first, second = _amounts(graph, between.node), _amounts(graph, node)
        if isinstance(graph.op(node), Slice) and second is None:
            return None
        both_add = all(amounts is None or _adds(amounts) for amounts in (first, second))
        if both_add and _mode(graph, between.node) != _mode(graph, node):
            return None
        return PadOfPad(inner=between.node, outer=node, first=first, second=second)

    @requirement
    def the_amounts_are_constant(self, graph: Graph, m: PadOfPad) -> bool:
        """How much either adds at which end of which axis is constant."""
        return m.first is not None and m.second is not None

    @requirement
    def no_more_is_cut_off_than_was_added(self, graph: Graph, m: PadOfPad) -> bool:
        """What the second cuts off an axis is what the first added there, or neither adds anything to it."""
        return all(
            min(*first, *map(sum, zip(first, second, strict=True))) >= 0 or max(*first, *second) <= 0
            for first, second in m.pairs
        )

    @requirement
    def they_add_the_same(self, graph: Graph, m: PadOfPad) -> bool:
        """Both add the same constant; reflections and what lies at the other side go to axes of their own."""
        if not (_adds(m.first) and _adds(m.second)):
            return True
        mode = _mode(graph, m.inner)
        if mode == "constant":
            return _fill(graph, m.inner) == _fill(graph, m.outer) is not None
        return mode == "edge" or not any(any(first) and max(second) > 0 for first, second in m.pairs)

    @requirement
    def something_is_left_to_take_from(self, graph: Graph, m: PadOfPad) -> bool:
        """Elements that are taken from data need some: nothing is known to be cut off entirely."""
        return _mode(graph, m.inner if _adds(m.first) else m.outer) == "constant" or not any(
            dim == 0 for dim in graph.type(Value(m.outer, 0)).shape or ()
        )

    @requirement
    def nothing_else_reads_the_inner_one(self, graph: Graph, m: PadOfPad) -> bool:
        """Only the outer Pad reads the inner one, so that it goes."""
        return graph.sole_reader(Value(m.inner, 0)) is not None

    def apply(self, edit: Edit, m: PadOfPad) -> None:
        """Put one Pad in place of both."""
        x, amounts, *_ = edit.graph.operands(m.inner)
        assert x is not None
        adding = m.outer if _adds(m.second) else m.inner
        total = np.array(m.first, np.int64) + np.array(m.second, np.int64)
        pads = edit.constant(total.T.reshape(-1), like=amounts)
        op, value = Pad(mode=_mode(edit.graph, adding)), edit.graph.operand(adding, 2)
        edit.replace(Value(m.outer, 0), edit.add(op, x, pads, value, like=m.outer))


def _mode(graph: Graph, node: int) -> str:
    op = graph.op(node)
    return op.mode if isinstance(op, Pad) else "constant"


def _adds(amounts: Amounts | None) -> bool:
    return any(max(pair) > 0 for pair in amounts or ())


def _amounts(graph: Graph, node: int) -> Amounts | None:
    """(begin, end) of every axis; None when a caller may choose them or they are computed."""
    op, data = graph.op(node), graph.operand(node, 0)
    assert data is not None
    if isinstance(op, Slice):
        gone, rank = left_out(graph, node), graph.type(data).rank
        if gone is None or rank is None:
            return None
        return tuple((-a, -b) for a, b in (gone.get(axis, (0, 0)) for axis in range(rank)))
    pads, axes = graph.operand(node, 1), graph.operand(node, 3)
    numbers = [graph.constant(pads), *([] if axes is None else [graph.constant(axes)])]
    if pads is None or None in numbers or not isinstance(op, Pad):
        return None
    found = op.amounts(graph.type(data), graph.type(pads), None if axes is None else graph.type(axes))
    return None if found is None else tuple(found)


def _fill(graph: Graph, node: int) -> float | None:
    """The number a Pad adds; None when it is not a constant."""
    value = graph.operand(node, 2)
    tensor = graph.constant(value)
    if value is None:
        return 0.0
    return None if tensor is None else float(tensor.numpy().reshape(()))
