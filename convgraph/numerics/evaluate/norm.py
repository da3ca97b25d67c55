"""The meanings of normalisations."""

from collections.abc import Callable, Mapping

import numpy as np

from convgraph.ir.ops import (
    BatchNormalization,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
    Op,
    RMSNormalization,
)
from convgraph.ir.tensor import Array


def per_channel(vector: Array, *, rank: int) -> Array:
    """A vector (C,) as (1, C, 1, …), so that it broadcasts along axis 1 of a tensor of this rank."""
    return vector.reshape(1, -1, *(1 for _ in range(rank - 2))) if rank > 1 else vector


def _batch_norm(
    op: BatchNormalization, x: Array, scale: Array, bias: Array, mean: Array, var: Array
) -> tuple[Array, ...]:
    if not op.training_mode:
        return (_normalised(x, scale, bias, mean, var, epsilon=op.epsilon),)
    axes = (0, *range(2, x.ndim))
    now_mean, now_var = x.mean(axis=axes), x.var(axis=axes)  # ONNX: the population variance
    y = _normalised(x, scale, bias, now_mean, now_var, epsilon=op.epsilon)
    old, new = op.momentum, 1 - op.momentum
    return y, old * mean + new * now_mean, old * var + new * now_var


def _normalised(x: Array, scale: Array, bias: Array, mean: Array, var: Array, *, epsilon: float) -> Array:
    factor = per_channel(scale / np.sqrt(var + epsilon), rank=x.ndim)
    return (x - per_channel(mean, rank=x.ndim)) * factor + per_channel(bias, rank=x.ndim)


def _instance_norm(op: InstanceNormalization, x: Array, scale: Array, bias: Array) -> Array:
    axes = tuple(range(2, x.ndim))
    centred = x - x.mean(axis=axes, keepdims=True)
    deviation = np.sqrt(x.var(axis=axes, keepdims=True) + op.epsilon)
    scaled = per_channel(scale, rank=x.ndim) * centred / deviation
    return np.asarray(scaled + per_channel(bias, rank=x.ndim))


def _group_norm(op: GroupNormalization, x: Array, scale: Array, bias: Array) -> Array:
    grouped = x.reshape(len(x), op.num_groups, -1)
    centred = grouped - grouped.mean(axis=2, keepdims=True)
    deviation = np.sqrt(grouped.var(axis=2, keepdims=True) + op.epsilon)
    scaled = per_channel(scale, rank=x.ndim) * (centred / deviation).reshape(x.shape)
    return np.asarray(scaled + per_channel(bias, rank=x.ndim))


def _layer_norm(
    op: LayerNormalization, x: Array, scale: Array, bias: Array | None = None
) -> tuple[Array, Array, Array]:
    axes = tuple(range(op.axis % x.ndim, x.ndim))
    mean = x.mean(axis=axes, keepdims=True)
    inverse = 1 / np.sqrt(x.var(axis=axes, keepdims=True) + op.epsilon)
    y = scale * (x - mean) * inverse
    return y if bias is None else y + bias, mean, inverse


def _rms_norm(op: RMSNormalization, x: Array, scale: Array) -> Array:
    axes = tuple(range(op.axis % x.ndim, x.ndim))
    return np.asarray(scale * x / np.sqrt(np.mean(x * x, axis=axes, keepdims=True) + op.epsilon))


MEANINGS: Mapping[type[Op], Callable[..., Array | tuple[Array, ...]]] = {
    BatchNormalization: _batch_norm,
    GroupNormalization: _group_norm,
    InstanceNormalization: _instance_norm,
    LayerNormalization: _layer_norm,
    RMSNormalization: _rms_norm,
}
