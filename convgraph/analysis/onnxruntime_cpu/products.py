"""Kernels that multiply, counted: blocked convolutions of four kinds, unfolded ones, matrix products.

What a blocked convolution does follows from how onnxruntime's kernels go about it. An input channel meets a
set of up to four blocks of filters at once, in strips of some outputs side by side: for each tap they load
the filters (``blocked.filter`` a block) and multiply with each output (``blocked.mac``). Outputs whose window
reaches into the padding are computed one by one, with the taps that lie inside. Channels and filters count in
whole blocks. ``more`` values of the result's size are read besides; ``cold`` is the part of the weights that
no cache has kept since the last run, ``weights.first`` a byte of it. Rates are in seconds: ``KIND.mac`` for a
multiplication with its addition, others as said below.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from convgraph.analysis.onnxruntime_cpu.work import Work

_SET = 4  # blocks of filters that are computed together
_CHUNK = 128  # input channels that a pointwise convolution takes at once
_FLOAT = 4  # bytes
_NEAR = (2.0**19, 2.0**20)  # bytes from which on some, and all, has gone from the second-level cache
_FAR = (2.0**20, 2.0**22)  # … from all that a core can count on
_MEMORY = (2.0**22, 2.0**24)  # … of what is read once a run
_WRITTEN = (1.5 * 2.0**20, 6 * 2.0**20)  # … of what is written and read again
_LANES = 16  # columns of a matrix that are multiplied together


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One spatial axis of a convolution: sizes of input and output, and how the window moves."""

    size: int
    out: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    pad: int = 0

    @property
    def taps(self) -> int:
        """How many pairs of an output and a tap there are whose input is not padding."""
        starts = [tap * self.dilation - self.pad for tap in range(self.kernel)]
        return sum(max(0, self._end(start) - max(0, _ceiling(-start, self.stride))) for start in starts)

    @property
    def live(self) -> int:
        """How many taps see input that is not padding, at some output."""
        starts = [tap * self.dilation - self.pad for tap in range(self.kernel)]
        return sum(self._end(start) > max(0, _ceiling(-start, self.stride)) for start in starts)

    @property
    def inner(self) -> int:
        """How many outputs see no padding."""
        reach = self.dilation * (self.kernel - 1) - self.pad
        return max(0, self._end(reach) - max(0, _ceiling(self.pad, self.stride)))

    def loads(self, strip: int) -> int:
        """How often the taps along this axis are loaded when outputs go in strips."""
        border = self.taps - self.inner * self.kernel
        return _ceiling(self.inner, strip) * self.kernel + border

    def strips(self, strip: int) -> int:
        """How many strips of outputs there are, those at the borders counting one each."""
        return _ceiling(self.inner, strip) + self.out - self.inner

    def _end(self, start: int) -> int:
        """The first output that reads past the input with a tap that begins here; at most ``out``."""
        return min(self.out, _ceiling(self.size - start, self.stride))


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A convolution: images, groups, channels and filters of each group, and its axes, width last."""

    batch: int
    groups: int
    channels: int
    filters: int
    axes: tuple[Axis, ...]

    @property
    def inputs(self) -> int:
        """Elements of an input channel."""
        return math.prod(axis.size for axis in self.axes)

    @property
    def outputs(self) -> int:
        """Elements of an output channel."""
        return math.prod(axis.out for axis in self.axes)

    @property
    def kernel(self) -> int:
        """Taps of a filter on one channel."""
        return math.prod(axis.kernel for axis in self.axes)

    @property
    def is_pointwise(self) -> bool:
        """Whether each output sees one input element of each channel, and all are inside."""
        return self.kernel == 1 and all(axis.inner == axis.out for axis in self.axes)

    @property
    def is_dense(self) -> bool:
        """Whether it also takes every input element in turn."""
        return self.is_pointwise and self.inputs == self.outputs

    @property
    def weights(self) -> int:
        """Bytes of the weights."""
        return _FLOAT * self.groups * self.channels * self.filters * self.kernel

    def traffic(self, *, more: int = 0) -> float:
        """Bytes of input and result, and of so many values more of the result's size."""
        read = self.channels * self.inputs
        return _FLOAT * self.batch * self.groups * (read + self.filters * self.outputs * (1 + more))


