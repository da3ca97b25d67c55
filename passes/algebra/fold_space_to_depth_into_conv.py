"""Fold a move of pixels into channels into the convolution that reads it.

    conv(squeeze(x), W, b; k×k, stride s, pads p)  ->  conv(x, W′, b; k·r × k·r, stride s·r, pads p·r)
    W′[o, c, r·y + i, r·x + j]  =  W[o, n(c, i, j), y, x]

squeeze makes pixel (i, j) of each r×r block of channel c the channel n(c, i, j): a SpaceToDepth, or the three
operations Reshape, Transpose, Reshape that spell it with any order of c, i and j (PixelUnshuffle, the squeeze
of a normalising flow). As many multiplications, and x is read where it lies. Exact: the same products, summed
in another order.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Conv, Op, SpaceToDepth, Transpose
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.constant_weight import (
    LooksIntoWeight,
    WeightedConv,
    constant_weight,
    convolution,
)
from convgraph.passes.algebra.outer_taps import known_pads
from convgraph.passes.fusion.channel_order import rearranged
from convgraph.passes.rewrite import PricedRewrite, requirement

_CHANNEL, _ROW, _COLUMN = range(3)
_ROLES = {1: _CHANNEL, 3: _ROW, 5: _COLUMN}  # of the axes of (N, C, H/r, r, W/r, r)


@dataclass(frozen=True, slots=True, kw_only=True)
class Squeeze:
    """What is squeezed, by which nodes, in blocks of which height and width, into channels in which order."""

    x: Value
    nodes: tuple[int, ...]
    block: tuple[int, int]
    order: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SqueezedConv(WeightedConv):
    """A convolution and the squeeze it reads."""

    squeeze: Squeeze


@dataclass(frozen=True, kw_only=True)
class FoldSpaceToDepthIntoConv(LooksIntoWeight[SqueezedConv], PricedRewrite[SqueezedConv]):
    """Fold a move of pixels into channels into the convolution that reads it."""

    name: ClassVar[str] = "fold-space-to-depth-into-conv"
    roots: ClassVar[tuple[type[Op], ...]] = (Conv,)

    def find(self, graph: Graph, node: int) -> SqueezedConv | None:
        """A convolution of a squeeze, in either spelling."""
        value = graph.operand(node, 0)
        if value is None:
            return None
        squeeze = _space_to_depth(graph, value) or _rearrangement(graph, value)
        return None if squeeze is None else SqueezedConv(conv=node, squeeze=squeeze)

    @requirement
    def the_pads_are_known(self, graph: Graph, m: SqueezedConv) -> bool:
        """The padding is given as numbers, or follows from sizes that are known."""
        return known_pads(graph, m.conv) is not None

    @requirement
    def the_convolution_has_one_group(self, graph: Graph, m: SqueezedConv) -> bool:
        """Every output channel reads every input channel: groups would cut through the blocks."""
        return convolution(graph, m.conv).group == 1

    @requirement
    def the_convolution_is_not_dilated(self, graph: Graph, m: SqueezedConv) -> bool:
        """No axis is dilated: blocks that lie apart are not one kernel."""
        return set(convolution(graph, m.conv).dilations) == {1}

    def replaces(self, graph: Graph, match: SqueezedConv) -> Iterable[int]:
        """The squeeze and the convolution."""
        return (*match.squeeze.nodes, match.conv)

    def apply(self, edit: Edit, m: SqueezedConv) -> None:
        """Put a convolution with blocks for taps in the place of both."""
        graph, op, pads = edit.graph, convolution(edit.graph, m.conv), known_pads(edit.graph, m.conv)
        assert pads is not None
        _, _, *rest = graph.operands(m.conv)
        weight, array = constant_weight(graph, m.conv)
        wide = edit.constant(_unsqueezed(array, m.squeeze), like=weight)
        strides = tuple(s * r for s, r in zip(op.strides, m.squeeze.block, strict=True))
        margins = tuple(p * r for p, r in zip(pads, 2 * m.squeeze.block, strict=True))
        folded = replace(op, strides=strides, pads=margins, auto_pad="NOTSET")
        y = edit.add(folded, m.squeeze.x, wide, *rest, like=m.conv)
        edit.replace(graph.results(m.conv)[0], y)


def _space_to_depth(graph: Graph, value: Value) -> Squeeze | None:
    op, x = graph.producer(value), graph.operand(value.node, 0)
    if not isinstance(op, SpaceToDepth) or x is None:
        return None
    order = (_ROW, _COLUMN, _CHANNEL)
    return Squeeze(x=x, nodes=(value.node,), block=(op.blocksize, op.blocksize), order=order)


def _rearrangement(graph: Graph, value: Value) -> Squeeze | None:
    """A squeeze spelled as Reshape, Transpose, Reshape, with known channels, rows and columns."""
    chain = rearranged(graph, value)
    if chain is None:
        return None
    mixed, split, x = chain
    transpose, shape = graph.producer(mixed), graph.type(split).shape
    assert isinstance(transpose, Transpose)
    if shape is None or len(shape) != 6:
        return None
    first, *moved, rows, columns = transpose.order(6)
    _, c, h, high, w, wide = (size if isinstance(size, int) else 0 for size in shape)
    before, after = (graph.type(end).shape or () for end in (x, value))
    if (first, rows, columns) != (0, 2, 4) or not c * h * high * w * wide:
        return None
    if before[1:] != (c, h * high, w * wide) or after[1:] != (c * high * wide, h, w):
        return None
    nodes = tuple(step.node for step in (split, mixed, value))
    return Squeeze(x=x, nodes=nodes, block=(high, wide), order=tuple(_ROLES[axis] for axis in moved))


def _unsqueezed(weight: Array, squeeze: Squeeze) -> Array:
    """The weight (M, C, k·r, l·r) for x of the weight (M, C·r², k, l) for the squeezed x."""
    outside, inside, *kernel = weight.shape
    high, wide = squeeze.block
    sizes = {_CHANNEL: inside // (high * wide), _ROW: high, _COLUMN: wide}
    apart = weight.reshape(outside, *(sizes[role] for role in squeeze.order), *kernel)
    channel, row, column = (1 + squeeze.order.index(role) for role in (_CHANNEL, _ROW, _COLUMN))
    placed = np.transpose(apart, (0, channel, 4, row, 5, column))
    return placed.reshape(outside, sizes[_CHANNEL], kernel[0] * high, kernel[1] * wide)
