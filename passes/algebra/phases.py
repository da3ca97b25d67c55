"""A transposed convolution seen as a convolution that makes all phases of its output at once.

On one axis, of stride s, dilation d and k taps, output o is the sum of x[i]·w[j] over i·s + j·d = o + p. With
o = s·u + r, phase r of the output at u is

    y[s·u + r] = Σ_δ x[u + δ] · w[(r + p − s·δ) / d]

over those δ from ⌈(p − d·(k − 1)) / s⌉ to ⌈p / s⌉ for which there is such a tap: a convolution of x with as
many output channels as there are phases. Or one convolution for each phase, with the δ of that phase alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from convgraph.ir.ops import Conv
from convgraph.ir.tensor import Array


class Part(NamedTuple):
    """One spatial axis of a convolution that makes some of the phases of a transposed one.

    ``taps`` says which tap each phase has at each δ: (phases, δs), the kernel's size where it has none. The
    δ are ``step`` apart. ``pads`` are such that there are as many outputs as blocks; they may be negative.
    """

    taps: Array
    step: int
    pads: tuple[int, int]

    @property
    def excess(self) -> tuple[int, int]:
        """How many outputs there are too many at either end when padding cannot be negative."""
        begin, end = (max(0, -pad) for pad in self.pads)
        return begin, end


class Axis(NamedTuple):
    """One spatial axis of a transposed convolution: p and q are its pads, e its output padding.

    ``skip`` output elements at the begin are not wanted.
    """

    kernel: int
    stride: int
    dilation: int
    p: int
    q: int
    e: int
    skip: int = 0

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
    def deltas(self) -> range:
        """Every δ at which some phase has a tap."""
        return range(self.first, self.last + 1, self.step)

    @property
    def growth(self) -> int:
        """Output size less stride times input size."""
        return self.e + self.reach + 1 - self.p - self.q - self.stride

    @property
    def more_blocks(self) -> int:
        """How many blocks of the output, the last perhaps not full, there are beyond one for each input."""
        return -(-self.growth // self.stride)

    @property
    def surplus(self) -> tuple[int, int]:
        """How many elements of the blocks are not wanted at either end."""
        return self.skip, -self.growth % self.stride

    @property
    def taps(self) -> Array:
        """Which tap phase r has at the t-th δ: (stride, δs), the kernel's size where it has none."""
        return self._taps_at(np.arange(self.stride)[:, None] + self.p - self.stride * np.asarray(self.deltas))

    @property
    def is_full(self) -> bool:
        """Whether every phase has a tap at every δ."""
        return bool((self.taps < self.kernel).all())

    @property
    def aligned(self) -> "Axis":
        """The same axis with less padding at the begin, where that takes fewest δ, and more to skip."""
        options = [self._replace(p=self.p - more, skip=self.skip + more) for more in range(self.stride)]
        return min(options, key=lambda axis: len(axis.deltas))

    def of_pixel(self, out: int) -> Part:
        """What a single input element makes: a phase for each of ``out`` outputs, and one δ."""
        return Part(taps=self._taps_at(np.arange(out)[:, None] + self.p), step=1, pads=(0, 0))

    @property
    def whole(self) -> Part:
        """All phases at once."""
        return Part(taps=self.taps, step=self.step, pads=(-self.first, self.last + self.more_blocks))

    @property
    def apart(self) -> list[Part]:
        """Every phase by itself; one without a tap has a δ all the same."""
        return [self._phase(row) for row in self.taps]

    def _taps_at(self, places: Array) -> Array:
        """The tap that lies so far from the first, the kernel's size where there is none."""
        tap, between = np.divmod(places, self.dilation)
        return np.where((between == 0) & (tap >= 0) & (tap < self.kernel), tap, self.kernel)

    def _phase(self, row: Array) -> Part:
        mine = [number for number, tap in enumerate(row) if tap < self.kernel] or [0]
        low, high = self.deltas[mine[0]], self.deltas[mine[-1]]
        step = (high - low) // (len(mine) - 1) if len(mine) > 1 else 1
        return Part(taps=row[None, mine], step=step, pads=(-low, high + self.more_blocks))


def phase_conv(parts: Sequence[Part], *, group: int) -> Conv:
    """The convolution that makes these phases."""
    begins, ends = zip(*(part.pads for part in parts), strict=True)
    pads = tuple(max(0, pad) for pad in (*begins, *ends))
    return Conv.of(len(parts), pads=pads, dilations=[part.step for part in parts], group=group)


def phase_weight(parts: Sequence[Part], weight: Array, *, group: int) -> Array:
    """Its weight: (C, M/group, *kernel) -> (M·phases, C/group, *δs), the phases of a channel side by side."""
    rank, (channels, per_group) = len(parts), weight.shape[:2]
    for number in reversed(range(rank)):
        place = 2 + number
        none = np.zeros_like(weight.take([0], axis=place))
        weight = np.concatenate([weight, none], axis=place).take(parts[number].taps, axis=place)
    apart = weight.reshape(group, channels // group, per_group, *weight.shape[2:])
    phases, deltas = range(3, 3 + 2 * rank, 2), range(4, 3 + 2 * rank, 2)
    ordered = apart.transpose(0, 2, *phases, 1, *deltas)
    sizes = [apart.shape[place] for place in deltas]
    return np.ascontiguousarray(ordered.reshape(-1, channels // group, *sizes))
