"""Branches of a sum: what one value is as a convolution of another, whether or not it is spelled as one."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import AveragePool, BatchNormalization, Conv, Mul
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.outer_taps import convolution, known_pads
from convgraph.passes.fusion.after_convolution import weights
from convgraph.passes.fusion.channelwise import Vector, beside_constants, channel_vector
from convgraph.passes.fusion.normalisation import are_constant, given, scale_and_shift

_MOST_SCALINGS = 8  # one after the other; a chain of thousands would be walked from each of its nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A value as a convolution of ``source``.

    ``window`` says how the kernel moves, with pads as numbers and no activation; ``node`` is the convolution
    or the pool, None where the source itself is read. ``scalings`` are the nodes that then scale and shift
    each channel. Each output channel reads ``inside`` input channels.
    """

    source: Value
    window: Conv
    kernel: tuple[int, ...]
    channels: int
    inside: int = 1
    node: int | None = None
    scalings: tuple[int, ...] = ()

    @property
    def nodes(self) -> tuple[int, ...]:
        """What computes the branch from its source."""
        return self.scalings if self.node is None else (self.node, *self.scalings)

    @property
    def value(self) -> Value:
        """What the branch computes."""
        return Value(self.nodes[-1], 0) if self.nodes else self.source

    @property
    def reach(self) -> tuple[int, ...]:
        """How far the last tap is from the first, on each axis."""
        return tuple(d * (k - 1) for d, k in zip(self.window.dilations, self.kernel, strict=True))

    @property
    def slack(self) -> tuple[int, ...]:
        """By how much a window's places exceed the input's size, on each axis."""
        pads, rank = self.window.pads, len(self.kernel)
        return tuple(pads[n] + pads[n + rank] - reach for n, reach in enumerate(self.reach))


def branches(graph: Graph, value: Value) -> Iterator[Branch]:
    """What a value is a convolution of: itself, or what its convolution or pool reads, perhaps scaled."""
    scalings: tuple[int, ...] = ()
    while len(scalings) <= _MOST_SCALINGS:
        yield from (replace(branch, scalings=scalings) for branch in _unscaled(graph, value))
        scaled = scaled_operand(graph, value.node)
        if scaled is None or graph.type(scaled).shape != graph.type(value).shape:
            return
        scalings, value = (value.node, *scalings), scaled


def _unscaled(graph: Graph, value: Value) -> Iterator[Branch]:
    shape = graph.type(value).shape
    if shape is None or len(shape) < 3 or not isinstance(shape[1], int) or not shape[1]:
        return
    rank = len(shape) - 2
    still = Conv.of(rank, group=shape[1])
    yield Branch(source=value, window=still, kernel=(1,) * rank, channels=shape[1])
    op = graph.producer(value)
    if isinstance(op, (Conv, AveragePool)):
        yield from _windowed(graph, value.node)


def _windowed(graph: Graph, node: int) -> Iterator[Branch]:
    """A convolution that has no activation, or a pool that rounds sizes down, with known pads."""
    op, x, channels = graph.op(node), graph.operand(node, 0), graph.type(Value(node, 0)).dim(1)
    assert x is not None
    assert isinstance(channels, int)
    if isinstance(op, AveragePool):
        pads, kernel = op.padded_explicitly(graph.type(x)), op.kernel_shape
        window = Conv.of(len(kernel), strides=op.strides, dilations=op.dilations, group=channels)
        if pads is not None and not op.ceil_mode:
            yield Branch(
                source=x, window=replace(window, pads=pads), kernel=kernel, channels=channels, node=node
            )
        return
    weight, pads, conv = graph.operand(node, 1), known_pads(graph, node), convolution(graph, node)
    shape = None if weight is None else graph.type(weight).static_shape
    if shape is not None and pads is not None and conv.activation is None:
        window = replace(conv, pads=pads, auto_pad="NOTSET")
        yield Branch(source=x, window=window, kernel=shape[2:], channels=channels, inside=shape[1], node=node)


def is_convolution(graph: Graph, branch: Branch) -> bool:
    """Whether it is a Conv, scaled or not, and so has multiplications already."""
    return branch.node is not None and isinstance(graph.op(branch.node), Conv)


def scaled_operand(graph: Graph, node: int) -> Value | None:
    """The operand of a node that multiplies with a constant or normalises a batch by stored statistics."""
    op = graph.op(node)
    if isinstance(op, BatchNormalization) and not op.training_mode:
        return graph.operand(node, 0)
    return next((x for x, _, _ in beside_constants(graph, node)), None) if isinstance(op, Mul) else None


def is_constant(graph: Graph, branch: Branch) -> bool:
    """Whether nothing that the branch multiplies or adds can be overridden or depends on the input."""
    parameters = () if branch.node is None else graph.operands(branch.node)[1:]
    if any(graph.constant(value) is None for value in parameters if value is not None):
        return False
    return all(_affine(graph, node, channels=branch.channels) is not None for node in branch.scalings)


def kernel_and_bias(graph: Graph, branch: Branch) -> tuple[Array, Vector]:
    """The float64 weight (M, C/group, *kernel) and bias (M,) of a branch that is constant."""
    weight, bias = _kernel_and_bias(graph, branch)
    for node in branch.scalings:
        affine = _affine(graph, node, channels=branch.channels)
        assert affine is not None
        scale, shift = affine
        weight, bias = weight * scale.reshape(-1, *(1,) * (weight.ndim - 1)), scale * bias + shift
    return weight, bias


def _kernel_and_bias(graph: Graph, branch: Branch) -> tuple[Array, Vector]:
    zeros = np.zeros(branch.channels)
    if branch.node is None or isinstance(graph.op(branch.node), AveragePool):
        box = np.full((branch.channels, 1, *branch.kernel), 1 / math.prod(branch.kernel))
        return box, zeros
    _, weight, bias = weights(graph, branch.node)
    return weight.astype(np.float64), zeros if bias is None else bias.astype(np.float64)


def _affine(graph: Graph, node: int, *, channels: int) -> tuple[Vector, Vector] | None:
    """The scale and the shift of each channel; None where they are not constant numbers a channel."""
    op, operands = graph.op(node), graph.operands(node)
    if isinstance(op, BatchNormalization):
        statistics = given(operands)
        return scale_and_shift(graph, op, statistics) if are_constant(graph, statistics) else None
    rank = graph.type(Value(node, 0)).rank
    constant = next((c for _, c, _ in beside_constants(graph, node)), None)
    if rank is None or constant is None:
        return None
    scale = channel_vector(constant, rank=rank, channels=channels)
    return None if scale is None else (scale, np.zeros(channels))
