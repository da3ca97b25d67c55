"""Remove functions that change nothing about any number that can reach them.

    relu(y) = |y| -> y        where y ≥ 0: a Relu, Sigmoid, Softmax, Exp, |x|, …
    clip(y; l, h) -> y        where l ≤ y ≤ h, and where neither bound is given
    ceil(y) = floor(y) = round(y) -> y        where y is whole already

Exact, except where a runtime's Sigmoid or Tanh exceeds its limits by its rounding.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import ClassVar

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Abs,
    Cast,
    Ceil,
    Clip,
    Convolution,
    Exp,
    Floor,
    HardSigmoid,
    Op,
    ReduceL1,
    ReduceL2,
    ReduceSumSquare,
    Relu,
    Round,
    Sigmoid,
    Sign,
    Softmax,
    Softplus,
    Sqrt,
    Tanh,
)
from convgraph.passes.cleanup.handed_on import HandedOn, PassedOn
from convgraph.passes.fusion.scalars import bounds_of, bounds_of_function

_ROUNDING = (Ceil, Floor, Round)
_RANGES: Mapping[type[Op], tuple[float, float]] = {
    **dict.fromkeys((Abs, Exp, Softplus, Sqrt, ReduceL1, ReduceL2, ReduceSumSquare), (0.0, inf)),
    **dict.fromkeys((Sigmoid, HardSigmoid, Softmax), (0.0, 1.0)),
    **dict.fromkeys((Tanh, Sign), (-1.0, 1.0)),
}


@dataclass(frozen=True, kw_only=True)
class RemoveIdleFunction(HandedOn):
    """Remove functions that change nothing about any number that can reach them."""

    name: ClassVar[str] = "remove-idle-function"
    roots: ClassVar[tuple[type[Op], ...]] = (Relu, Abs, Clip, *_ROUNDING)

    def find(self, graph: Graph, node: int) -> PassedOn | None:
        """A function of a value that it keeps as it is."""
        y = graph.operand(node, 0)
        if y is None:
            return None
        rounds = isinstance(graph.op(node), _ROUNDING)
        keeps = _is_whole(graph, y) if rounds else _keeps(graph, node, _range(graph, y))
        return PassedOn(source=y, result=Value(node, 0)) if keeps else None


def _keeps(graph: Graph, node: int, numbers: tuple[float, float]) -> bool:
    """Whether a Relu, Abs or Clip keeps all numbers of a range as they are."""
    low, high = _RANGES[Abs]
    if isinstance(graph.op(node), Clip):
        bounds = bounds_of(graph, node)
        if bounds is None or not graph.type(Value(node, 0)).dtype.is_float:  # integers may exceed a float
            return False
        low, high = bounds
    return low <= numbers[0] and numbers[1] <= high


def _range(graph: Graph, value: Value) -> tuple[float, float]:
    """Bounds of the numbers in a value."""
    last, parameters = graph.producer(value), graph.operands(value.node)[1:]
    if isinstance(last, Convolution) and last.activation is not None:
        last, parameters = last.activation, parameters[2:]
    low, high = bounds_of_function(graph, last, parameters) or _RANGES.get(type(last), (-inf, inf))
    return min(low, high), high  # where a Clip's bounds are crossed, the upper one wins


def _is_whole(graph: Graph, value: Value) -> bool:
    """Whether a value is known to hold whole numbers only."""
    op = graph.producer(value)
    if isinstance(op, Cast):
        before = graph.operand(value.node, 0)
        return before is not None and not graph.type(before).dtype.is_float
    return isinstance(op, (*_ROUNDING, Sign))
