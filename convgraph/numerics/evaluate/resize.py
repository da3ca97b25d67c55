"""The meaning of Resize: along every axis, each output position is a weighted sum of input positions.

Coordinates and scales are computed in float32, as runtimes do: which element is nearest hangs on the last
bit. Weights and sums are float64. A grid of the same size is still sampled, as ONNX says (onnxruntime
copies x then, whatever the scales).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from convgraph.errors import UnsupportedOp
from convgraph.ir.ops import Op, Resize
from convgraph.ir.ops.resize import scaled_size
from convgraph.ir.tensor import Array

_TIE = 1e-6  # onnxruntime 1.31 takes a coordinate this close to halfway for halfway


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis to resample: its sizes before and after, the scale, and the part of it that is of interest."""

    axis: int
    before: int
    after: int
    scale: np.float32
    start: np.float32
    end: np.float32


def _resize(
    op: Resize, x: Array, roi: Array | None = None, scales: Array | None = None, sizes: Array | None = None
) -> Array:
    if op.mode != "nearest" and x.dtype.kind != "f":
        raise UnsupportedOp("Resize", found=f"mode {op.mode} on {x.dtype}", expected="floats")
    outside: list[tuple[int, Array]] = []
    for axis in _axes(op, x, roi, scales, sizes):
        places = _coordinates(op, axis)
        if op.coordinate_transformation_mode == "tf_crop_and_resize":
            outside.append((axis.axis, (places < 0) | (places > np.float32(axis.before - 1))))
        x = _resampled(op, x, axis, places)
    for number, beyond in outside:
        shape = [-1 if i == number else 1 for i in range(x.ndim)]
        x = np.where(beyond.reshape(shape), np.asarray(op.extrapolation_value).astype(x.dtype), x)
    return x


def _axes(op: Resize, x: Array, roi: Array | None, scales: Array | None, sizes: Array | None) -> list[Axis]:
    numbers = op.resized_axes(x.ndim)
    before = [x.shape[axis] for axis in numbers]
    if scales is not None and scales.size:
        factors = [np.float32(scale) for scale in scales]
        after = [int(scaled_size(size, float(f)) or 0) for size, f in zip(before, factors, strict=True)]
    elif sizes is not None and op.keep_aspect_ratio_policy != "stretch":
        scale, after = op.kept_ratio(before, [int(size) for size in sizes])
        factors = [np.float32(scale)] * len(after)
    else:
        after = [] if sizes is None else [int(size) for size in sizes]
        factors = [np.float32(b) / np.float32(a) for a, b in zip(before, after, strict=True)]
    region = [0.0] * len(numbers) + [1.0] * len(numbers) if roi is None or not roi.size else roi
    return [
        Axis(
            axis=number,
            before=before[i],
            after=after[i],
            scale=factors[i],
            start=np.float32(region[i]),
            end=np.float32(region[i + len(numbers)]),
        )
        for i, number in enumerate(numbers)
    ]


def _coordinates(op: Resize, axis: Axis) -> Array:
    """Where in the input each output position lies, float32 (after,)."""
    x = np.arange(axis.after, dtype=np.float32)
    half, one = np.float32(0.5), np.float32(1)
    last = np.float32(axis.before - 1)
    match op.coordinate_transformation_mode:
        case "asymmetric":
            return x / axis.scale
        case "align_corners":
            return x * 0 if axis.after == 1 else x * last / np.float32(axis.after - 1)
        case "pytorch_half_pixel" if axis.after == 1:
            return x * 0
        case "tf_crop_and_resize" if axis.after == 1:
            return x * 0 + half * (axis.start + axis.end) * last
        case "tf_crop_and_resize":
            return axis.start * last + x * (axis.end - axis.start) * last / np.float32(axis.after - 1)
        case "half_pixel_symmetric":
            adjustment = np.float32(axis.after) / (axis.scale * np.float32(axis.before))
            offset = np.float32(axis.before) / np.float32(2) * (one - adjustment)
            # The rest in float64, rounded once: onnxruntime's way in this mode alone.
            return (offset + (x + 0.5).astype(np.float64) / axis.scale - 0.5).astype(np.float32)
        case _:
            return (x + half) / axis.scale - half


def _resampled(op: Resize, x: Array, axis: Axis, places: Array) -> Array:
    if axis.before == axis.after and axis.scale == 1 and np.array_equal(places, np.arange(axis.after)):
        return x
    if op.mode == "nearest":
        return np.take(x, np.clip(_nearest(op, places), 0, axis.before - 1), axis=axis.axis)
    kernel = _triangle if op.mode == "linear" else _cubic(op.cubic_coeff_a)
    radius = 1 if op.mode == "linear" else 2
    stretch = max(1.0, 1 / float(axis.scale)) if op.antialias else 1.0
    weights = _weights(op, axis, places.astype(np.float64), kernel=kernel, radius=radius, stretch=stretch)
    return np.moveaxis(np.tensordot(weights, x, axes=(1, axis.axis)), 0, axis.axis)


def _nearest(op: Resize, places: Array) -> Array:
    exact = places.astype(np.float64)
    match op.nearest_mode:
        case "round_prefer_floor":
            rounded = np.ceil(exact - (0.5 + _TIE))
        case "round_prefer_ceil":
            rounded = np.floor(exact + (0.5 + _TIE))
        case "floor":
            rounded = np.floor(places)
        case _:
            rounded = np.ceil(places)
    return rounded.astype(np.int64)


def _weights(
    op: Resize,
    axis: Axis,
    places: Array,
    *,
    kernel: Callable[[Array], Array],
    radius: int,
    stretch: float,
) -> Array:
    """The matrix (after, before) that resamples an axis: the kernel around each place, normalised.

    ``stretch`` widens the kernel to cover all that an output position stands for (antialiasing). What falls
    outside counts for the border element, or with ``exclude_outside`` for nothing.
    """
    reach = int(np.ceil(radius * stretch)) + 1
    taps = np.floor(places).astype(np.int64)[:, None] + np.arange(-reach, reach + 1)
    weight = kernel((taps - places[:, None]) / stretch)
    if op.exclude_outside:
        weight = np.where((taps >= 0) & (taps < axis.before), weight, 0)
    weight = weight / weight.sum(axis=1, keepdims=True)
    matrix = np.zeros((axis.after, axis.before))
    rows = np.broadcast_to(np.arange(axis.after)[:, None], taps.shape)
    np.add.at(matrix, (rows, np.clip(taps, 0, axis.before - 1)), weight)
    return matrix


def _triangle(distance: Array) -> Array:
    return np.asarray(np.maximum(1 - np.abs(distance), 0))


def _cubic(a: float) -> Callable[[Array], Array]:
    """Keys' cubic convolution kernel (1981) with coefficient ``a``."""

    def kernel(distance: Array) -> Array:
        d = np.abs(distance)
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0))

    return kernel


MEANINGS: Mapping[type[Op], Callable[..., Array]] = {Resize: _resize}
