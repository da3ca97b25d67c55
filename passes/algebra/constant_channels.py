"""Channels that hold one number everywhere, and that number, through operations that keep channels apart."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convgraph.errors import UnsupportedOp
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import AveragePool, Cast, Conv, Convolution, GlobalPool, Pool
from convgraph.numerics.evaluate import evaluate_op
from convgraph.passes.fusion.channelwise import Vector

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantChannels:
    """For each channel whether it is known to be one number everywhere, and the number where it is."""

    known: Flags
    numbers: Vector

    @property
    def zero(self) -> Flags:
        """Which channels are 0 everywhere."""
        zero: Flags = self.known & (self.numbers == 0)
        return zero


def through(graph: Graph, node: int, before: ConstantChannels) -> ConstantChannels:
    """The channels after a channelwise node, from those before."""
    op = graph.op(node)
    if isinstance(op, Convolution):
        return _through_depthwise(graph, node, before)
    if not before.known.any():
        return before
    if isinstance(op, AveragePool) and op.count_include_pad and not is_unpadded(op):
        return ConstantChannels(known=before.zero, numbers=before.numbers)
    if isinstance(op, (Pool, GlobalPool)):
        return before
    return _through_function(graph, node, before)


def is_unpadded(op: Conv | Pool) -> bool:
    """Whether every window of a convolution or pool lies within what it slides over."""
    return op.auto_pad in ("NOTSET", "VALID") and not any(op.pads)


def _through_depthwise(graph: Graph, node: int, before: ConstantChannels) -> ConstantChannels:
    """A filter of zeros makes any channel constant; others one that they see, whole, in every window."""
    op, (_, weight, *bias) = graph.op(node), graph.operands(node)
    filters, shifts = _floats(graph, weight), _floats(graph, bias[0] if bias else None)
    assert filters is not None
    taps = filters.reshape(len(filters), -1)
    whole = isinstance(op, Conv) and is_unpadded(op)
    numbers = before.numbers * taps.sum(axis=1) + (0 if shifts is None else shifts)
    return ConstantChannels(
        known=(before.known if whole else before.zero) | ~taps.any(axis=1), numbers=numbers
    )


def _through_function(graph: Graph, node: int, before: ConstantChannels) -> ConstantChannels:
    op, (_, *parameters) = graph.op(node), graph.operands(node)
    constants = [_floats(graph, value) for value in parameters]
    nothing = ConstantChannels(known=np.zeros_like(before.known), numbers=before.numbers)
    if isinstance(op, Cast):  # which may round
        return ConstantChannels(known=before.zero, numbers=before.numbers)
    if any(
        value is not None and constant is None for value, constant in zip(parameters, constants, strict=True)
    ):
        return nothing
    try:
        (numbers,) = evaluate_op(op, [before.numbers, *constants])
    except UnsupportedOp:
        return nothing
    finite = np.isfinite(numbers)
    return ConstantChannels(known=before.known & finite, numbers=np.where(finite, numbers, 0.0))


def _floats(graph: Graph, value: Value | None) -> Vector | None:
    tensor = graph.constant(value)
    return None if tensor is None else tensor.numpy().astype(np.float64)
