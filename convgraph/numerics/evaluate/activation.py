"""The meanings of activations."""

from collections.abc import Callable, Mapping
from math import erf, pi

import numpy as np

from convgraph.ir.ops import (
    Celu,
    Clip,
    Elu,
    Gelu,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Mish,
    Op,
    PRelu,
    Relu,
    Selu,
    Sigmoid,
    Softplus,
    Softsign,
    Swish,
    Tanh,
    ThresholdedRelu,
)
from convgraph.ir.tensor import Array


def error_function(x: Array) -> Array:
    """Erf of each element, to float64 accuracy (numpy has none)."""
    return np.asarray(np.frompyfunc(erf, 1, 1)(x), dtype=np.float64)


def _sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))  # never overflows
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _softplus(x: Array) -> Array:
    return np.asarray(np.logaddexp(0, x))


def _below(x: Array) -> Array:
    return np.expm1(np.minimum(x, 0))


def _relu(_op: Relu, x: Array) -> Array:
    return np.maximum(x, np.zeros((), dtype=x.dtype))


def _leaky_relu(op: LeakyRelu, x: Array) -> Array:
    return np.where(x >= 0, x, op.alpha * x)


def _prelu(_op: PRelu, x: Array, slope: Array) -> Array:
    return np.where(x >= 0, x, slope * x)


def _elu(op: Elu, x: Array) -> Array:
    return np.where(x >= 0, x, op.alpha * _below(x))


def _selu(op: Selu, x: Array) -> Array:
    return op.gamma * np.where(x > 0, x, op.alpha * _below(x))


def _celu(op: Celu, x: Array) -> Array:
    return np.maximum(x, 0) + np.minimum(op.alpha * np.expm1(x / op.alpha), 0)


def _thresholded_relu(op: ThresholdedRelu, x: Array) -> Array:
    return np.where(x > op.alpha, x, 0.0)


def _clip(_op: Clip, x: Array, low: Array | None = None, high: Array | None = None) -> Array:
    y = x if low is None else np.maximum(x, low.reshape(()))
    return y if high is None else np.minimum(y, high.reshape(()))


def _hard_sigmoid(op: HardSigmoid, x: Array) -> Array:
    return np.clip(op.alpha * x + op.beta, 0, 1)


def _hard_swish(_op: HardSwish, x: Array) -> Array:
    return x * np.clip(x / 6 + 0.5, 0, 1)


def _swish(op: Swish, x: Array) -> Array:
    return x * _sigmoid(op.alpha * x)


def _gelu(op: Gelu, x: Array) -> Array:
    if op.approximate == "tanh":
        return np.asarray(0.5 * x * (1 + np.tanh(np.sqrt(2 / pi) * (x + 0.044715 * x**3))))
    return np.asarray(0.5 * x * (1 + error_function(x / np.sqrt(2))))


MEANINGS: Mapping[type[Op], Callable[..., Array]] = {
    Relu: _relu,
    LeakyRelu: _leaky_relu,
    PRelu: _prelu,
    Elu: _elu,
    Selu: _selu,
    Celu: _celu,
    ThresholdedRelu: _thresholded_relu,
    Clip: _clip,
    Sigmoid: lambda _op, x: _sigmoid(x),
    HardSigmoid: _hard_sigmoid,
    HardSwish: _hard_swish,
    Swish: _swish,
    Tanh: lambda _op, x: np.tanh(x),
    Softplus: lambda _op, x: _softplus(x),
    Softsign: lambda _op, x: x / (1 + np.abs(x)),
    Mish: lambda _op, x: x * np.tanh(_softplus(x)),
    Gelu: _gelu,
}
