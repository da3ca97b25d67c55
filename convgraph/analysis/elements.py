"""Elements of small tensors that follow from types: models compute sizes from shapes, and sizes make types.

Covers what stands between ``Shape`` and the operand of a ``Reshape``, ``Resize`` or ``Slice`` and has no rule
in the operations' own ``infer``: the shape itself, picking elements, arithmetic.
"""

import math
import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

from onnx import AttributeProto, helper, numpy_helper

from convgraph.ir.ops import (
    Add,
    Cast,
    Ceil,
    Div,
    Equal,
    Expand,
    Floor,
    Max,
    Min,
    Mul,
    Op,
    Opaque,
    Sub,
    Where,
)
from convgraph.ir.tensor import DataType, Known, Shape, TensorType

_INTEGERS = (DataType.INT64, DataType.INT32)
_LIMIT = 64  # elements: more is data, not a shape
_LARGEST = (1 << 63) - 1  # beyond it, integers of a tensor wrap around

Number = int | float
_Default = TypeVar("_Default", int, None)


def known_elements(op: Op, operands: tuple[TensorType | None, ...], result: TensorType) -> Known | None:
    """The elements of an operation's first result when they follow from its operands' types, else None."""
    if result.size is None or result.size > _LIMIT or (result.rank or 0) > 1:
        return None
    given = [operand for operand in operands if operand is not None]
    if isinstance(op, Opaque):
        return _opaque(op, given, count=result.size)
    if any(operand.known is None for operand in given):
        return None
    if isinstance(op, Cast):
        return given[0].floats if op.to.is_float else given[0].ints if op.to in _INTEGERS else None
    if isinstance(op, Expand):
        return _computed(op, given[:1], count=result.size)
    return _computed(op, given, count=result.size)


def _opaque(op: Opaque, operands: list[TensorType], *, count: int) -> Known | None:
    if op.domain or not operands:
        return None
    if op.op_type == "Shape":
        asked = asked_sizes(op, operands[0])
        return None if asked is None else TensorType(DataType.INT64, shape=asked).static_shape
    shape = operands[0].static_shape
    if op.op_type == "Size":
        return None if shape is None else (math.prod(shape),)
    if op.op_type == "ConstantOfShape":
        return (_fill(op),) * count
    return None


def asked_sizes(op: Opaque, x: TensorType) -> Shape:
    """The sizes that a Shape of x asks for: all, or those from ``start`` to before ``end``."""
    return x.shape and x.shape[stated(op, "start", 0) : stated(op, "end", None)]


def _fill(op: Opaque) -> Number:
    """What ConstantOfShape repeats: the one element of its attribute, 0 by default."""
    if "value" not in op.encoded:
        return 0.0
    tensor = AttributeProto.FromString(op.encoded["value"]).t
    number: Number = numpy_helper.to_array(tensor).reshape(-1)[0].item()
    return number


def stated(op: Opaque, name: str, default: _Default) -> int | _Default:
    """A whole number among the attributes, the default where the model does not say it."""
    if name not in op.encoded:
        return default
    value: int = helper.get_attribute_value(AttributeProto.FromString(op.encoded[name]))
    return value


def _computed(op: Op, operands: list[TensorType], *, count: int) -> Known | None:
    """Arithmetic on each element, in Python's numbers; None where that is undefined."""
    calculate = _ARITHMETIC.get(type(op))
    columns = [list(operand.known or ()) for operand in operands]
    if calculate is None or any(len(column) not in (1, count) for column in columns):
        return None
    wide = [column * count if len(column) == 1 else column for column in columns]
    try:
        numbers = tuple(calculate(*row) for row in zip(*wide, strict=True))
    except (ArithmeticError, ValueError):  # division by zero, the floor of infinity
        return None
    return None if any(abs(n) > _LARGEST for n in numbers) else numbers


def _quotient(a: Number, b: Number) -> Number:
    """ONNX's division: integers truncate towards zero."""
    if isinstance(a, int) and isinstance(b, int):
        return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return a / b


_ARITHMETIC: Mapping[type[Op], Callable[..., Number]] = MappingProxyType(
    {
        Add: operator.add,
        Sub: operator.sub,
        Mul: operator.mul,
        Div: _quotient,
        Max: lambda *numbers: max(numbers),
        Min: lambda *numbers: min(numbers),
        Equal: operator.eq,
        Where: lambda condition, a, b: a if condition else b,
        Expand: lambda number: number,
        Floor: lambda number: float(math.floor(number)),
        Ceil: lambda number: float(math.ceil(number)),
    }
)
