"""What the rewrites that recover a normalisation from arithmetic have in common."""

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, Div, Mul, Op, Pow, Reciprocal, ReduceMean, Sqrt, Sub
from convgraph.ir.tensor import Array, DataType
from convgraph.passes.fusion.channelwise import beside_constants
from convgraph.passes.fusion.scalars import beside_a_number, scalar
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalised:
    """A value over the root of ``epsilon`` and its mean square along ``axes``; ``divisor`` is that root."""

    x: Value
    divisor: Value
    axes: tuple[int, ...]
    epsilon: float
    result: Value


def normalised(graph: Graph, node: int) -> Normalised | None:
    """What a Div by a root, or a Mul with the inverse of one, normalises; None where it does nothing such.

    No runtime normalises doubles, nor keeps an epsilon that is one.
    """
    op, result = graph.op(node), Value(node, 0)
    if graph.type(result).dtype not in (DataType.FLOAT, DataType.FLOAT16):
        return None
    left, right = graph.operands(node)
    pairs = [(left, right)] if isinstance(op, Div) else [(left, right), (right, left)]
    for x, divisor in pairs:
        under = None if divisor is None else _under_root(graph, divisor, inverse=isinstance(op, Mul))
        found = None if under is None or x is None else _mean_square(graph, under, x)
        if found is not None and x is not None and divisor is not None:
            axes, epsilon = found
            return Normalised(x=x, divisor=divisor, axes=axes, epsilon=epsilon, result=result)
    return None


def _under_root(graph: Graph, value: Value, *, inverse: bool) -> Value | None:
    """What a value is the root of, or one over the root of."""
    op = graph.producer(value)
    if isinstance(op, Pow):
        inner, exponent = graph.operands(value.node)
        return inner if scalar(graph.constant(exponent)) == (-0.5 if inverse else 0.5) else None
    if isinstance(op, Sqrt) and not inverse:
        return graph.operand(value.node, 0)
    if isinstance(op, Reciprocal) and inverse:
        root = graph.operand(value.node, 0)
        return None if root is None else _under_root(graph, root, inverse=False)
    if isinstance(op, Div) and inverse:
        found = beside_a_number(graph, value.node)
        return _under_root(graph, found[0], inverse=False) if found and found[1:] == (1.0, True) else None
    return None


def _mean_square(graph: Graph, value: Value, x: Value) -> tuple[tuple[int, ...], float] | None:
    """The axes along which a value is the mean square of x, plus a number, and that number."""
    shifted = beside_a_number(graph, value.node) if isinstance(graph.producer(value), Add) else None
    if shifted is None:
        return None
    averaged = averaged_by(graph, shifted[0])
    if averaged is None or not _is_square(graph, averaged[0], x):
        return None
    return averaged[1], float(np.float32(shifted[1]))


def averaged_by(graph: Graph, mean: Value) -> tuple[Value, tuple[int, ...]] | None:
    """What a value is the mean of, and along which axes; None where they do not stay, each one long."""
    op = graph.producer(mean)
    if not isinstance(op, ReduceMean) or not op.keepdims:
        return None
    x, axes = (*graph.operands(mean.node), None)[:2]
    if x is None:
        return None
    reduced = op.reduced_axes(graph.type(x), None if axes is None else graph.type(axes))
    return (x, tuple(sorted(reduced))) if reduced else None


def _is_square(graph: Graph, value: Value, x: Value) -> bool:
    operands = graph.operands(value.node)
    if isinstance(graph.producer(value), Mul):
        return operands == (x, x)
    return (
        isinstance(graph.producer(value), Pow)
        and operands[0] == x
        and scalar(graph.constant(operands[1])) == 2
    )


def centred(graph: Graph, m: Normalised) -> Value | None:
    """The value that what is normalised is, less its own mean along the same axes; None when it is not."""
    if not isinstance(graph.producer(m.x), Sub):
        return None
    whole, mean = graph.operands(m.x.node)
    if whole is None or mean is None or averaged_by(graph, mean) != (whole, m.axes):
        return None
    return whole


def trailing_sizes(graph: Graph, m: Normalised) -> tuple[int, ...] | None:
    """The sizes of the normalised axes, where those are the last ones and their sizes known."""
    shape = graph.type(m.x).shape or ()
    first = len(shape) - len(m.axes)
    sizes = tuple(size for size in shape[first:] if isinstance(size, int))
    return sizes if m.axes == tuple(range(first, len(shape))) and len(sizes) == len(m.axes) else None


def scale_follows(graph: Graph, m: Normalised) -> bool:
    """Whether a constant with as many elements as are normalised together is what the result is scaled by."""
    use, sizes = graph.sole_reader(m.result), trailing_sizes(graph, m)
    if use is None or sizes is None or not isinstance(graph.op(use.node), Mul):
        return False
    beside = beside_constants(graph, use.node)
    return any(value == m.result and one.size == prod(sizes) for value, one, _ in beside)


def are_instances(graph: Graph, m: Normalised) -> bool:
    """Whether each channel, of so many, is normalised by itself, and not scaled element by element."""
    shape = graph.type(m.x).shape or ()
    each = len(shape) >= 3 and m.axes == tuple(range(2, len(shape))) and isinstance(shape[1], int)
    return each and not scale_follows(graph, m)


def ones(graph: Graph, m: Normalised, shape: tuple[int, ...]) -> Array:
    """Parameters that change nothing, in the element type of what is normalised."""
    return np.ones(shape, graph.type(m.x).dtype.numpy)


@dataclass(frozen=True, kw_only=True)
class FuseNormalisation(Rewrite[Normalised]):
    """A rewrite of a division by the root of a mean square, with one operation in the place of all."""

    name: ClassVar[str]
    roots: ClassVar[tuple[type[Op], ...]] = (Div, Mul)

    @requirement
    def nothing_else_reads_the_divisor(self, graph: Graph, m: Normalised) -> bool:
        """Only the quotient reads the root, or its inverse, and the graph does not return it."""
        return graph.sole_reader(m.divisor) is not None
