"""The arithmetic of a window that moves over spatial axes: shared by convolutions and pools."""

from collections.abc import Sequence
from typing import Protocol

from convgraph.errors import InvalidModel
from convgraph.ir.tensor import Dim, affine

AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


class Window(Protocol):
    """Anything with ONNX's window attributes."""

    @property
    def strides(self) -> tuple[int, ...]:
        """Step between windows, one number a spatial axis."""

    @property
    def pads(self) -> tuple[int, ...]:
        """Begin of every axis, then end of every axis."""

    @property
    def dilations(self) -> tuple[int, ...]:
        """Step between taps, one number a spatial axis."""

    @property
    def auto_pad(self) -> str:
        """NOTSET, or the rule that the pads follow."""


def spread(number: int | Sequence[int], count: int) -> tuple[int, ...]:
    """One number repeated ``count`` times, or the given ``count`` numbers."""
    return (number,) * count if isinstance(number, int) else tuple(number)


def check_window(
    op: str, *, strides: tuple[int, ...], pads: tuple[int, ...], dilations: tuple[int, ...]
) -> None:
    """Raise InvalidModel unless the attributes speak of one number of axes and the steps are positive."""
    rank = len(strides)
    if len(pads) != 2 * rank:
        raise InvalidModel(op, found=f"pads={pads} for {rank} axes", expected=f"{2 * rank} numbers")
    if len(dilations) != rank:
        raise InvalidModel(op, found=f"dilations={dilations} for {rank} axes", expected=f"{rank} numbers")
    if min(strides, default=1) < 1:
        raise InvalidModel(op, found=f"strides={strides}", expected="positive strides")
    if min(dilations, default=1) < 1:
        raise InvalidModel(op, found=f"dilations={dilations}", expected="positive dilations")


def slid(
    sizes: Sequence[Dim], *, kernel: Sequence[Dim], window: Window, op: str, ceil_mode: bool = False
) -> list[Dim]:
    """Output size of each spatial axis. Raises InvalidModel for a window larger than the padded input."""
    return [
        _slid(size, kernel=kernel[axis], axis=axis, window=window, op=op, ceil_mode=ceil_mode)
        for axis, size in enumerate(sizes)
    ]


def _slid(size: Dim, *, kernel: Dim, axis: int, window: Window, op: str, ceil_mode: bool) -> Dim:
    stride = window.strides[axis]
    if window.auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        return affine(size, add=stride - 1, divide=stride)
    if not isinstance(kernel, int):
        return None
    begin, end = (0, 0) if window.auto_pad == "VALID" else _ends(window, axis)
    reach = window.dilations[axis] * (kernel - 1) + 1
    if isinstance(size, int):
        if size + begin + end < reach:
            found = f"a window of {reach} over {size} + {begin} + {end} elements on spatial axis {axis}"
            raise InvalidModel(op, found=found, expected="a window that fits")
        if ceil_mode:
            return _rounded_up(size, begin=begin, end=end, reach=reach, stride=stride)
    if ceil_mode and stride > 1:
        return None  # whether the last window counts depends on the size
    return affine(size, add=begin + end - reach, divide=stride, then=1)


def _rounded_up(size: int, *, begin: int, end: int, reach: int, stride: int) -> int:
    """ONNX and PyTorch: a last window that would start in the end padding is dropped."""
    out = -(-(size + begin + end - reach) // stride) + 1
    return out - 1 if (out - 1) * stride >= size + begin else out


def _ends(window: Window, axis: int) -> tuple[int, int]:
    return window.pads[axis], window.pads[axis + len(window.strides)]


def explicit_pads(sizes: Sequence[Dim], *, kernel: Sequence[Dim], window: Window) -> tuple[int, ...] | None:
    """The pads ``auto_pad`` stands for; None while they depend on a size that is not known."""
    if window.auto_pad == "NOTSET":
        return window.pads
    if window.auto_pad == "VALID":
        return spread(0, len(window.pads))
    totals = [
        _same_padding(size, kernel=kernel[axis], stride=window.strides[axis], dilation=window.dilations[axis])
        for axis, size in enumerate(sizes)
    ]
    known = [total for total in totals if total is not None]
    if len(known) != len(totals):
        return None
    small, large = [total // 2 for total in known], [total - total // 2 for total in known]
    return tuple(small + large if window.auto_pad == "SAME_UPPER" else large + small)


def _same_padding(size: Dim, *, kernel: Dim, stride: int, dilation: int) -> int | None:
    if not isinstance(kernel, int):
        return None
    reach = dilation * (kernel - 1) + 1
    if stride == 1:
        return reach - 1
    if not isinstance(size, int):
        return None
    return max(0, (-(-size // stride) - 1) * stride + reach - size)
