"""What convolutions, pools and normalisations are in PyTorch."""

from collections.abc import Mapping, Sequence
from itertools import chain

import torch
from torch import Tensor
from torch.nn import functional

from convgraph.errors import UnsupportedOp
from convgraph.exporters.torch_pointwise import ACTIVATIONS, Meaning
from convgraph.ir.ops import (
    AveragePool,
    BatchNormalization,
    Conv,
    Convolution,
    ConvTranspose,
    GlobalAveragePool,
    GlobalMaxPool,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
    MaxPool,
    MaxUnpool,
    Op,
    Pool,
    RMSNormalization,
)
from convgraph.ir.tensor import DataType, TensorType

_CONV = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSE = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}
_MAX = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
_AVERAGE = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


def padded(x: Tensor, pads: Sequence[int], *, value: float = 0.0) -> Tensor:
    """Spatial axes (2 on) grown by ``pads``, every begin and then every end; negative ones crop."""
    if not any(pads):
        return x
    rank = len(pads) // 2
    pairs = [
        (pads[axis], pads[axis + rank]) for axis in reversed(range(rank))
    ]  # PyTorch: the last axis first
    return functional.pad(x, list(chain.from_iterable(pairs)), value=value)


def _symmetric(pads: Sequence[int]) -> list[int] | None:
    """One number an axis, where begin and end are the same and nothing is cropped."""
    begins, ends = list(pads[: len(pads) // 2]), list(pads[len(pads) // 2 :])
    return begins if begins == ends and min(begins, default=0) >= 0 else None


def _explicit(op: Conv | ConvTranspose, x: Tensor, weight: Tensor) -> tuple[int, ...]:
    if op.auto_pad == "NOTSET" and not (isinstance(op, ConvTranspose) and op.output_shape is not None):
        return op.pads
    pads = op.padded_explicitly(_typed(x), _typed(weight))
    if pads is None:
        raise UnsupportedOp(op.label, found=f"auto_pad={op.auto_pad}", expected="pads that follow from sizes")
    return pads


def _typed(x: Tensor) -> TensorType:
    return TensorType(DataType.FLOAT, shape=tuple(int(size) for size in x.shape))


# ---- convolutions ----


def _conv(
    op: Conv, x: Tensor, weight: Tensor, bias: Tensor | None = None, *parameters: Tensor | None
) -> Tensor:
    pads = _explicit(op, x, weight)
    same = _symmetric(pads)
    wide = x if same is not None else padded(x, pads)
    y = _CONV[op.spatial_rank](
        wide,
        weight,
        bias,
        stride=op.strides,
        padding=0 if same is None else same,
        dilation=op.dilations,
        groups=op.group,
    )
    return _activated(op, y, parameters)


def _conv_transpose(
    op: ConvTranspose, x: Tensor, weight: Tensor, bias: Tensor | None = None, *parameters: Tensor | None
) -> Tensor:
    pads, extra = _explicit(op, x, weight), op.output_paddings
    same = _symmetric(pads)
    steps = zip(extra, op.strides, op.dilations, strict=True)
    run = _TRANSPOSE[op.spatial_rank]
    if same is not None and all(more < max(stride, dilation) for more, stride, dilation in steps):
        y = run(x, weight, bias, op.strides, same, extra, op.group, op.dilations)
        return _activated(op, y, parameters)
    full = run(x, weight, None, op.strides, 0, 0, op.group, op.dilations)
    rank = op.spatial_rank
    ends = [more - pad for more, pad in zip(extra, pads[rank:], strict=True)]
    y = padded(full, [*(-pad for pad in pads[:rank]), *ends])
    return _activated(op, y if bias is None else y + per_channel(bias, rank=y.ndim), parameters)


def _activated(op: Convolution, y: Tensor, parameters: Sequence[Tensor | None]) -> Tensor:
    if op.activation is None:
        return y
    return ACTIVATIONS[type(op.activation)](op.activation, y, *parameters)


# ---- pools ----


def _natural(op: Pool) -> list[int] | None:
    """The padding of a pool that PyTorch pads itself: symmetric, at most half a window."""
    if op.auto_pad == "VALID":
        return [0] * op.spatial_rank
    same = _symmetric(op.pads) if op.auto_pad == "NOTSET" else None
    fits = same is not None and all(2 * pad <= k for pad, k in zip(same, op.kernel_shape, strict=True))
    return same if fits else None


def _reach(op: Pool, x: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The pads of a pool, and those that let each of its windows end inside (they may crop)."""
    typed = _typed(x)
    pads = op.padded_explicitly(typed)
    results = op.infer_all((typed,))
    if pads is None:
        raise UnsupportedOp(op.label, found=f"auto_pad={op.auto_pad}", expected="pads that follow from sizes")
    rank = op.spatial_rank
    out = (results[0].static_shape or ())[2:]
    numbers = zip(x.shape[2:], out, op.strides, op.dilations, op.kernel_shape, pads[:rank], strict=True)
    ends = [
        stride * (n - 1) + dilation * (kernel - 1) + 1 - begin - size
        for size, n, stride, dilation, kernel, begin in numbers
    ]
    return pads, (*pads[:rank], *ends)


def _max_pool(op: MaxPool, x: Tensor) -> tuple[Tensor, Tensor]:
    same = _natural(op)
    run = _MAX[op.spatial_rank]
    if same is not None:
        y, where = run(
            x,
            op.kernel_shape,
            op.strides,
            same,
            op.dilations,
            ceil_mode=bool(op.ceil_mode),
            return_indices=True,
        )
        return y, _counted(op, where, x, wide=x.shape[2:], begins=[0] * op.spatial_rank)
    _, reach = _reach(op, x)
    lowest = -torch.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
    wide = padded(x, reach, value=lowest)
    y, where = run(wide, op.kernel_shape, op.strides, 0, op.dilations, return_indices=True)
    return y, _counted(op, where, x, wide=wide.shape[2:], begins=reach[: op.spatial_rank])


def _counted(op: MaxPool, where: Tensor, x: Tensor, *, wide: Sequence[int], begins: Sequence[int]) -> Tensor:
    """PyTorch's indices, each in its own padded channel, as ONNX's, which count through all of x."""
    places: list[Tensor] = []
    for size, begin in zip(reversed(wide), reversed(begins), strict=True):
        places.append(where % size - begin)
        where = where // size
    sizes = list(reversed(x.shape[2:]))
    pairs = list(zip(places, sizes, strict=True))
    inside, factor = torch.zeros_like(where), 1
    for place, size in reversed(pairs) if op.storage_order else pairs:
        inside, factor = inside + factor * place, factor * size
    planes = torch.arange(x.shape[0] * x.shape[1], device=x.device) * factor
    return inside + planes.reshape(x.shape[0], x.shape[1], *(1 for _ in begins))


def _average_pool(op: AveragePool, x: Tensor) -> Tensor:
    same = _natural(op)
    if same is not None and set(op.dilations) == {1}:
        whole = bool(op.count_include_pad)
        return _AVERAGE[op.spatial_rank](x, op.kernel_shape, op.strides, same, bool(op.ceil_mode), whole)
    pads, reach = _reach(op, x)
    ones = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype, device=x.device)
    beyond = reach
    if op.count_include_pad:
        ones = padded(ones, pads, value=1.0)
        beyond = tuple(all_ - own for all_, own in zip(reach, pads, strict=True))
    planes = padded(x, reach).flatten(0, 1).unsqueeze(1)
    total = _window_sums(op, planes)
    means = total / _window_sums(op, padded(ones, beyond))
    return means.reshape(*x.shape[:2], *means.shape[2:])


def _window_sums(op: AveragePool, planes: Tensor) -> Tensor:
    window = torch.ones((1, 1, *op.kernel_shape), dtype=planes.dtype, device=planes.device)
    return _CONV[op.spatial_rank](planes, window, stride=op.strides, dilation=op.dilations)


def _global_average(_op: GlobalAveragePool, x: Tensor) -> Tensor:
    return x.mean(dim=tuple(range(2, x.ndim)), keepdim=True) if x.ndim > 2 else x


def _max_unpool(op: MaxUnpool, x: Tensor, indices: Tensor) -> Tensor:
    rank = len(op.strides)
    crops = [begin + end for begin, end in zip(op.pads[:rank], op.pads[rank:], strict=True)]
    numbers = zip(x.shape[2:], op.strides, op.kernel_shape, crops, strict=True)
    image = x.new_zeros(*x.shape[:2], *(s * (n - 1) + k - crop for n, s, k, crop in numbers))
    return image.flatten().scatter(0, indices.flatten(), x.flatten()).reshape(image.shape)


def _global_max(_op: GlobalMaxPool, x: Tensor) -> Tensor:
    return x.amax(dim=tuple(range(2, x.ndim)), keepdim=True) if x.ndim > 2 else x


# ---- normalisations ----


def per_channel(vector: Tensor, *, rank: int) -> Tensor:
    """A vector (C,) as (1, C, 1, …), so that it broadcasts along axis 1 of a tensor of this rank."""
    return vector.reshape(1, -1, *(1 for _ in range(rank - 2))) if rank > 1 else vector


def _batch_norm(
    op: BatchNormalization, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor
) -> tuple[Tensor, ...]:
    if not op.training_mode:
        return (functional.batch_norm(x, mean, var, scale, bias, eps=op.epsilon),)
    axes = (0, *range(2, x.ndim))
    now_mean, now_var = x.mean(dim=axes), x.var(dim=axes, correction=0)
    y = functional.batch_norm(x, now_mean, now_var, scale, bias, eps=op.epsilon)
    old, new = op.momentum, 1 - op.momentum
    return y, old * mean + new * now_mean, old * var + new * now_var


def _instance_norm(op: InstanceNormalization, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return torch.instance_norm(x, scale, bias, None, None, True, 0.0, op.epsilon, False)  # noqa: FBT003


def _group_norm(op: GroupNormalization, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return functional.group_norm(x, op.num_groups, scale, bias, op.epsilon)


def _layer_norm(
    op: LayerNormalization, x: Tensor, scale: Tensor, bias: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    axes = list(range(op.axis % x.ndim, x.ndim))
    mean, variance = x.mean(dim=axes, keepdim=True), x.var(dim=axes, correction=0, keepdim=True)
    inverse = torch.rsqrt(variance + op.epsilon)
    y = (x - mean) * inverse * scale
    return y if bias is None else y + bias, mean, inverse


def _rms_norm(op: RMSNormalization, x: Tensor, scale: Tensor) -> Tensor:
    axes = list(range(op.axis % x.ndim, x.ndim))
    return x * torch.rsqrt((x * x).mean(dim=axes, keepdim=True) + op.epsilon) * scale


MEANINGS: Mapping[type[Op], Meaning] = {
    Conv: _conv,
    ConvTranspose: _conv_transpose,
    MaxPool: _max_pool,
    MaxUnpool: _max_unpool,
    AveragePool: _average_pool,
    GlobalAveragePool: _global_average,
    GlobalMaxPool: _global_max,
    BatchNormalization: _batch_norm,
    GroupNormalization: _group_norm,
    InstanceNormalization: _instance_norm,
    LayerNormalization: _layer_norm,
    RMSNormalization: _rms_norm,
}
