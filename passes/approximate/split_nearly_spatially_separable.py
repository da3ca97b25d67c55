"""Split a convolution into one along its first axes and one along the others that come near it.

    conv(x, W, b; k×l)  ->  conv(conv(x, V; k×1), H, b; 1×l)
    W[o, i, y, x]  ≈  Σᵣ V[r, i, y] · H[o, r, x]        r < R

The exact split (split-spatially-separable) of the nearest weight that needs R filters in between: the R
largest singular values of each group's (Cin·k × Cout·l) matrix. R is the lowest at which the weight changes
by no more than the tolerance.

Source: Jaderberg et al., Speeding up Convolutional Neural Networks with Low Rank Expansions (2014), 2.1.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.factors import Matrix
from convgraph.passes.algebra.split_spatially_separable import (
    SpatiallySeparableConv,
    SplitSpatiallySeparable,
    matrices,
)
from convgraph.passes.approximate.low_rank import LowRankConv, SplitsByLowRank


@dataclass(frozen=True, kw_only=True)
class SplitNearlySpatiallySeparable(SplitsByLowRank):
    """Split a convolution into one along its first axes and one along the others that come near it."""

    name: ClassVar[str] = "split-nearly-spatially-separable"

    def ways(self, weight: Array) -> Iterable[int]:
        """How many axes come first, with something to do along these and along the others."""
        kernel = weight.shape[2:]
        return (n for n in range(1, len(kernel)) if prod(kernel[:n]) > 1 < prod(kernel[n:]))

    def matrices(self, weight: Array, *, group: int, way: int) -> Matrix:
        """For each group one matrix, (Cin, first axes of the kernel) by (Cout, its other axes)."""
        return matrices(weight, group=group, first=way)

    def restored(self, matrices: Matrix, *, like: Array, group: int, way: int) -> Array:
        """Channels before kernel, output before input."""
        (outside, inside), kernel = like.shape[:2], like.shape[2:]
        sizes = (group, inside, prod(kernel[:way]), outside // group, prod(kernel[way:]))
        return matrices.reshape(sizes).transpose(0, 3, 1, 2, 4).reshape(like.shape)

    def apply(self, edit: Edit, m: LowRankConv) -> None:
        """Split as if the weight had the rank."""
        near = SpatiallySeparableConv(conv=m.conv, first=m.way, rank=m.rank, evenly=False)
        SplitSpatiallySeparable().apply(edit, near)
