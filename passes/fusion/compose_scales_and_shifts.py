"""Make one operation of scales, shifts and normalisations by constants that follow each other.

    (x · a) · c  ->  x · (a·c)        x · a / c  ->  x · (a/c)
    (x + b) · c + d  ->  x · c + (b·c + d)
    (x · a + b) · c  ->  x · (a·c) + b·c
    batchnorm(x · a; γ, β, μ, σ²)  ->  batchnorm(x; γ·a, β − s·μ, 0, σ²)        s = γ / √(σ² + ε)
    batchnorm(x) + b,  batchnorm(batchnorm(x)), …  ->  batchnorm(x)

Constants stand on either side and are subtracted or divided by, too: two scales become one, a normalisation
takes what is done to each channel before or after it, and three of anything become a scale and a shift. Exact
in real arithmetic; floating point differs by reassociation only. Two shifts are the business of
merge-added-constants.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, BatchNormalization, Div, Mul, Op, Sub
from convgraph.ir.tensor import Array
from convgraph.passes.fusion.after_convolution import is_finite
from convgraph.passes.fusion.channelwise import Vector, beside_constants, channel_vector
from convgraph.passes.fusion.normalisation import are_constant, given, scale_and_shift
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Operations on ``x`` and constants, each of the result of the one before."""

    x: Value
    nodes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ComposeScalesAndShifts(Rewrite[Steps]):
    """Make one operation of scales, shifts and normalisations by constants that follow each other."""

    name: ClassVar[str] = "compose-scales-and-shifts"
    roots: ClassVar[tuple[type[Op], ...]] = (Mul, Div, Add, Sub, BatchNormalization)
    makes: ClassVar[tuple[type[Op], ...]] = (Mul, Add)

    size_limit: int = 1 << 20

    def find(self, graph: Graph, node: int) -> Steps | None:
        """Two steps that are one, or three that are two."""
        nodes: tuple[int, ...] = (node,)
        x = _scaled_or_shifted(graph, node)
        while x is not None and len(nodes) < _LONGEST:
            before = _scaled_or_shifted(graph, x.node)
            if before is None:
                return None
            nodes, x = (x.node, *nodes), before
            if _made(graph, nodes) < len(nodes):
                return Steps(x=x, nodes=nodes)
        return None

    @requirement
    def nothing_else_reads_what_is_between(self, graph: Graph, m: Steps) -> bool:
        """Each result but the last has no other reader, and the graph does not return it."""
        return all(graph.sole_reader(Value(node, 0)) is not None for node in m.nodes[:-1])

    @requirement
    def the_numbers_are_real(self, graph: Graph, m: Steps) -> bool:
        """The elements are floating-point numbers: a quotient of whole ones is rounded."""
        return graph.type(m.x).dtype.is_float

    @requirement
    def a_normalisation_has_channels_beside_it(self, graph: Graph, m: Steps) -> bool:
        """Where one step is a normalisation, the others do the same to each element of a channel."""
        norm = _normalisation(graph, m.nodes)
        return norm is None or all(_vectors(graph, node, norm=norm) is not None for node in m.nodes)

    @requirement
    def the_model_grows_within_the_limit(self, graph: Graph, m: Steps) -> bool:
        """The constants of one shape each become larger by at most ``size_limit`` bytes."""
        shapes = [graph.type(v).static_shape or () for node in m.nodes for v in _constants(graph, node)]
        made = _made(graph, m.nodes) * math.prod(np.broadcast_shapes(*shapes))
        grown = made - sum(map(math.prod, shapes))
        return grown * graph.type(m.x).dtype.numpy.itemsize <= self.size_limit

    @requirement
    def the_composed_numbers_are_finite(self, graph: Graph, m: Steps) -> bool:
        """The new constants stay within the range of their element type."""
        return all(is_finite(array) for array in _composed(graph, m))

    def apply(self, edit: Edit, m: Steps) -> None:
        """Put the normalisation, or the scale and the shift, in the place of all."""
        *_, last = m.nodes
        like = [value for node in m.nodes for value in _constants(edit.graph, node)]
        norm = _normalisation(edit.graph, m.nodes)
        new = [edit.constant(array, like=like[0]) for array in _composed(edit.graph, m)]
        made = m.x
        if norm is not None:
            *_, variance = edit.graph.operands(norm)
            made = edit.add(edit.graph.op(norm), made, *new, variance, like=last)
        else:
            for op, constant in zip((Mul(), Add()), new, strict=False):
                made = edit.add(op, made, constant, like=last)
        edit.replace(Value(last, 0), made)


