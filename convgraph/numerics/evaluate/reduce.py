"""The meanings of reductions and of the softmax family."""

from collections.abc import Callable, Mapping

import numpy as np

from convgraph.ir.ops import (
    LogSoftmax,
    Op,
    ReduceL1,
    ReduceL2,
    ReduceLogSum,
    ReduceLogSumExp,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceProd,
    ReduceSum,
    ReduceSumSquare,
    Softmax,
)
from convgraph.ir.ops.reduce import AxisNormalization, Reduction
from convgraph.ir.tensor import Array
from convgraph.numerics.evaluate.pointwise import truncated_quotient

Along = Callable[[Array, tuple[int, ...]], Array]


def _reduction(along: Along) -> Callable[..., Array]:
    """The meaning of a reduction from what it does to an array along axes, which it keeps one long."""

    def meaning(op: Reduction, data: Array, axes: Array | None = None) -> Array:
        if axes is None or axes.size == 0:
            # A reduction of single elements: not always the identity, ReduceL1 still takes magnitudes.
            chosen = () if op.noop_with_empty_axes else tuple(range(data.ndim))
        else:
            chosen = tuple(int(axis) % data.ndim for axis in axes.reshape(-1))
        y = np.asarray(along(data, chosen)).astype(data.dtype, copy=False)
        return y if op.keepdims else y.squeeze(chosen)

    return meaning


def _sum(x: Array, axes: tuple[int, ...]) -> Array:
    return np.asarray(x.sum(axis=axes, keepdims=True, dtype=x.dtype))


def _mean(x: Array, axes: tuple[int, ...]) -> Array:
    count = np.asarray(np.prod([x.shape[axis] for axis in axes], dtype=np.int64)).astype(x.dtype)
    return truncated_quotient(_sum(x, axes), count)


def _extreme(x: Array, *, largest: bool) -> float | int | bool:
    """What the maximum (or, the largest, the minimum) of no elements is."""
    if x.dtype.kind == "f":
        return np.inf if largest else -np.inf
    if x.dtype.kind == "b":
        return largest
    bounds = np.iinfo(x.dtype)
    return int(bounds.max if largest else bounds.min)


def _log_sum_exp(x: Array, axes: tuple[int, ...]) -> Array:
    peak = x.max(axis=axes, keepdims=True, initial=-np.inf)
    peak = np.where(np.isfinite(peak), peak, 0)  # so that exp never overflows, nor inf - inf appears
    return np.asarray(np.log(np.exp(x - peak).sum(axis=axes, keepdims=True)) + peak)


def _log_softmax(op: AxisNormalization, x: Array) -> Array:
    if x.ndim == 0:
        return np.zeros_like(x)
    return x - _log_sum_exp(x, (op.axis % x.ndim,))


MEANINGS: Mapping[type[Op], Callable[..., Array]] = {
    ReduceSum: _reduction(_sum),
    ReduceMean: _reduction(_mean),
    ReduceMax: _reduction(
        lambda x, axes: x.max(axis=axes, keepdims=True, initial=_extreme(x, largest=False))
    ),
    ReduceMin: _reduction(lambda x, axes: x.min(axis=axes, keepdims=True, initial=_extreme(x, largest=True))),
    ReduceProd: _reduction(lambda x, axes: x.prod(axis=axes, keepdims=True, dtype=x.dtype)),
    ReduceL1: _reduction(lambda x, axes: _sum(np.abs(x), axes)),
    ReduceL2: _reduction(lambda x, axes: np.sqrt(_sum(x * x, axes))),
    ReduceLogSum: _reduction(lambda x, axes: np.log(_sum(x, axes))),
    ReduceLogSumExp: _reduction(_log_sum_exp),
    ReduceSumSquare: _reduction(lambda x, axes: _sum(x * x, axes)),
    Softmax: lambda op, x: np.exp(_log_softmax(op, x)),
    LogSoftmax: _log_softmax,
}
