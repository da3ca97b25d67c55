"""What reshapes, cuts, paddings, permutations and Resize are in PyTorch."""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import chain

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from convgraph.exporters.torch_pointwise import Meaning, Numbers
from convgraph.ir import ops
from convgraph.ir.ops import Op
from convgraph.ir.ops.layout import Cut, python_slice
from convgraph.ir.tensor import Array
from convgraph.numerics.evaluate import evaluate_op

# ---- shapes ----


def _reshape(op: ops.Reshape, data: Tensor, shape: Numbers) -> Tensor:
    copied = not op.allowzero
    return data.reshape([data.shape[i] if size == 0 and copied else size for i, size in enumerate(shape)])


def _flatten(op: ops.Flatten, x: Tensor) -> Tensor:
    cut = op.axis + x.ndim if op.axis < 0 else op.axis
    return x.reshape(math.prod(x.shape[:cut]), math.prod(x.shape[cut:]))


def _squeeze(_op: ops.Squeeze, data: Tensor, axes: Numbers | None = None) -> Tensor:
    return data.squeeze() if axes is None else data.squeeze(tuple(axes))


def _unsqueeze(_op: ops.Unsqueeze, data: Tensor, axes: Numbers) -> Tensor:
    rank = data.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        data = data.unsqueeze(axis)
    return data


def _expand(_op: ops.Expand, data: Tensor, shape: Numbers) -> Tensor:
    new = len(shape) - data.ndim
    wanted = [*([1] * -new), *shape]
    return data.expand([-1 if size == 1 and axis >= new else size for axis, size in enumerate(wanted)])


# ---- elements moved ----


def _pad(
    op: ops.Pad,
    data: Tensor,
    pads: Numbers,
    constant_value: Numbers | None = None,
    axes: Numbers | None = None,
) -> Tensor:
    chosen = range(data.ndim) if axes is None else [axis % data.ndim for axis in axes]
    around = [(0, 0)] * data.ndim
    for position, axis in enumerate(chosen):
        around[axis] = (pads[position], pads[len(chosen) + position])
    if op.mode == "constant":
        value = 0 if constant_value is None else constant_value[0]
        return functional.pad(data, list(chain.from_iterable(reversed(around))), value=value)
    for axis, (begin, end) in enumerate(around):
        if begin or end:
            places = _sources(op.mode, data.shape[axis], begin, end)
            data = data.index_select(axis, torch.tensor(places, device=data.device))
    return data


def _sources(mode: str, size: int, begin: int, end: int) -> list[int]:
    """Which element of an axis each element of the padded one is; what is cropped is gone first."""
    first, count = max(-begin, 0), size - max(-begin, 0) - max(-end, 0)
    places = range(-max(begin, 0), count + max(end, 0))
    if mode == "edge":
        return [first + min(max(place, 0), count - 1) for place in places]
    if mode == "wrap":
        return [first + place % count for place in places]
    period = max(2 * (count - 1), 1)  # there and back again
    return [first + min(place % period, -place % period) for place in places]


def _split(op: ops.Split, data: Tensor, split: Numbers | None = None) -> tuple[Tensor, ...]:
    size = data.shape[op.axis]
    if split is None:
        count = op.num_outputs or 1
        piece = -(-size // count)
        split = [*([piece] * (count - 1)), size - piece * (count - 1)]
    return tuple(torch.split(data, list(split), dim=op.axis))


def _slice(
    _op: ops.Slice,
    data: Tensor,
    starts: Numbers,
    ends: Numbers,
    axes: Numbers | None = None,
    steps: Numbers | None = None,
) -> Tensor:
    chosen = range(len(starts)) if axes is None else axes
    strides = [1] * len(starts) if steps is None else steps
    for axis, start, end, step in zip(chosen, starts, ends, strides, strict=True):
        if step > 0:
            where = [slice(None)] * data.ndim
            where[axis] = slice(start, end, step)
            data = data[tuple(where)]
        else:  # PyTorch takes no negative step
            taken = range(data.shape[axis])[python_slice(Cut(start, end, step), data.shape[axis])]
            data = data.index_select(axis, torch.tensor(taken, dtype=torch.int64, device=data.device))
    return data


def _gather(op: ops.Gather, data: Tensor, indices: Tensor) -> Tensor:
    axis = op.axis % data.ndim
    places = torch.where(indices < 0, indices + data.shape[axis], indices).reshape(-1)
    shape = (*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :])
    return data.index_select(axis, places).reshape(shape)


