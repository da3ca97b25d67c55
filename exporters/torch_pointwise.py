"""What activations, pointwise arithmetic, matrix products and reductions are in PyTorch."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from convgraph.ir import ops
from convgraph.ir.ops import Op
from convgraph.ir.tensor import DataType

Meaning = Callable[..., Tensor | tuple[Tensor, ...]]
Numbers = Sequence[Any]  # operands that steer an operation: sizes, axes, bounds


def torch_dtype(dtype: DataType) -> torch.dtype | None:
    """PyTorch's name of an element type; None where it has none, or none to compute with."""
    found = getattr(torch, dtype.label, None)
    return found if isinstance(found, torch.dtype) and dtype.bits >= 8 else None


# ---- activations ----


def _prelu(_op: ops.PRelu, x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x >= 0, x, slope * x)


def _selu(op: ops.Selu, x: Tensor) -> Tensor:
    return op.gamma * functional.elu(x, op.alpha)


def _clip(_op: ops.Clip, x: Tensor, low: Numbers | None = None, high: Numbers | None = None) -> Tensor:
    if low is None and high is None:
        return x
    return torch.clamp(x, min=None if low is None else low[0], max=None if high is None else high[0])


def _hard_sigmoid(op: ops.HardSigmoid, x: Tensor) -> Tensor:
    return torch.clamp(op.alpha * x + op.beta, min=0, max=1)


def _swish(op: ops.Swish, x: Tensor) -> Tensor:
    return functional.silu(x) if op.alpha == 1 else x * torch.sigmoid(op.alpha * x)


ACTIVATIONS: Mapping[type[Op], Callable[..., Tensor]] = MappingProxyType(
    {
        ops.Relu: lambda _op, x: functional.relu(x),
        ops.LeakyRelu: lambda op, x: functional.leaky_relu(x, op.alpha),
        ops.PRelu: _prelu,
        ops.Elu: lambda op, x: functional.elu(x, op.alpha),
        ops.Selu: _selu,
        ops.Celu: lambda op, x: functional.celu(x, op.alpha),
        ops.ThresholdedRelu: lambda op, x: functional.threshold(x, op.alpha, 0.0),
        ops.Clip: _clip,
        ops.Sigmoid: lambda _op, x: torch.sigmoid(x),
        ops.HardSigmoid: _hard_sigmoid,
        ops.HardSwish: lambda _op, x: functional.hardswish(x),
        ops.Swish: _swish,
        ops.Tanh: lambda _op, x: torch.tanh(x),
        ops.Softplus: lambda _op, x: functional.softplus(x),
        ops.Softsign: lambda _op, x: functional.softsign(x),
        ops.Mish: lambda _op, x: functional.mish(x),
        ops.Gelu: lambda op, x: functional.gelu(x, approximate=op.approximate),
    }
)


# ---- pointwise ----

_PLAIN: Mapping[type[Op], Callable[..., Tensor]] = {
    ops.Add: torch.add,
    ops.Sub: torch.sub,
    ops.Mul: torch.mul,
    ops.Equal: torch.eq,
    ops.Greater: torch.gt,
    ops.GreaterOrEqual: torch.ge,
    ops.Less: torch.lt,
    ops.LessOrEqual: torch.le,
    ops.And: torch.logical_and,
    ops.Or: torch.logical_or,
    ops.Xor: torch.logical_xor,
    ops.Where: torch.where,
    ops.Abs: torch.abs,
    ops.Neg: torch.neg,
    ops.Sign: torch.sign,
    ops.Reciprocal: torch.reciprocal,
    ops.Sqrt: torch.sqrt,
    ops.Exp: torch.exp,
    ops.Log: torch.log,
    ops.Erf: torch.erf,
    ops.Sin: torch.sin,
    ops.Cos: torch.cos,
    ops.Floor: torch.floor,
    ops.Ceil: torch.ceil,
    ops.Round: torch.round,
    ops.Not: torch.logical_not,
    ops.MatMul: torch.matmul,
}


def _plain(function: Callable[..., Tensor]) -> Meaning:
    return lambda _op, *operands: function(*operands)


def _folded(function: Callable[[Tensor, Tensor], Tensor]) -> Meaning:
    return lambda _op, *operands: reduce(function, operands)


def _divided(_op: ops.Div, a: Tensor, b: Tensor) -> Tensor:
    return torch.div(a, b, rounding_mode=None if a.is_floating_point() else "trunc")


