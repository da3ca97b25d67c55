"""The meanings of convolutions: one matrix product a kernel tap, so that memory stays that of the tensors."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product

import numpy as np

from convgraph.errors import InvalidModel, UnsupportedOp
from convgraph.ir.ops import Conv, Convolution, ConvTranspose, Op
from convgraph.ir.tensor import Array, DataType, TensorType
from convgraph.numerics.evaluate import activation as activations
from convgraph.numerics.evaluate.norm import per_channel

_MOST_ELEMENTS = 1 << 27  # a gigabyte of float64; no network pads further
_MOST_TAPS = 1 << 20


def affordable(shape: Sequence[int], *, at: str) -> tuple[int, ...]:
    """The shape. Raises UnsupportedOp for more elements than this arithmetic is meant for."""
    if math.prod(shape) > _MOST_ELEMENTS:
        raise UnsupportedOp(at, found=f"{tuple(shape)} elements", expected=f"at most {_MOST_ELEMENTS}")
    return tuple(shape)


def padded(x: Array, pads: Sequence[int], *, value: float = 0) -> Array:
    """Spatial axes (2 on) grown by ``pads``, every begin and then every end; negative ones crop."""
    rank = x.ndim - 2
    ends = [(0, 0), (0, 0), *((pads[axis], pads[axis + rank]) for axis in range(rank))]
    return grown(x, ends, value=value)


def grown(x: Array, ends: Sequence[tuple[int, int]], *, value: float = 0) -> Array:
    """Every axis grown by its (begin, end) with elements of ``value``; negative ones crop."""
    kept = tuple(
        slice(max(-begin, 0), size - max(-end, 0)) for size, (begin, end) in zip(x.shape, ends, strict=True)
    )
    around = [(max(begin, 0), max(end, 0)) for begin, end in ends]
    wide = (size + begin + end for size, (begin, end) in zip(x[kept].shape, around, strict=True))
    affordable(tuple(wide), at="pads")
    return np.pad(x[kept], around, constant_values=value)


def windows(
    kernel: Sequence[int], *, out: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Every tap of a kernel, with the spatial slices of the padded input it meets at all output positions.

    Raises UnsupportedOp for more taps than there is time for.
    """
    if math.prod(kernel) > _MOST_TAPS:
        raise UnsupportedOp("kernel", found=f"{tuple(kernel)} taps", expected=f"at most {_MOST_TAPS}")
    for tap in product(*(range(size) for size in kernel)):
        first = [dilation * index for dilation, index in zip(dilations, tap, strict=True)]
        reach = zip(first, out, strides, strict=True)
        yield tap, tuple(slice(begin, begin + stride * (n - 1) + 1, stride) for begin, n, stride in reach)


def explicit(op: Convolution, x: Array, weight: Array) -> tuple[int, ...]:
    """The operation's pads on these operands. Raises InvalidModel when they cannot be told."""
    types = [TensorType(DataType.FLOAT, shape=operand.shape) for operand in (x, weight)]
    pads = op.padded_explicitly(*types) if isinstance(op, (Conv, ConvTranspose)) else op.pads
    if pads is None:
        raise InvalidModel(op.label, found=f"auto_pad={op.auto_pad}", expected="pads that follow from sizes")
    return pads


def _conv(op: Conv, x: Array, weight: Array, bias: Array | None = None, *parameters: Array | None) -> Array:
    wide = padded(x, explicit(op, x, weight))
    kernel, group = weight.shape[2:], op.group
    out = tuple(
        (size - dilation * (k - 1) - 1) // stride + 1
        for size, k, stride, dilation in zip(wide.shape[2:], kernel, op.strides, op.dilations, strict=True)
    )
    n, channels = x.shape[0], weight.shape[0]
    taps = np.moveaxis(
        weight.reshape(group, channels // group, weight.shape[1], *kernel), (0, 1, 2), (-3, -2, -1)
    )
    y = np.zeros((n, group, channels // group, int(np.prod(out))), dtype=np.result_type(x, weight))
    for tap, places in windows(kernel, out=out, strides=op.strides, dilations=op.dilations):
        met = wide[(slice(None), slice(None), *places)].reshape(n, group, weight.shape[1], -1)
        y += taps[tap] @ met
    return _finished(op, y.reshape(n, channels, *out), bias, parameters)


def _conv_transpose(
    op: ConvTranspose, x: Array, weight: Array, bias: Array | None = None, *parameters: Array | None
) -> Array:
    kernel, group, n = weight.shape[2:], op.group, x.shape[0]
    full = tuple(
        stride * (size - 1) + dilation * (k - 1) + 1 + extra
        for size, k, stride, dilation, extra in zip(
            x.shape[2:], kernel, op.strides, op.dilations, op.output_paddings, strict=True
        )
    )
    channels = weight.shape[1] * group
    columns = weight.reshape(group, weight.shape[0] // group, weight.shape[1], *kernel)
    taps = np.moveaxis(columns, (0, 2, 1), (-3, -2, -1))
    cells = x.reshape(n, group, x.shape[1] // group, -1)
    y = np.zeros(affordable((n, channels, *full), at=op.label), dtype=np.result_type(x, weight))
    for tap, places in windows(kernel, out=x.shape[2:], strides=op.strides, dilations=op.dilations):
        spread = taps[tap] @ cells
        y[(slice(None), slice(None), *places)] += spread.reshape(n, channels, *x.shape[2:])
    cropped = padded(y, [-pad for pad in explicit(op, x, weight)])
    return _finished(op, cropped, bias, parameters)


def _finished(op: Convolution, y: Array, bias: Array | None, parameters: Sequence[Array | None]) -> Array:
    y = y if bias is None else y + per_channel(bias, rank=y.ndim)
    if op.activation is None:
        return y
    return activations.MEANINGS[type(op.activation)](op.activation, y, *parameters)


MEANINGS: Mapping[type[Op], Callable[..., Array]] = {Conv: _conv, ConvTranspose: _conv_transpose}
