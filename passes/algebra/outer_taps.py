"""Outer rows, columns and planes of a kernel that do nothing, and the convolution without them."""

from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, TypeVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, Convolution, ConvTranspose, Op
from convgraph.passes.algebra.constant_weight import (
    LooksIntoWeight,
    WeightedConv,
    constant_weight,
)
from convgraph.passes.algebra.constant_weight import convolution as any_convolution
from convgraph.passes.rewrite import requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleTaps(WeightedConv):
    """A convolution and, for each spatial axis, how many of its first and of its last taps do nothing."""

    begins: tuple[int, ...]
    ends: tuple[int, ...]


class Cut(NamedTuple):
    """How many taps leave at each end of each spatial axis, and the pads that remain."""

    begins: tuple[int, ...]
    ends: tuple[int, ...]
    pads: tuple[int, ...]


M = TypeVar("M", bound=IdleTaps)


@dataclass(frozen=True, kw_only=True)
class CropOuterTaps(LooksIntoWeight[M]):
    """A rewrite that takes idle outer taps off a convolution's weight and as much off its padding.

    The tap that was number b on an axis becomes number 0 and reads what it read before (of a transposed
    convolution: writes where it wrote) when the padding at the begin shrinks by b·dilation; likewise at the
    end. Padding stays 0 or more, one tap stays on each axis.
    """

    name: ClassVar[str]
    roots: ClassVar[tuple[type[Op], ...]] = (Convolution,)

    @requirement
    def the_padding_can_shrink(self, graph: Graph, m: M) -> bool:
        """At an end with idle taps the padding is at least as wide as the step from one tap to the next."""
        cut = _cut(graph, m)
        return any((*cut.begins, *cut.ends))

    def apply(self, edit: Edit, m: M) -> None:
        """Put a convolution with fewer taps and less padding in its place."""
        graph = edit.graph
        x, _, *rest = graph.operands(m.conv)
        weight, array = constant_weight(graph, m.conv)
        cut = _cut(graph, m)
        kept = tuple(
            slice(begin, size - end)
            for begin, end, size in zip(cut.begins, cut.ends, array.shape[2:], strict=True)
        )
        cropped = edit.constant(array[:, :, *kept].copy(), like=weight)
        op = replace(any_convolution(graph, m.conv), pads=cut.pads, auto_pad="NOTSET")
        if isinstance(op, ConvTranspose):
            op = replace(op, output_shape=None)
        edit.replace(graph.results(m.conv)[0], edit.add(op, x, cropped, *rest, like=m.conv))


def convolution(graph: Graph, node: int) -> Conv:
    """The operation of a node that is known to be a Conv."""
    op = graph.op(node)
    assert isinstance(op, Conv)
    return op


def known_pads(graph: Graph, conv: int) -> tuple[int, ...] | None:
    """The pads of a convolution as numbers; None while they depend on an unknown size.

    They are negative where a transposed convolution's ``output_shape`` is beyond the last pixel.
    """
    op, (x, weight, *_) = graph.op(conv), graph.operands(conv)
    assert x is not None
    assert weight is not None
    assert isinstance(op, (Conv, ConvTranspose))
    return op.padded_explicitly(graph.type(x), graph.type(weight))


def _cut(graph: Graph, m: IdleTaps) -> Cut:
    op, pads, weight = any_convolution(graph, m.conv), known_pads(graph, m.conv), graph.operand(m.conv, 1)
    assert pads is not None
    assert weight is not None
    shape = graph.type(weight).static_shape
    assert shape is not None
    rank = op.spatial_rank
    begins, ends, left = [], [], list(pads)
    for axis, (size, step) in enumerate(zip(shape[2:], op.dilations, strict=True)):
        begin = min(m.begins[axis], max(pads[axis], 0) // step, size - 1)
        end = min(m.ends[axis], max(pads[axis + rank], 0) // step, size - 1 - begin)
        left[axis] -= begin * step
        left[axis + rank] -= end * step
        begins.append(begin)
        ends.append(end)
    return Cut(tuple(begins), tuple(ends), tuple(left))
