"""The meanings of pools."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from convgraph.errors import UnsupportedOp
from convgraph.ir.ops import AveragePool, GlobalAveragePool, GlobalMaxPool, MaxPool, MaxUnpool, Op
from convgraph.ir.tensor import Array, DataType, TensorType
from convgraph.numerics.evaluate.conv import padded, windows


def _geometry(op: MaxPool | AveragePool, x: Array) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The pads and the output sizes of a pool on this x."""
    typed = TensorType(DataType.FLOAT, shape=x.shape)
    pads = op.padded_explicitly(typed)
    inferred = op.infer(typed)
    shape = (inferred[0] if isinstance(inferred, tuple) else inferred).static_shape
    if pads is None or shape is None:
        raise UnsupportedOp(
            op.label, found=f"auto_pad={op.auto_pad} with dilations or cropping", expected="explicit pads"
        )
    return pads, shape[2:]


def _taps(
    op: MaxPool | AveragePool, x: Array, *, out: Sequence[int], pads: Sequence[int], fill: float
) -> Iterator[Array]:
    """What each tap of the window meets, (N, C, *out); ``fill`` outside x, however far a window reaches."""
    rank = op.spatial_rank
    wide = padded(x, (*pads[:rank], *_reach(op, x.shape[2:], out=out, pads=pads)), value=fill)
    for _, places in windows(op.kernel_shape, out=out, strides=op.strides, dilations=op.dilations):
        yield wide[(slice(None), slice(None), *places)]


def _reach(
    op: MaxPool | AveragePool, sizes: Sequence[int], *, out: Sequence[int], pads: Sequence[int]
) -> list[int]:
    """Elements after the end of each axis that the last window touches (ceil_mode passes the padding)."""
    numbers = zip(sizes, out, op.strides, op.dilations, op.kernel_shape, pads, strict=False)
    return [
        max(stride * (n - 1) + dilation * (kernel - 1) + 1 - begin - size, 0)
        for size, n, stride, dilation, kernel, begin in numbers
    ]


def _max_pool(op: MaxPool, x: Array) -> tuple[Array, Array]:
    pads, out = _geometry(op, x)
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    best = np.full((*x.shape[:2], *out), lowest, dtype=x.dtype)
    where = np.full(best.shape, -1, dtype=np.int64)
    numbers = _taps(op, _numbered(op, x), out=out, pads=pads, fill=-1)
    for found, number in zip(_taps(op, x, out=out, pads=pads, fill=lowest), numbers, strict=True):
        better = (number >= 0) & ((where < 0) | (found > best))
        best, where = np.where(better, found, best), np.where(better, number, where)
    return best, where


def _numbered(op: MaxPool, x: Array) -> Array:
    """The number of each element of x as Indices count them."""
    count = int(np.prod(x.shape[2:]))
    inside = np.arange(count, dtype=np.int64).reshape(x.shape[2:], order="F" if op.storage_order else "C")
    planes = np.arange(x.shape[0] * x.shape[1], dtype=np.int64).reshape(
        *x.shape[:2], *(1 for _ in inside.shape)
    )
    return planes * count + inside


def _max_unpool(op: MaxUnpool, x: Array, indices: Array) -> Array:
    shape = op.infer(*(TensorType(DataType.of(a.dtype), shape=a.shape) for a in (x, indices))).static_shape
    image = np.zeros(shape or (), dtype=x.dtype)
    image.reshape(-1)[indices.reshape(-1)] = x.reshape(-1)
    return image


def _average_pool(op: AveragePool, x: Array) -> Array:
    pads, out = _geometry(op, x)
    total = sum(_taps(op, x, out=out, pads=pads, fill=0), start=np.zeros((), dtype=x.dtype))
    ones = np.ones((1, 1, *x.shape[2:]), dtype=np.int64)
    if op.count_include_pad:
        ones = padded(ones, pads, value=1)
        pads = tuple(0 for _ in pads)
    counted = sum(_taps(op, ones, out=out, pads=pads, fill=0), start=np.zeros((), dtype=np.int64))
    return np.asarray(total / counted)


def _global_average(_op: GlobalAveragePool, x: Array) -> Array:
    return np.asarray(x.mean(axis=tuple(range(2, x.ndim)), keepdims=True))


def _global_max(_op: GlobalMaxPool, x: Array) -> Array:
    return np.asarray(x.max(axis=tuple(range(2, x.ndim)), keepdims=True))


MEANINGS: Mapping[type[Op], Callable[..., Array | tuple[Array, ...]]] = {
    MaxPool: _max_pool,
    MaxUnpool: _max_unpool,
    AveragePool: _average_pool,
    GlobalAveragePool: _global_average,
    GlobalMaxPool: _global_max,
}
