"""Split a convolution into one along its first axes and one along the others, where its weight has the rank.

    conv(x, W, b; k×l)  ->  conv(conv(x, V; k×1), H, b; 1×l)
    W[o, i, y, x]  =  Σᵣ V[r, i, y] · H[o, r, x]

The first takes over stride, dilation and padding along the first axes, the second those along the others,
with the bias and a fused activation: padding is zero between the two as it was before. R, the number of
filters in between (in each group), is the largest rank among the groups' (Cin·k × Cout·l) matrices, so the
split is exact up to the rounding of the weights: singular values below a few roundings, and only those, count
as 0 (``convgraph.passes.algebra.factors``). Gaussian, Sobel, box and bilinear kernels have R = 1 a channel.

Source: Jaderberg et al., Speeding up Convolutional Neural Networks with Low Rank Expansions (2014), 2.1.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Conv, Op
from convgraph.ir.tensor import Array, Tensor
from convgraph.passes.algebra.constant_weight import (
    LooksIntoWeight,
    WeightedConv,
    constant_weight,
    seen_once,
    weight_tensor,
)
from convgraph.passes.algebra.factors import (
    Matrix,
    evened,
    factored,
    numerical_rank,
    surely_full_rank,
    unit_roundoff,
)
from convgraph.passes.algebra.outer_taps import convolution
from convgraph.passes.rewrite import PricedRewrite


@dataclass(frozen=True, slots=True, kw_only=True)
class SpatiallySeparableConv(WeightedConv):
    """A convolution, how many spatial axes go to the first of two, and the filters in between a group.

    ``evenly``: every output channel counts alike, however small its weights are.
    """

    first: int
    rank: int
    evenly: bool = True


@dataclass(frozen=True, kw_only=True)
class SplitSpatiallySeparable(LooksIntoWeight[SpatiallySeparableConv], PricedRewrite[SpatiallySeparableConv]):
    """Split a convolution into one along its first axes and one along the others, where its weight allows."""

    name: ClassVar[str] = "split-spatially-separable"
    roots: ClassVar[tuple[type[Op], ...]] = (Conv,)

    def find(self, graph: Graph, node: int) -> SpatiallySeparableConv | None:
        """A convolution whose weight is fewer numbers as two factors than as their product."""
        weight = weight_tensor(graph, node)
        if weight is None or not weight.size:
            return None
        group = convolution(graph, node).group
        ranks = {first: _rank(weight, group=group, first=first) for first in range(1, len(weight.shape) - 2)}
        sizes = {
            first: _factor_size(weight.shape, group=group, first=first) * rank
            for first, rank in ranks.items()
            if rank is not None
        }
        best = min(sizes, key=lambda first: sizes[first], default=0)
        return SpatiallySeparableConv(conv=node, first=best, rank=ranks[best] or 1) if best else None

    def replaces(self, graph: Graph, match: SpatiallySeparableConv) -> Iterable[int]:
        """The convolution."""
        return (match.conv,)

    def apply(self, edit: Edit, m: SpatiallySeparableConv) -> None:
        """Put the two convolutions in its place."""
        graph, op = edit.graph, convolution(edit.graph, m.conv)
        x, _, *rest = graph.operands(m.conv)
        weight, array = constant_weight(graph, m.conv)
        along_first, along_rest = _split(array, group=op.group, m=m)
        axes = range(op.spatial_rank)
        first, last = (edit.constant(array, like=weight) for array in (along_first, along_rest))
        begin = replace(_along(op, axes[: m.first]), activation=None)
        between = edit.add(_settled(graph, begin, x, first), x, first)
        end = _settled(graph, _along(op, axes[m.first :]), between, last)
        y = edit.add(end, between, last, *rest, like=m.conv)
        edit.replace(graph.results(m.conv)[0], y)


def _along(op: Conv, axes: Sequence[int]) -> Conv:
    """The convolution that moves along some axes as ``op`` does and stays in place on the others."""
    rank = op.spatial_rank
    return replace(
        op,
        strides=tuple(s if axis in axes else 1 for axis, s in enumerate(op.strides)),
        dilations=tuple(d if axis in axes else 1 for axis, d in enumerate(op.dilations)),
        pads=tuple(p if end % rank in axes else 0 for end, p in enumerate(op.pads)),
    )


def _settled(graph: Graph, op: Conv, x: Value | None, weight: Value) -> Conv:
    """The convolution with pads for its rule where the sizes along its own axes tell them."""
    assert x is not None
    pads = op.padded_explicitly(graph.type(x), graph.type(weight))
    return op if pads is None else replace(op, pads=pads, auto_pad="NOTSET")


def matrices(weight: Array, *, group: int, first: int) -> Matrix:
    """For each group one float64 matrix, (Cin, first axes of the kernel) by (Cout, its other axes)."""
    outside, inside = weight.shape[0] // group, weight.shape[1]
    head, tail = prod(weight.shape[2 : 2 + first]), prod(weight.shape[2 + first :])
    grouped = weight.astype(np.float64).reshape(group, outside, inside, head, tail)
    return grouped.transpose(0, 2, 3, 1, 4).reshape(group, inside * head, outside * tail)


def _factor_size(shape: Sequence[int], *, group: int, first: int) -> int:
    """Numbers in the two factors for each filter in between."""
    return group * shape[1] * prod(shape[2 : 2 + first]) + shape[0] * prod(shape[2 + first :])


@seen_once
def _rank(weight: Tensor, *, group: int, first: int) -> int | None:
    """How many filters in between a group needs; None when so many that the factors are no smaller."""
    size = _factor_size(weight.shape, group=group, first=first)
    if size >= weight.size:
        return None
    array = weight.numpy()
    whole, unit = matrices(evened(array)[0], group=group, first=first), unit_roundoff(array)
    enough = -(-weight.size // size)  # the lowest rank that does not pay
    if surely_full_rank(whole[0, :enough, :enough], unit=unit):  # most weights: no need for a decomposition
        return None
    rank = max(1, numerical_rank(whole, unit=unit))
    return rank if rank < enough else None


def _split(weight: Array, *, group: int, m: SpatiallySeparableConv) -> tuple[Array, Array]:
    """The weights (group·R, Cin/group, *first axes, 1, …) and (Cout, R, 1, …, *other axes)."""
    even, sizes = evened(weight) if m.evenly else (weight, np.float64(1))
    head, tail = factored(matrices(even, group=group, first=m.first), rank=m.rank)
    outside, inside, *kernel = weight.shape
    ones = [1 for _ in kernel]
    along_first = np.moveaxis(head.reshape(group, inside, -1, m.rank), 3, 1).reshape(
        group * m.rank, inside, *kernel[: m.first], *ones[m.first :]
    )
    along_rest = np.moveaxis(tail.reshape(group, m.rank, outside // group, -1), 2, 1).reshape(
        outside, m.rank, *ones[: m.first], *kernel[m.first :]
    )
    return along_first.astype(weight.dtype), (sizes * along_rest).astype(weight.dtype)
