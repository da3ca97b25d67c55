"""The meanings of operations that move elements."""

from collections.abc import Callable, Mapping

import numpy as np

from convgraph.errors import UnsupportedOp
from convgraph.ir.ops import Concat, DepthToSpace, Gather, Op, Pad, Slice, SpaceToDepth, Split, Transpose
from convgraph.ir.ops.layout import Cut, python_slice
from convgraph.ir.tensor import Array


def _pad(
    op: Pad, data: Array, pads: Array, constant_value: Array | None = None, axes: Array | None = None
) -> Array:
    chosen = range(data.ndim) if axes is None else [int(axis) for axis in axes]
    begins, ends = pads[: len(chosen)], pads[len(chosen) :]
    around = [(0, 0)] * data.ndim
    for axis, begin, end in zip(chosen, begins, ends, strict=True):
        around[axis] = (int(begin), int(end))
    kept = tuple(slice(max(-b, 0), n - max(-e, 0)) for n, (b, e) in zip(data.shape, around, strict=True))
    grown = [(max(begin, 0), max(end, 0)) for begin, end in around]
    if op.mode == "constant":
        value = 0 if constant_value is None else constant_value.reshape(())
        return np.pad(data[kept], grown, constant_values=value)
    if any(max(more) and not size for more, size in zip(grown, data[kept].shape, strict=True)):
        raise UnsupportedOp("Pad", found=f"mode={op.mode} on an empty axis", expected="elements to repeat")
    if op.mode == "edge":
        return np.pad(data[kept], grown, mode="edge")
    return np.pad(data[kept], grown, mode="reflect" if op.mode == "reflect" else "wrap")


def _concat(op: Concat, *operands: Array) -> Array:
    return np.concatenate(operands, axis=op.axis)


def _split(op: Split, data: Array, split: Array | None = None) -> tuple[Array, ...]:
    size = data.shape[op.axis]
    if split is None:
        piece = -(-size // (op.num_outputs or 1))
        cuts = [piece * number for number in range(1, op.num_outputs or 1)]
    else:
        cuts = [int(cut) for cut in np.cumsum(split)[:-1]]
    return tuple(np.split(data, cuts, axis=op.axis))


def _slice(
    _op: Slice,
    data: Array,
    starts: Array,
    ends: Array,
    axes: Array | None = None,
    steps: Array | None = None,
) -> Array:
    chosen = range(starts.size) if axes is None else [int(axis) for axis in axes]
    strides = np.ones_like(starts) if steps is None else steps
    where = [slice(None)] * data.ndim
    for axis, start, end, step in zip(chosen, starts, ends, strides, strict=True):
        where[axis] = python_slice(Cut(int(start), int(end), int(step)), data.shape[axis])
    return data[tuple(where)]


def _depth_to_space(op: DepthToSpace, x: Array) -> Array:
    (n, c, h, w), b = x.shape, op.blocksize
    if op.mode == "DCR":
        blocks = x.reshape(n, b, b, c // (b * b), h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        blocks = x.reshape(n, c // (b * b), b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
    return blocks.reshape(n, c // (b * b), h * b, w * b)


def _space_to_depth(op: SpaceToDepth, x: Array) -> Array:
    (n, c, h, w), b = x.shape, op.blocksize
    blocks = x.reshape(n, c, h // b, b, w // b, b).transpose(0, 3, 5, 1, 2, 4)
    return blocks.reshape(n, c * b * b, h // b, w // b)


MEANINGS: Mapping[type[Op], Callable[..., Array | tuple[Array, ...]]] = {
    Pad: _pad,
    Concat: _concat,
    Split: _split,
    Slice: _slice,
    Gather: lambda op, data, indices: np.take(data, indices.astype(np.int64), axis=op.axis),
    Transpose: lambda op, x: x.transpose(op.perm),
    DepthToSpace: _depth_to_space,
    SpaceToDepth: _space_to_depth,
}
