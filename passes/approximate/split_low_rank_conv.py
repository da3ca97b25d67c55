"""Split a convolution into one with fewer filters and a pointwise one that mixes them.

    conv(x, W, b)  ->  conv(conv(x, F), M, b; 1×1)
    W[o, i, :, :]  ≈  Σᵣ M[o, r] · F[r, i, :, :]        r < R

F, with R filters in each group, has the strides, the padding and the dilations; a fused activation stays
last. They come from the R largest singular values of each group's (Cout × Cin·kernel) matrix, and R is the
lowest at which the weight changes by no more than the tolerance.

Source: Zhang et al., Accelerating Very Deep Convolutional Networks for Classification and Detection (2015).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.ops import Conv
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.constant_weight import constant_weight, convolution
from convgraph.passes.algebra.factors import Matrix, factored
from convgraph.passes.approximate.low_rank import LowRankConv, SplitsByLowRank


@dataclass(frozen=True, kw_only=True)
class SplitLowRankConv(SplitsByLowRank):
    """Split a convolution into one with fewer filters and a pointwise one that mixes them."""

    name: ClassVar[str] = "split-low-rank-conv"

    def ways(self, weight: Array) -> Iterable[int]:
        """One."""
        del weight
        return (0,)

    def matrices(self, weight: Array, *, group: int, way: int) -> Matrix:
        """For each group one matrix, output channels by (input channels, kernel)."""
        del way
        return weight.astype(np.float64).reshape(group, weight.shape[0] // group, -1)

    def restored(self, matrices: Matrix, *, like: Array, group: int, way: int) -> Array:
        """The groups below each other."""
        del group, way
        return matrices.reshape(like.shape)

    def apply(self, edit: Edit, m: LowRankConv) -> None:
        """Put the filters and what mixes them in its place."""
        graph, op = edit.graph, convolution(edit.graph, m.conv)
        x, _, *rest = graph.operands(m.conv)
        weight, array = constant_weight(graph, m.conv)
        mixing, filters = factored(self.matrices(array, group=op.group, way=m.way), rank=m.rank)
        first = filters.reshape(-1, *array.shape[1:]).astype(array.dtype)
        last = mixing.reshape(len(array), m.rank, *(1 for _ in array.shape[2:])).astype(array.dtype)
        between = edit.add(replace(op, activation=None), x, edit.constant(first, like=weight))
        mixed = replace(Conv.of(op.spatial_rank, group=op.group), activation=op.activation)
        y = edit.add(mixed, between, edit.constant(last, like=weight), *rest, like=m.conv)
        edit.replace(graph.results(m.conv)[0], y)
