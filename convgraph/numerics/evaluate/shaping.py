"""The meanings of reshapes and of Expand."""

from collections.abc import Callable, Mapping

import numpy as np

from convgraph.ir.ops import Expand, Flatten, Op, Reshape, Squeeze, Unsqueeze
from convgraph.ir.tensor import Array


def _reshape(op: Reshape, data: Array, shape: Array) -> Array:
    sizes = [int(size) for size in shape.reshape(-1)]
    if not op.allowzero:
        sizes = [data.shape[axis] if size == 0 else size for axis, size in enumerate(sizes)]
    if -1 in sizes and data.size == 0:  # numpy does not divide 0 by 0
        sizes = [0 if size == -1 else size for size in sizes]
    return data.reshape(sizes)


def _flatten(op: Flatten, x: Array) -> Array:
    cut = op.axis + x.ndim if op.axis < 0 else op.axis
    return x.reshape(int(np.prod(x.shape[:cut])), int(np.prod(x.shape[cut:])))


def _squeeze(_op: Squeeze, data: Array, axes: Array | None = None) -> Array:
    return np.squeeze(data, axis=None if axes is None else tuple(int(axis) for axis in axes.reshape(-1)))


def _unsqueeze(_op: Unsqueeze, data: Array, axes: Array) -> Array:
    return np.expand_dims(data, tuple(int(axis) for axis in axes.reshape(-1)))


def _expand(_op: Expand, data: Array, shape: Array) -> Array:
    wanted = np.broadcast_shapes(data.shape, tuple(int(size) for size in shape))
    return np.broadcast_to(data, wanted).copy()


MEANINGS: Mapping[type[Op], Callable[..., Array]] = {
    Reshape: _reshape,
    Flatten: _flatten,
    Squeeze: _squeeze,
    Unsqueeze: _unsqueeze,
    Expand: _expand,
}