def _power(_op: ops.Pow, a: Tensor, b: Tensor) -> Tensor:
    return torch.pow(a, b).to(a.dtype)


def _mean(_op: ops.Mean, *operands: Tensor) -> Tensor:
    return reduce(torch.add, operands) / len(operands)


def _cast(op: ops.Cast, x: Tensor) -> Tensor:
    return x.to(torch_dtype(op.to))


def _dropout(
    _op: ops.Dropout, x: Tensor, _ratio: Numbers | None = None, _training: Numbers | None = None
) -> tuple[Tensor, Tensor]:
    return x, torch.ones_like(x, dtype=torch.bool)


# ---- matrix products ----


def _gemm(op: ops.Gemm, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    rows = a.t() if op.transA else a
    plain = op.alpha == 1 and (c is None or (op.beta == 1 and c.ndim == 1 and c.shape[0] > 1))
    if plain:
        return functional.linear(rows, b if op.transB else b.t(), c)
    y = rows @ (b.t() if op.transB else b)
    y = y if op.alpha == 1 else op.alpha * y
    return (y if c is None else y + (c if op.beta == 1 else op.beta * c)).to(a.dtype)


# ---- reductions ----


def _product(x: Tensor, axes: list[int]) -> Tensor:
    for axis in sorted((axis % x.ndim for axis in axes), reverse=True):
        x = x.prod(dim=axis, dtype=x.dtype)
    return x


def _reduction(function: Callable[[Tensor, list[int]], Tensor]) -> Meaning:
    def run(op: ops.Reduction, data: Tensor, axes: Numbers | None = None) -> Tensor:
        chosen = [int(axis) for axis in axes or ()]
        if not chosen and not op.noop_with_empty_axes:
            chosen = list(range(data.ndim))
        if not chosen:  # every element by itself: an axis of its own, since PyTorch takes none for all
            return function(data.unsqueeze(-1), [-1])
        sizes = list(data.shape)
        for axis in chosen:
            sizes[axis] = 1
        y = function(data, chosen)
        return y.reshape(sizes) if op.keepdims else y

    return run


def _total(x: Tensor, axes: list[int]) -> Tensor:
    # PyTorch sums integers as int64 unless told otherwise; told so for floats, its exporter writes a Cast.
    return x.sum(dim=axes) if x.is_floating_point() else x.sum(dim=axes, dtype=x.dtype)


def _average(x: Tensor, axes: list[int]) -> Tensor:
    if x.is_floating_point():
        return x.mean(dim=axes)
    count = math.prod(x.shape[axis] for axis in axes)
    return torch.div(_total(x, axes), count, rounding_mode="trunc")


_REDUCTIONS: Mapping[type[Op], Callable[[Tensor, list[int]], Tensor]] = {
    ops.ReduceSum: _total,
    ops.ReduceMean: _average,
    ops.ReduceMax: lambda x, axes: x.amax(dim=axes),
    ops.ReduceMin: lambda x, axes: x.amin(dim=axes),
    ops.ReduceProd: _product,
    ops.ReduceL1: lambda x, axes: _total(x.abs(), axes),
    ops.ReduceL2: lambda x, axes: torch.linalg.vector_norm(x, dim=axes),
    ops.ReduceLogSum: lambda x, axes: _total(x, axes).log(),
    ops.ReduceLogSumExp: lambda x, axes: torch.logsumexp(x, dim=axes),
    ops.ReduceSumSquare: lambda x, axes: _total(x * x, axes),
}


MEANINGS: Mapping[type[Op], Meaning] = {
    **ACTIVATIONS,
    **{op: _plain(function) for op, function in _PLAIN.items()},
    **{op: _reduction(function) for op, function in _REDUCTIONS.items()},
    ops.Max: _folded(torch.maximum),
    ops.Min: _folded(torch.minimum),
    ops.Sum: _folded(torch.add),
    ops.Mean: _mean,
    ops.Div: _divided,
    ops.Pow: _power,
    ops.Identity: lambda _op, x: x,
    ops.Cast: _cast,
    ops.Dropout: _dropout,
    ops.Gemm: _gemm,
    ops.Softmax: lambda op, x: torch.softmax(x, dim=op.axis),
    ops.LogSoftmax: lambda op, x: torch.log_softmax(x, dim=op.axis),
}
