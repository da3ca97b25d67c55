"""The dyadic twin of a region: the same operations on constants for which float arithmetic is exact.

Whole numbers times powers of two stand in the place of weights: equal elements stay equal, zeros zero, signs
and shapes as they are. What is small and dyadic already (ones, masks, boxes, permutations) is kept, and so
is what is no number to calculate with: sizes, axes, scales of a Resize. A variance plus its epsilon becomes
a power of 4, a divisor a power of 2. On such constants and on whole numbers as inputs no sum, product or
quotient rounds, so that two regions that mean the same give the same bits.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    BatchNormalization,
    Cast,
    Celu,
    Constant,
    Convolution,
    Cos,
    Div,
    Dropout,
    Elu,
    Erf,
    Exp,
    Gelu,
    Gemm,
    GroupNormalization,
    HardSwish,
    Input,
    InstanceNormalization,
    Log,
    MatMul,
    Mish,
    Mul,
    Op,
    Opaque,
    Pow,
    Reciprocal,
    ReduceL2,
    ReduceLogSum,
    ReduceLogSumExp,
    Resize,
    Selu,
    Sigmoid,
    Sin,
    Softplus,
    Softsign,
    Sqrt,
    Swish,
    Tanh,
    TrailingNormalization,
)
from convgraph.ir.ops.activation import PlainActivation
from convgraph.ir.ops.reduce import AxisNormalization
from convgraph.ir.tensor import Array, DataType, Tensor, TensorType

EPSILON = 0.25
"""Of a normalisation in a twin, whose variances are powers of 4 less this."""

_Numbered = TypeVar("_Numbered", bound=PlainActivation | Gemm)

ROUNDS = (
    AxisNormalization,
    Celu,
    Cos,
    Elu,
    Erf,
    Exp,
    Gelu,
    GroupNormalization,
    HardSwish,
    InstanceNormalization,
    Log,
    Mish,
    ReduceL2,
    ReduceLogSum,
    ReduceLogSumExp,
    Selu,
    Sigmoid,
    Sin,
    Softplus,
    Softsign,
    Swish,
    Tanh,
    TrailingNormalization,
)
"""Operations that round on dyadic numbers too."""

_CALCULATED = (DataType.FLOAT, DataType.DOUBLE, DataType.FLOAT16, DataType.BFLOAT16)
_SQUARES = (1.0, 4.0, 16.0)
_POWERS = (1.0, 2.0, 0.5, 4.0)
_NUMBERS = (1.0, 2.0, 3.0, 5.0, 4.0, 7.0)
_LARGEST = 16.0
_FINEST = 16.0  # sixteenths
_ENDLESS = 1e30  # and more: the least float as the padding of a maximum
_GLIMPSE = 64  # elements, which mostly tell
_MIX = np.uint32(2654435761)  # 2^32 over the golden ratio: neighbours far apart

Rule = Callable[[Array], Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """What a twin keeps of its weights.

    ``levels`` are the magnitudes that stand for a weight's; None: each weight is an outer product, so that
    every slice of it has the rank 1. ``feeds`` is the largest magnitude of an input.
    """

    levels: tuple[float, ...] | None
    feeds: int


MANNERS = (
    Manner(levels=(1.0, 2.0, 3.0), feeds=4),
    Manner(levels=(1.0,), feeds=1),
    Manner(levels=None, feeds=2),
)


def twin_of(
    graph: Graph, *, manner: Manner | None, dtype: DataType | None = None
) -> tuple[Graph, dict[int, int]]:
    """The twin of a graph, and what each node of it is in the twin.

    Without a manner the constants stay as they are; with a ``dtype`` every float is of that type.
    """
    twin = Graph(replace(graph.header))
    values: dict[Value, Value] = {}
    nodes: dict[int, int] = {}
    for node in graph.nodes():
        op = graph.op(node) if manner is None else _dyadic(graph, node, manner)
        op = op if dtype is None else _retyped(op, dtype)
        infos = [graph.value_info(value) for value in graph.results(node)]
        types = [op.tensor.type] if isinstance(op, Constant) else [_cast(i.type, dtype) for i in infos]
        results = twin.insert(
            op,
            [None if value is None else values[value] for value in graph.operands(node)],
            results=[replace(i, type=t) for i, t in zip(infos, types, strict=True)],
            info=graph.info(node),
        )
        values.update(zip(graph.results(node), results, strict=True))
        nodes[node] = results[0].node
    twin.inputs = tuple(values[value] for value in graph.inputs)
    twin.outputs = tuple(values[value] for value in graph.outputs)
    return twin, nodes


def _cast(kind: TensorType, dtype: DataType | None) -> TensorType:
    return kind if dtype is None or not kind.dtype.is_float else replace(kind, dtype=dtype)


def _retyped(op: Op, dtype: DataType) -> Op:
    if isinstance(op, Constant) and op.tensor.dtype.is_float:
        return Constant(tensor=Tensor(op.tensor.numpy().astype(dtype.numpy)))
    if isinstance(op, Input):
        return Input()
    if isinstance(op, Cast) and op.to.is_float:
        return replace(op, to=dtype)
    return op


def _dyadic(graph: Graph, node: int, manner: Manner) -> Op:
    op = graph.op(node)
    if not isinstance(op, Constant):
        return _with_dyadic_attributes(op)
    rule = _rule(graph, node, manner) if op.tensor.dtype in _CALCULATED else None
    if rule is None:
        return op
    array = op.tensor.numpy()
    mapped = rule(array.astype(np.float64))
    return Constant(tensor=Tensor(np.asarray(mapped, dtype=array.dtype)))


def _with_dyadic_attributes(op: Op) -> Op:
    """The operation with numbers among its attributes that are powers of two."""
    if isinstance(op, BatchNormalization):
        return replace(op, epsilon=EPSILON)
    if isinstance(op, Convolution) and isinstance(op.activation, PlainActivation):
        return replace(op, activation=_with_dyadic_numbers(op.activation))
    return _with_dyadic_numbers(op) if isinstance(op, (PlainActivation, Gemm)) else op


def _with_dyadic_numbers(op: _Numbered) -> _Numbered:
    numbers = {f.name: number for f in fields(op) if isinstance(number := getattr(op, f.name), float)}
    dyadic: dict[str, Any] = {name: float(_power(np.asarray(number))) for name, number in numbers.items()}
    return replace(op, **dyadic) if dyadic else op


def _rule(graph: Graph, node: int, manner: Manner) -> Rule | None:
    """What becomes of a constant, by what reads it; None: it stays."""
    (value,) = graph.results(node)
    uses = [(graph.op(use.node), use.slot) for use in graph.readers(value)]
    if any(isinstance(op, (Resize, Pow, Opaque, Dropout)) for op, _ in uses):
        return None
    if any(isinstance(op, BatchNormalization) and slot == 4 for op, slot in uses):
        return lambda array: _levelled(array, _SQUARES) - EPSILON
    if any(isinstance(op, Sqrt) for op, _ in uses):
        return lambda array: _levelled(array, _SQUARES)
    if any(_scales(op, slot) for op, slot in uses):
        return _scale
    if (
        any(isinstance(op, (Convolution, Gemm, MatMul)) for op, _ in uses)
        and (graph.type(value).rank or 0) > 1
    ):
        levels = manner.levels
        return _outer if levels is None else lambda array: _number(array, levels)
    return lambda array: _number(array, _NUMBERS)


def _scales(op: Op, slot: int) -> bool:
    """Whether an operand may come to divide something."""
    divides = isinstance(op, (Div, BatchNormalization)) and slot == 1
    return divides or isinstance(op, (Mul, Reciprocal))


def _scale(array: Array) -> Array:
    return array if _are_powers(array) else _power(array) if array.size == 1 else _levelled(array, _POWERS)


def _number(array: Array, levels: tuple[float, ...]) -> Array:
    """Whole numbers of the levels; a single one the nearest of two significant bits, so that order stays."""
    if is_small(array):
        return array
    return _short(array) if array.size == 1 else _levelled(array, levels)


def _levelled(array: Array, levels: tuple[float, ...]) -> Array:
    """Magnitudes out of ``levels``, by a hash: equal ones stay equal, and zeros, signs, infinities stay."""
    bits = np.abs(array).astype(np.float32).view(np.uint32)
    chosen = np.asarray(levels)[(bits * _MIX >> np.uint32(16)) % len(levels)]
    return np.where((array == 0) | ~np.isfinite(array), array, np.copysign(chosen, array))


def _outer(array: Array) -> Array:
    """An outer product of small signed numbers, one factor for each axis."""
    product = np.ones((), dtype=np.float64)
    for axis, length in enumerate(array.shape):
        factor = np.asarray((1.0, -1.0, 2.0, -2.0))[np.random.default_rng(axis).integers(0, 4, length)]
        product = product[..., None] * (factor if axis < 2 else np.sign(factor) * (1 + np.arange(length) % 2))
    return product


def is_small(array: Array) -> bool:
    """Whether every element is a number of sixteenths, at most 16, or no finite number."""
    return _all_small(array.reshape(-1)[:_GLIMPSE]) and _all_small(array)


def _all_small(array: Array) -> bool:
    finite = array[np.isfinite(array)]
    return bool(np.all(np.abs(finite) <= _LARGEST) and np.all(finite * _FINEST % 1 == 0))


def _are_powers(array: Array) -> bool:
    mantissa, exponent = np.frexp(np.abs(array))
    return bool(np.all(np.isin(mantissa, (0.0, 0.5))) and np.all(np.abs(exponent) <= 5))


def _power(array: Array) -> Array:
    """The nearest power of two, between 1/16 and 16; zeros stay."""
    magnitude = np.exp2(np.clip(np.round(np.log2(np.abs(array) + (array == 0))), -4, 4))
    return np.where((array == 0) | ~np.isfinite(array), array, np.copysign(magnitude, array))


def _short(array: Array) -> Array:
    """Numbers of two significant bits; order stays, and what stands for an infinity."""
    mantissa, exponent = np.frexp(array)
    rounded = np.ldexp(np.round(mantissa * 4) / 4, np.clip(exponent, -3, 6))
    return np.where(np.abs(array) < _ENDLESS, rounded, array)