_LONGEST = 3  # steps that are needed for fewer to come out, whatever they are


def _scaled_or_shifted(graph: Graph, node: int) -> Value | None:
    """What a node multiplies with, divides by or adds constants to, or normalises with stored statistics."""
    op = graph.op(node)
    if isinstance(op, BatchNormalization):
        x, *_ = operands = graph.operands(node)
        return None if op.training_mode or not are_constant(graph, given(operands)) else x
    if not isinstance(op, (Mul, Div, Add, Sub)):
        return None
    for x, _, first in beside_constants(graph, node):
        if graph.constant(x) is None and not (first and isinstance(op, Div)):
            return x
    return None


def _made(graph: Graph, nodes: tuple[int, ...]) -> int:
    """How many operations do what these do."""
    ops = [graph.op(node) for node in nodes]
    if any(isinstance(op, BatchNormalization) for op in ops):
        return 1
    scales = sum(isinstance(op, (Mul, Div)) for op in ops)
    return len(ops) if not scales else 1 if scales == len(ops) else 2


def _normalisation(graph: Graph, nodes: tuple[int, ...]) -> int | None:
    return next((node for node in nodes if isinstance(graph.op(node), BatchNormalization)), None)


def _constants(graph: Graph, node: int) -> tuple[Value, ...]:
    operands = graph.operands(node)
    return tuple(v for v in operands if v is not None and graph.constant(v) is not None)


def _composed(graph: Graph, m: Steps) -> tuple[Array, ...]:
    """γ, β and μ of the one normalisation, or the scale and, where there are two, the shift; rounded once."""
    norm = _normalisation(graph, m.nodes)
    scale: Vector = np.ones(())
    shift: Vector = np.zeros(())
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # refused as not finite
        for node in m.nodes:
            numbers = _numbers(graph, node) if norm is None else _vectors(graph, node, norm=norm)
            factor, term = numbers or (scale, shift)
            scale, shift = factor * scale, factor * shift + term
        if norm is None:
            kind = graph.type(m.x).dtype.numpy
            return tuple(array.astype(kind) for array in (scale, shift)[: _made(graph, m.nodes)])
        return _as_normalisation(graph, norm, scale=scale, shift=shift)


def _as_normalisation(graph: Graph, norm: int, *, scale: Vector, shift: Vector) -> tuple[Array, ...]:
    """The γ, β and μ, of the types that ``norm`` has, with which it scales and shifts so."""
    op, statistics = graph.op(norm), given(graph.operands(norm))
    variance = graph.constant(statistics[-1])
    assert isinstance(op, BatchNormalization)
    assert variance is not None
    gamma = scale * np.sqrt(variance.numpy().astype(np.float64) + op.epsilon)
    pairs = zip((gamma, shift, np.zeros_like(shift)), statistics, strict=False)
    return tuple(array.astype(graph.type(value).dtype.numpy) for array, value in pairs)


def _numbers(graph: Graph, node: int) -> tuple[Vector, Vector]:
    """The scale and the shift of a step that is no normalisation, in float64, in the constant's shape."""
    op = graph.op(node)
    _, constant, first = next(beside_constants(graph, node))
    number = constant.numpy().astype(np.float64)
    if isinstance(op, (Mul, Div)):
        return number if isinstance(op, Mul) else 1 / number, np.zeros(())
    if not isinstance(op, Sub):
        return np.ones(()), number
    return np.full((), -1.0 if first else 1.0), number if first else -number


def _vectors(graph: Graph, node: int, *, norm: int) -> tuple[Vector, Vector] | None:
    """The same of any step, one number each for every channel of ``norm``; None where they are not that."""
    op, operands, statistics = graph.op(node), graph.operands(node), given(graph.operands(norm))
    if isinstance(op, BatchNormalization):
        return scale_and_shift(graph, op, given(operands))
    x = _scaled_or_shifted(graph, node)
    channels = graph.type(statistics[0]).dim(0)
    if x is None or not isinstance(channels, int) or graph.type(x).dim(1) != channels:
        return None
    rank = graph.type(x).rank
    _, constant, _ = next(beside_constants(graph, node))
    fits = rank is not None and channel_vector(constant, rank=rank, channels=channels) is not None
    if not fits:
        return None
    scale, shift = _numbers(graph, node)
    return np.broadcast_to(scale.reshape(-1), channels), np.broadcast_to(shift.reshape(-1), channels)