def _depth_to_space(op: ops.DepthToSpace, x: Tensor) -> Tensor:
    if op.mode == "CRD":
        return functional.pixel_shuffle(x, op.blocksize)
    (n, c, h, w), b = x.shape, op.blocksize
    blocks = x.reshape(n, b, b, c // (b * b), h, w).permute(0, 3, 4, 1, 5, 2)
    return blocks.reshape(n, c // (b * b), h * b, w * b)


def _space_to_depth(op: ops.SpaceToDepth, x: Tensor) -> Tensor:
    (n, c, h, w), b = x.shape, op.blocksize
    return (
        x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4).reshape(n, c * b * b, h // b, w // b)
    )


# ---- Resize ----


def _resize(
    op: ops.Resize,
    x: Tensor,
    _roi: Numbers | None = None,
    scales: Numbers | None = None,
    sizes: Numbers | None = None,
) -> Tensor:
    axes = op.resized_axes(x.ndim)
    by_axis = dict(zip(axes, scales, strict=True)) if scales and x.is_floating_point() else {}
    if by_axis and (mode := _interpolation(op, x.ndim, by_axis)):
        factors = [float(by_axis.get(axis, 1)) for axis in range(2, x.ndim)]
        corners = None if mode == "nearest" else op.coordinate_transformation_mode == "align_corners"
        return functional.interpolate(x, scale_factor=factors, mode=mode, align_corners=corners)
    for position, axis in enumerate(axes):
        scale = float(scales[position]) if scales else None
        size = int(sizes[position]) if sizes else None
        x = _resampled(op, x, axis, scale=scale, size=size)
    return x


def _interpolation(op: ops.Resize, rank: int, scales: Mapping[int, float]) -> str | None:
    """PyTorch's mode for the same grid: whole factors, images of which only spatial axes grow."""
    whole = all(scale >= 1 and float(scale).is_integer() for scale in scales.values())
    if rank not in (3, 4, 5) or not whole or any(scales.get(axis, 1) != 1 for axis in (0, 1)):
        return None
    how = op.coordinate_transformation_mode
    centred = how in ("half_pixel", "pytorch_half_pixel")
    if op.mode == "nearest":
        floors = how == "asymmetric" and op.nearest_mode == "floor"
        return "nearest" if floors or (centred and op.nearest_mode.startswith("round")) else None
    if op.antialias or op.exclude_outside or not (centred or how == "align_corners"):
        return None
    if op.mode == "linear":
        return {3: "linear", 4: "bilinear", 5: "trilinear"}[rank]
    return "bicubic" if rank == 4 and op.cubic_coeff_a == -0.75 else None


def _resampled(op: ops.Resize, x: Tensor, axis: int, *, scale: float | None, size: int | None) -> Tensor:
    """One axis on its new grid: elements chosen, or weighted sums of them."""
    if scale == 1 or size == x.shape[axis]:
        return x
    alone = replace(op, axes=(0,))
    if op.mode == "nearest":
        places = torch.from_numpy(_on_new_grid(alone, int(x.shape[axis]), scale, size)).to(x.device)
        return x.index_select(axis, places)
    weights = torch.from_numpy(_on_new_grid(alone, int(x.shape[axis]), scale, size)).to(x)
    return (x.movedim(axis, -1) @ weights.t()).movedim(-1, axis)


@lru_cache(maxsize=64)
def _on_new_grid(op: ops.Resize, before: int, scale: float | None, size: int | None) -> Array:
    """The elements of an axis (before,) on its new grid: their numbers, or the matrix (after, before)."""
    axis = np.arange(before) if op.mode == "nearest" else np.eye(before)
    scales = None if scale is None else np.array([scale], dtype=np.float32)
    sizes = None if size is None else np.array([size], dtype=np.int64)
    (result,) = evaluate_op(op, [axis, None, scales, sizes])
    return result.copy()


def _joined(op: ops.Concat, *operands: Tensor) -> Tensor:
    return torch.cat(operands, dim=op.axis)


MEANINGS: Mapping[type[Op], Meaning] = {
    ops.Reshape: _reshape,
    ops.Flatten: _flatten,
    ops.Squeeze: _squeeze,
    ops.Unsqueeze: _unsqueeze,
    ops.Expand: _expand,
    ops.Pad: _pad,
    ops.Concat: _joined,
    ops.Split: _split,
    ops.Slice: _slice,
    ops.Gather: _gather,
    ops.Transpose: lambda op, x: x.permute(op.order(x.ndim)),
    ops.DepthToSpace: _depth_to_space,
    ops.SpaceToDepth: _space_to_depth,
    ops.Resize: _resize,
}
