"""The meanings of pointwise arithmetic."""

from collections.abc import Callable, Mapping
from functools import reduce

import ml_dtypes
import numpy as np

from convgraph.errors import UnsupportedOp
from convgraph.ir.ops import (
    Abs,
    Add,
    And,
    Cast,
    Ceil,
    Cos,
    Div,
    Dropout,
    Equal,
    Erf,
    Exp,
    Floor,
    Greater,
    GreaterOrEqual,
    Identity,
    Less,
    LessOrEqual,
    Log,
    Max,
    Mean,
    Min,
    Mul,
    Neg,
    Not,
    Op,
    Or,
    Pow,
    Reciprocal,
    Round,
    Sign,
    Sin,
    Sqrt,
    Sub,
    Sum,
    Where,
    Xor,
)
from convgraph.ir.tensor import Array, DataType
from convgraph.numerics.evaluate.activation import error_function

_BINARY: Mapping[type[Op], Callable[[Array, Array], Array]] = {
    Add: np.add,
    Sub: np.subtract,
    Mul: np.multiply,
    Equal: np.equal,
    Greater: np.greater,
    GreaterOrEqual: np.greater_equal,
    Less: np.less,
    LessOrEqual: np.less_equal,
    And: np.logical_and,
    Or: np.logical_or,
    Xor: np.logical_xor,
}
_UNARY: Mapping[type[Op], Callable[[Array], Array]] = {
    Abs: np.abs,
    Neg: np.negative,
    Sign: np.sign,
    Reciprocal: lambda x: 1 / x,
    Sqrt: np.sqrt,
    Exp: np.exp,
    Log: np.log,
    Erf: error_function,
    Sin: np.sin,
    Cos: np.cos,
    Floor: np.floor,
    Ceil: np.ceil,
    Round: np.round,
    Not: np.logical_not,
    Identity: np.asarray,
}


def _unary(function: Callable[[Array], Array]) -> Callable[..., Array]:
    return lambda _op, x: np.asarray(function(x))


def _binary(function: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    return lambda _op, a, b: np.asarray(function(a, b))


def _folded(function: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    return lambda _op, *operands: np.asarray(reduce(function, operands))


def truncated_quotient(a: Array, b: Array) -> Array:
    """Divide a by b, integers rounded towards zero as in C."""
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    if a.dtype.kind == "u":
        return np.asarray(a // b)
    quotient = a // b
    inexact_below_zero = (quotient < 0) & (quotient * b != a)
    return np.asarray(quotient + inexact_below_zero.astype(a.dtype))


def _mean(_op: Mean, *operands: Array) -> Array:
    return np.asarray(reduce(np.add, operands) / len(operands))


def _power(_op: Pow, a: Array, b: Array) -> Array:
    if a.dtype.kind in "iu" and b.dtype.kind in "iu" and (b >= 0).all():
        return np.asarray(np.power(a, b.astype(a.dtype)))
    return np.asarray(np.power(a.astype(np.float64), b.astype(np.float64)).astype(a.dtype))


def _where(_op: Where, condition: Array, a: Array, b: Array) -> Array:
    return np.where(condition, a, b)


def _cast(op: Cast, x: Array) -> Array:
    """To a float type: rounded there, then back in float64. To integers: truncated."""
    if DataType.STRING in (op.to, DataType.of(x.dtype)):
        raise UnsupportedOp("Cast", found="a cast from or to strings", expected="numbers")
    if not op.to.is_float:
        return x.astype(op.to.numpy)
    if op.to.bits < 16:
        return _narrowed(x.astype(np.float64), to=op.to, saturate=op.saturate != 0)
    return x.astype(op.to.numpy).astype(np.float64)


def _narrowed(x: Array, *, to: DataType, saturate: bool) -> Array:
    """Rounded to an 8- or 4-bit float; what is too large becomes the largest number when saturating."""
    if to is DataType.FLOAT8E8M0:
        raise UnsupportedOp("Cast", found=f"a cast to {to.label}", expected="another float type")
    if saturate:
        largest = float(ml_dtypes.finfo(to.numpy).max)  # type: ignore[no-untyped-call]  # no annotations
        x = np.clip(x, -largest, largest)
    # Through float32, as runtimes cast: rounding twice is theirs, too.
    return x.astype(np.float32).astype(to.numpy).astype(np.float64)


def _dropout(
    _op: Dropout, x: Array, _ratio: Array | None = None, training_mode: Array | None = None
) -> tuple[Array, Array]:
    if training_mode is not None and training_mode.any():
        raise UnsupportedOp("Dropout", found="training mode", expected="inference")
    return x, np.ones(x.shape, dtype=np.bool_)


MEANINGS: Mapping[type[Op], Callable[..., Array | tuple[Array, ...]]] = {
    **{op: _unary(function) for op, function in _UNARY.items()},
    **{op: _binary(function) for op, function in _BINARY.items()},
    Max: _folded(np.maximum),
    Min: _folded(np.minimum),
    Sum: _folded(np.add),
    Mean: _mean,
    Div: lambda _op, a, b: truncated_quotient(a, b),
    Pow: _power,
    Where: _where,
    Cast: _cast,
    Dropout: _dropout,
}
