"""Resize: sampling a tensor on another grid."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convgraph.ir.ops.axes import is_given, normal_axes
from convgraph.ir.ops.base import Op, require
from convgraph.ir.tensor import Dim, TensorType, affine, times

_CHOICES = {
    "mode": ("nearest", "linear", "cubic"),
    "coordinate_transformation_mode": (
        "half_pixel",
        "half_pixel_symmetric",
        "pytorch_half_pixel",
        "align_corners",
        "asymmetric",
        "tf_crop_and_resize",
    ),
    "nearest_mode": ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
    "keep_aspect_ratio_policy": ("stretch", "not_larger", "not_smaller"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize(Op):
    """X sampled on another grid of points, by ``scales`` or to ``sizes`` (exactly one of the two).

    Both speak of ``axes``, or of every axis. By scale: out[d] = floor(in[d] * scale[d]).
    ``roi`` (starts, then ends, in parts of the whole) matters to "tf_crop_and_resize" only.
    """

    mode: str = "nearest"
    coordinate_transformation_mode: str = "half_pixel"
    nearest_mode: str = "round_prefer_floor"
    cubic_coeff_a: float = -0.75
    exclude_outside: int = 0
    extrapolation_value: float = 0.0
    antialias: int = 0
    axes: tuple[int, ...] | None = None
    keep_aspect_ratio_policy: str = "stretch"

    def __post_init__(self) -> None:
        """Refuse unknown modes and flags."""
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            require(value in choices, "Resize", found=f"{name}={value!r}", expected=f"one of {choices}")
        for name in ("exclude_outside", "antialias"):
            value = getattr(self, name)
            require(value in (0, 1), "Resize", found=f"{name}={value}", expected="0 or 1")
        unique = self.axes is None or len(set(self.axes)) == len(self.axes)
        require(unique, "Resize", found=f"axes={self.axes}", expected="each axis once")

    def infer(
        self,
        x: TensorType,
        roi: TensorType | None = None,
        scales: TensorType | None = None,
        sizes: TensorType | None = None,
    ) -> TensorType:
        """The type of the resized x, as far as the elements of ``scales`` or ``sizes`` are known."""
        by_scale, by_size = is_given(scales), is_given(sizes)
        found = f"{'both' if by_scale else 'neither'} scales and sizes"
        require(by_scale != by_size, "Resize", found=found, expected="one of them")
        if x.shape is None:
            return x.with_shape(None)
        axes = self.resized_axes(len(x.shape))
        operand = scales if by_scale else sizes
        self._check_count(operand, len(axes))
        new = self._new_sizes([x.shape[axis] for axis in axes], scales=scales, sizes=sizes)
        shape = list(x.shape)
        for axis, size in zip(axes, new, strict=True):
            shape[axis] = size
        return x.with_shape(tuple(shape))

    def resized_axes(self, rank: int) -> tuple[int, ...]:
        """The axes that scales and sizes speak of, counted from the front."""
        return tuple(range(rank)) if self.axes is None else normal_axes("Resize", self.axes, rank=rank)

    def _check_count(self, operand: TensorType | None, count: int) -> None:
        length = None if operand is None else operand.size
        found = f"{length} numbers for {count} axes"
        require(length in (None, count), "Resize", found=found, expected="one number an axis")

    def _new_sizes(
        self, dims: Sequence[Dim], *, scales: TensorType | None, sizes: TensorType | None
    ) -> Sequence[Dim]:
        if scales is not None and is_given(scales):
            if scales.floats is None:
                return [None] * len(dims)
            positive = all(0 < scale < np.inf for scale in scales.floats)
            require(positive, "Resize", found=f"scales {scales.floats}", expected="positive ones")
            return [scaled_size(dim, scale) for dim, scale in zip(dims, scales.floats, strict=True)]
        if sizes is None or sizes.ints is None:
            return [None] * len(dims)
        if self.keep_aspect_ratio_policy == "stretch":
            return sizes.ints
        known = [dim for dim in dims if isinstance(dim, int)]
        return self.kept_ratio(known, sizes.ints)[1] if len(known) == len(dims) else [None] * len(dims)

    def kept_ratio(self, dims: Sequence[int], sizes: Sequence[int]) -> tuple[float, list[int]]:
        """The one scale, and the sizes it gives, under a policy that keeps the aspect ratio."""
        ratios = [np.float32(size) / np.float32(dim) for dim, size in zip(dims, sizes, strict=True)]
        scale = float(min(ratios) if self.keep_aspect_ratio_policy == "not_larger" else max(ratios))
        return scale, [int(np.floor(np.float32(scale) * np.float32(dim) + np.float32(0.5))) for dim in dims]


def scaled_size(dim: Dim, scale: float) -> Dim:
    """``floor(dim * scale)``, in float32 as runtimes compute it, or a symbol where that is certain."""
    if isinstance(dim, int):
        with np.errstate(over="ignore"):
            size = np.floor(np.float32(dim) * np.float32(scale))
        return int(size) if np.isfinite(size) else None
    if scale.is_integer():
        return times(dim, int(scale))
    # Only powers of two are exact reciprocals in float32.
    if (1 / scale).is_integer() and np.log2(scale).is_integer():
        return affine(dim, add=0, divide=int(1 / scale))
    return None
