"""Split a convolution into a depthwise and a pointwise one, where its weight has the rank for it.

    conv(x, W, b)  ->  conv(conv(x, D; group = C), P, b; 1×1)
    W[o, i, :, :]  =  Σᵣ P[o, i, r] · D[i, r, :, :]

Padding, strides and dilations stay with the depthwise convolution, which makes R channels of each; a fused
activation stays last. R is the largest rank among the input channels' (Cout × kernel) slices, so the split is
exact up to the rounding of the weights: singular values below a few roundings of the slice, and only those,
count as 0 (``convgraph.passes.algebra.factors``). Grouped convolutions are split within their groups.

Source: Guo et al., Network Decoupling: From Regular to Depthwise Separable Convolutions (2018), theorem 1;
Chollet, Xception: Deep Learning with Depthwise Separable Convolutions (2017).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, Op
from convgraph.ir.tensor import Array, Tensor
from convgraph.passes.algebra.constant_weight import (
    LooksIntoWeight,
    WeightedConv,
    constant_weight,
    convolution,
    seen_once,
    weight_tensor,
)
from convgraph.passes.algebra.factors import Matrix, evened, factored, numerical_rank, unit_roundoff
from convgraph.passes.rewrite import PricedRewrite


@dataclass(frozen=True, slots=True, kw_only=True)
class SeparableConv(WeightedConv):
    """A convolution, and the rank of each input channel's part of its weight.

    ``evenly``: every output channel counts alike, however small its weights are.
    """

    rank: int
    evenly: bool = True


@dataclass(frozen=True, kw_only=True)
class SplitDepthwiseSeparable(LooksIntoWeight[SeparableConv], PricedRewrite[SeparableConv]):
    """Split a convolution into a depthwise and a pointwise one, where its weight has the rank for it."""

    name: ClassVar[str] = "split-depthwise-separable"
    roots: ClassVar[tuple[type[Op], ...]] = (Conv,)

    def find(self, graph: Graph, node: int) -> SeparableConv | None:
        """A convolution whose input channels' parts of the weight all lack full rank."""
        weight = weight_tensor(graph, node)
        if weight is None or not weight.size:
            return None
        rank = _rank(weight, group=convolution(graph, node).group)
        return None if rank is None else SeparableConv(conv=node, rank=rank)

    def replaces(self, graph: Graph, match: SeparableConv) -> Iterable[int]:
        """The convolution."""
        return (match.conv,)

    def apply(self, edit: Edit, m: SeparableConv) -> None:
        """Put the depthwise and the pointwise convolution in its place."""
        graph, op = edit.graph, convolution(edit.graph, m.conv)
        x, _, *rest = graph.operands(m.conv)
        weight, array = constant_weight(graph, m.conv)
        depthwise, pointwise = _split(array, group=op.group, m=m)
        spread = replace(op, group=len(depthwise) // m.rank, activation=None)
        between = edit.add(spread, x, edit.constant(depthwise, like=weight))
        mixed = replace(Conv.of(op.spatial_rank, group=op.group), activation=op.activation)
        y = edit.add(mixed, between, edit.constant(pointwise, like=weight), *rest, like=m.conv)
        edit.replace(graph.results(m.conv)[0], y)


def slices(weight: Array, *, group: int) -> Matrix:
    """One float64 matrix (output channels of its group, kernel) for each input channel."""
    outside, inside = weight.shape[0] // group, weight.shape[1]
    grouped = weight.astype(np.float64).reshape(group, outside, inside, -1)
    return np.moveaxis(grouped, 2, 1).reshape(group * inside, outside, -1)


@seen_once
def _rank(weight: Tensor, *, group: int) -> int | None:
    """The largest rank of an input channel's part; None where one has full rank."""
    full = min(weight.shape[0] // group, prod(weight.shape[2:]))
    if full == 1:
        return None
    array = weight.numpy()
    parts, unit = slices(evened(array)[0], group=group), unit_roundoff(array)
    if numerical_rank(parts[0], unit=unit) == full:  # most weights: no need to look further
        return None
    rank = max(1, numerical_rank(parts, unit=unit))
    return None if rank == full else rank


def _split(weight: Array, *, group: int, m: SeparableConv) -> tuple[Array, Array]:
    """The depthwise weight (Cin·R, 1, *kernel) and the pointwise one (Cout, Cin/group·R, 1, …)."""
    even, sizes = evened(weight) if m.evenly else (weight, np.float64(1))
    mixing, kernels = factored(slices(even, group=group), rank=m.rank)
    outside, inside, kernel = weight.shape[0] // group, weight.shape[1], weight.shape[2:]
    depthwise = kernels.reshape(-1, 1, *kernel)
    grouped = np.moveaxis(mixing.reshape(group, inside, outside, m.rank), 2, 1)
    pointwise = sizes * grouped.reshape(weight.shape[0], inside * m.rank, *(1 for _ in kernel))
    return depthwise.astype(weight.dtype), pointwise.astype(weight.dtype)
