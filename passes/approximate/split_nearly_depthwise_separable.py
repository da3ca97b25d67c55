"""Split a convolution into a depthwise and a pointwise one that come near it.

    conv(x, W, b)  ->  conv(conv(x, D; group = C), P, b; 1×1)
    W[o, i, :, :]  ≈  Σᵣ P[o, i, r] · D[i, r, :, :]        r < R

The exact split (split-depthwise-separable) of the nearest weight in which every input channel's slice has
rank R: the R largest singular values of each. R is the lowest at which the weight changes by no more than the
tolerance; all channels have the same.

Source: Guo et al., Network Decoupling: From Regular to Depthwise Separable Convolutions (2018), section 3.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.factors import Matrix
from convgraph.passes.algebra.split_depthwise_separable import (
    SeparableConv,
    SplitDepthwiseSeparable,
    slices,
)
from convgraph.passes.approximate.low_rank import LowRankConv, SplitsByLowRank


@dataclass(frozen=True, kw_only=True)
class SplitNearlyDepthwiseSeparable(SplitsByLowRank):
    """Split a convolution into a depthwise and a pointwise one that come near it."""

    name: ClassVar[str] = "split-nearly-depthwise-separable"

    def ways(self, weight: Array) -> Iterable[int]:
        """One, where there is a kernel to keep apart from the channels."""
        return (0,) if weight[0, 0].size > 1 else ()

    def matrices(self, weight: Array, *, group: int, way: int) -> Matrix:
        """One matrix, output channels by kernel, for each input channel."""
        del way
        return slices(weight, group=group)

    def restored(self, matrices: Matrix, *, like: Array, group: int, way: int) -> Array:
        """The input channels back behind the output channels."""
        del way
        outside, inside = like.shape[0] // group, like.shape[1]
        return np.moveaxis(matrices.reshape(group, inside, outside, -1), 1, 2).reshape(like.shape)

    def apply(self, edit: Edit, m: LowRankConv) -> None:
        """Split as if the weight had the rank."""
        SplitDepthwiseSeparable().apply(edit, SeparableConv(conv=m.conv, rank=m.rank, evenly=False))