def direct(window: Window, *, block: int, more: int, cold: float) -> tuple[Work, ...]:
    """Blocked in and out: ``direct.row`` for each row of a set, besides what all blocked ones do.

    All filters of a set are read again for each row of outputs: ``weights.again`` a byte where they are too
    many for the nearest cache.
    """
    channels, filters = _whole(window.channels, block), _whole(window.filters, block)
    *outer, width = window.axes
    rows = window.batch * window.groups * math.prod(axis.out for axis in outer)
    taps = window.batch * window.groups * math.prod(axis.taps for axis in outer)
    each = _FLOAT * channels * math.prod(axis.live for axis in window.axes)  # bytes of a filter
    weights = window.groups * filters * each
    again = _FLOAT * taps * width.live * channels * filters - weights
    counts = (
        ("direct.row", rows * _ceiling(filters, _SET * block)),
        ("blocked.mac", taps * width.taps * channels * filters),
        ("blocked.filter", taps * width.loads(_strip(block)) * channels * filters / block),
        ("weights.first", cold * weights),
        ("weights.again", again * _part(each * min(filters, _SET * block), _NEAR)),
    )
    return (Work(bytes=window.traffic(more=more), counts=counts),)


def pointwise(window: Window, *, block: int, more: int, cold: float) -> tuple[Work, ...]:
    """Blocked, one tap: ``pointwise.partial`` for each sum of some channels, besides what all others do.

    The input is read again for each set of filters: ``input.again`` a byte where no cache holds it.
    """
    channels, filters = _whole(window.channels, block), _whole(window.filters, block)
    images = window.batch * window.groups
    rows = 1 if window.is_dense else max(1, math.prod(axis.out for axis in window.axes[:-1]))
    strips = images * rows * _ceiling(window.outputs // rows, _strip(block))
    read = _FLOAT * images * channels * window.outputs
    counts = (
        ("blocked.mac", images * window.outputs * channels * filters),
        ("blocked.filter", strips * channels * filters / block),
        ("pointwise.partial", images * window.outputs * filters * _ceiling(channels, _CHUNK)),
        ("weights.first", cold * _FLOAT * window.groups * channels * filters),
        ("input.again", _beyond(read, _FAR) * (_ceiling(filters, _SET * block) - 1)),
    )
    return (Work(bytes=window.traffic(more=more), counts=counts),)


def planar(window: Window, *, block: int, more: int, cold: float) -> tuple[Work, ...]:
    """Few channels, read as they lie: ``planar.mac``, and ``planar.partial`` for each sum of one channel."""
    filters = _whole(window.filters, block)
    macs = window.batch * math.prod(axis.taps for axis in window.axes) * window.channels * filters
    partial = window.batch * window.outputs * window.channels * filters
    weights = _FLOAT * window.channels * filters * window.kernel
    counts = (("planar.mac", macs), ("planar.partial", partial), ("weights.first", cold * weights))
    return (Work(bytes=window.traffic(more=more), counts=counts),)


def depthwise(window: Window, *, block: int, more: int, cold: float) -> tuple[Work, ...]:
    """One channel in each group, in blocks: ``depthwise.mac``, and ``depthwise.strip`` of some outputs."""
    images = window.batch * _whole(window.groups, block)
    rows = images / block * math.prod(axis.out for axis in window.axes[:-1])
    counts = (
        ("depthwise.mac", images * math.prod(axis.taps for axis in window.axes)),
        ("depthwise.strip", rows * window.axes[-1].strips(_strip(block))),
        ("weights.first", cold * _FLOAT * _whole(window.groups, block) * window.kernel),
    )
    return (Work(bytes=window.traffic(more=more), counts=counts),)


def unfolded(window: Window, *, more: int, cold: float) -> tuple[Work, ...]:
    """Each group a matrix product with its windows side by side.

    To lay them out takes ``unfold.run`` for each row of outputs that sees one tap.
    """
    images = window.batch * window.groups
    inner = window.channels * window.kernel
    product = matrices(rows=window.filters, inner=inner, columns=window.outputs, times=images)
    runs = 0 if window.is_dense else images * inner * math.prod(axis.out for axis in window.axes[:-1])
    counts = (("unfold.run", runs), ("weights.first", cold * window.weights))
    return (*product, Work(bytes=window.traffic(more=more), counts=counts))


def scattered(window: Window, *, cold: float) -> tuple[Work, ...]:
    """A ConvTranspose, ``window`` being the Conv that it transposes.

    It is a product, then ``scatter.element`` for each element of that, which is added to where it belongs,
    and ``scatter.run`` for each row of them. What no cache holds of them takes ``scatter.again`` a byte each
    time some channels are summed into it.
    """
    images = window.batch * window.groups
    rows = window.channels * window.kernel
    made = rows * window.outputs
    product = matrices(rows=rows, inner=window.filters, columns=window.outputs, times=images)
    counts = (
        ("scatter.element", images * made),
        ("scatter.run", images * rows * math.prod(axis.out for axis in window.axes[:-1])),
        ("weights.first", cold * window.weights),
        ("scatter.again", images * _beyond(_FLOAT * made, _WRITTEN) * _ceiling(window.filters, _CHUNK)),
    )
    result = _FLOAT * images * window.channels * window.inputs
    return (*product, Work(bytes=result, counts=counts))


def matrices(
    *, rows: int, inner: int, columns: int, times: int = 1, packed: bool = False, cold: float = 0.0
) -> tuple[Work, ...]:
    """A matrix product, so many ``times``, in columns of ``_LANES`` side by side unless there is but one.

    ``gemm.mac``, ``gemm.element`` of the result, and ``gemm.pack`` for each element of the right operand
    unless it is ``packed``, a constant. That is waited for, ``gemm.right`` an element, the less the more rows
    there are.
    """
    right = inner * columns * times
    left = _FLOAT * rows * inner
    counts = (
        ("gemm.mac", rows * inner * times * (_whole(columns, _LANES) if columns > 1 else 1)),
        ("gemm.element", rows * columns * times),
        ("gemm.pack", 0 if packed else right),
        ("gemm.right", right / max(1, rows)),
        ("weights.first", cold * _FLOAT * right if packed else 0),
    )
    return (Work(bytes=times * (left + _FLOAT * rows * columns), counts=counts),)


def axes_of(
    sizes: Sequence[int],
    outs: Sequence[int],
    kernel: Sequence[int],
    *,
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Sequence[int],
) -> tuple[Axis, ...]:
    """The axes of a window, from the numbers of a convolution; ``pads`` begins with those at the begins."""
    numbers = zip(sizes, outs, kernel, strides, dilations, pads[: len(sizes)], strict=True)
    return tuple(
        [
            Axis(size=size, out=out, kernel=taps, stride=stride, dilation=dilation, pad=pad)
            for size, out, taps, stride, dilation, pad in numbers
        ]
    )


def coldness(weights: float) -> float:
    """The part of so many bytes of weights, all of a run, that no cache has kept since the last run."""
    return _part(weights, _MEMORY)


def _strip(block: int) -> int:
    """Outputs side by side that fill the registers: 12 of 8 numbers, or 24 of 16, in sets of four."""
    return 6 if block >= 16 else 3


def _beyond(size: float, cache: tuple[float, float]) -> float:
    return size * _part(size, cache)


def _part(size: float, cache: tuple[float, float]) -> float:
    """How much of something of this size a cache does not hold, from 0 to 1."""
    held, gone = cache
    return min(1.0, max(0.0, (size - held) / (gone - held)))


def _whole(channels: int, block: int) -> int:
    return _ceiling(channels, block) * block


def _ceiling(count: int, by: int) -> int:
    return -(-count // by)
