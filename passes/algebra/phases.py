"""A transposed convolution seen as a convolution that makes all phases of its output at once.

On one axis, of stride s, dilation d and k taps, output o is the sum of x[i]·w[j] over i·s + j·d = o + p. With
o = s·u + r, phase r of the output at u is

    y[s·u + r] = Σ_δ x[u + δ] · w[(r + p − s·δ) / d]

over those δ from ⌈(p − d·(k − 1)) / s⌉ to ⌈p / s⌉ for which there is such a tap: a convolution of x with as
many output channels as there are phases.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from convgraph.ir.ops import Conv
from convgraph.ir.tensor import Array


class Axis(NamedTuple):
    """One spatial axis of a transposed convolution: p and q are its pads, e its output padding."""

    kernel: int
    stride: int
    dilation: int
    p: int
    q: int
    e: int

    @property
    def reach(self) -> int:
        """How far the last tap is from the first."""
        return self.dilation * (self.kernel - 1)

    @property
    def first(self) -> int:
        """The smallest δ."""
        return -((self.reach - self.p) // self.stride)

    @property
    def last(self) -> int:
        """The largest δ."""
        return -(-self.p // self.stride)

    @property
    def step(self) -> int:
        """How far apart the δ are: where the stride divides the dilation, a single phase has taps."""
        return self.dilation // self.stride if self.dilation % self.stride == 0 else 1

    @property
    def growth(self) -> int:
        """Output size less stride times input size."""
        return self.e + self.reach + 1 - self.p - self.q - self.stride

    @property
    def pads(self) -> tuple[int, int]:
        """The padding with which the convolution makes the output, rounded up to whole blocks."""
        return -self.first, self.last - (-self.growth // self.stride)

    @property
    def surplus(self) -> tuple[int, int]:
        """How many elements too many there are at either end when padding cannot be negative."""
        begin, end = (self.stride * max(0, -pad) for pad in self.pads)
        return begin, end + -self.growth % self.stride

    @property
    def taps(self) -> Array:
        """Which tap phase r has at the t-th δ: (stride, δs), k where it has none."""
        deltas = np.arange(self.first, self.last + 1, self.step)
        places = np.arange(self.stride)[:, None] + self.p - self.stride * deltas
        tap, between = np.divmod(places, self.dilation)
        return np.where((between == 0) & (tap >= 0) & (tap < self.kernel), tap, self.kernel)


def phase_conv(axes: Sequence[Axis], *, group: int) -> Conv:
    """The convolution that makes all phases."""
    begins, ends = zip(*(axis.pads for axis in axes), strict=True)
    pads = tuple(max(0, pad) for pad in (*begins, *ends))
    return Conv.of(len(axes), pads=pads, dilations=[axis.step for axis in axes], group=group)


def phase_weight(axes: Sequence[Axis], weight: Array, *, group: int) -> Array:
    """Its weight: (C, M/group, *kernel) -> (M·phases, C/group, *δs), the phases of a channel side by side."""
    rank, (channels, per_group) = len(axes), weight.shape[:2]
    for number in reversed(range(rank)):
        place = 2 + number
        none = np.zeros_like(weight.take([0], axis=place))
        weight = np.concatenate([weight, none], axis=place).take(axes[number].taps, axis=place)
    apart = weight.reshape(group, channels // group, per_group, *weight.shape[2:])
    phases, deltas = range(3, 3 + 2 * rank, 2), range(4, 3 + 2 * rank, 2)
    ordered = apart.transpose(0, 2, *phases, 1, *deltas)
    sizes = [apart.shape[place] for place in deltas]
    return np.ascontiguousarray(ordered.reshape(-1, channels // group, *sizes))
