"""Pad once, where two Pads of one kind follow each other.

    pad(pad(x; p); q)  ->  pad(x; p + q)        p, q ≥ 0

of one constant, or both with copies of the border (edge), on any axes; with reflections (reflect) or what
lies at the other side (wrap) as long as no axis is padded twice. Exact: elements are copied.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Op, Pad
from convgraph.passes.rewrite import Rewrite, requirement

Amounts = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PadOfPad:
    """Two Pads, the inner and the outer, and the mode they share."""

    inner: int
    outer: int
    mode: str


@dataclass(frozen=True, kw_only=True)
class ComposePads(Rewrite[PadOfPad]):
    """Pad once, where two Pads of one kind follow each other."""

    name: ClassVar[str] = "compose-pads"
    roots: ClassVar[tuple[type[Op], ...]] = (Pad,)

    def find(self, graph: Graph, node: int) -> PadOfPad | None:
        """A Pad of a Pad of the same mode."""
        outer, between = graph.op(node), graph.operand(node, 0)
        inner = None if between is None else graph.producer(between)
        if between is None or not isinstance(inner, Pad) or not isinstance(outer, Pad):
            return None
        return PadOfPad(inner=between.node, outer=node, mode=outer.mode) if inner.mode == outer.mode else None

    @requirement
    def the_amounts_are_constant(self, graph: Graph, m: PadOfPad) -> bool:
        """How much either adds at which end of which axis is constant."""
        return _amounts(graph, m.inner) is not None and _amounts(graph, m.outer) is not None

    @requirement
    def nothing_is_cropped(self, graph: Graph, m: PadOfPad) -> bool:
        """Neither has a negative amount."""
        ends = [end for node in (m.inner, m.outer) for pair in _amounts(graph, node) or () for end in pair]
        return min(ends, default=0) >= 0

    @requirement
    def they_add_the_same(self, graph: Graph, m: PadOfPad) -> bool:
        """Both add the same constant; reflections and what lies at the other side go to axes of their own."""
        if m.mode == "constant":
            return _fill(graph, m.inner) == _fill(graph, m.outer) is not None
        pairs = zip(_amounts(graph, m.inner) or (), _amounts(graph, m.outer) or (), strict=True)
        return m.mode == "edge" or not any(any(first) and any(second) for first, second in pairs)

    @requirement
    def nothing_else_reads_the_inner_one(self, graph: Graph, m: PadOfPad) -> bool:
        """Only the outer Pad reads the inner one, so that it goes."""
        return graph.sole_reader(Value(m.inner, 0)) is not None

    def apply(self, edit: Edit, m: PadOfPad) -> None:
        """Put one Pad in place of both."""
        inner, outer = _amounts(edit.graph, m.inner), _amounts(edit.graph, m.outer)
        assert inner is not None
        assert outer is not None
        x, amounts, *_ = edit.graph.operands(m.inner)
        assert x is not None
        total = (np.array(inner, np.int64) + np.array(outer, np.int64)).T.reshape(-1)
        value = edit.graph.operand(m.outer, 2)
        pads = edit.constant(total, like=amounts)
        edit.replace(Value(m.outer, 0), edit.add(Pad(mode=m.mode), x, pads, value, like=m.outer))


def _amounts(graph: Graph, node: int) -> Amounts | None:
    """(begin, end) of every axis; None when a caller may choose them or they are computed."""
    op, (data, pads, _, axes) = graph.op(node), (graph.operand(node, slot) for slot in range(4))
    assert isinstance(op, Pad)
    assert data is not None
    numbers = [graph.constant(pads), *([] if axes is None else [graph.constant(axes)])]
    if pads is None or None in numbers:
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
