"""Kernels that map elements: activations, arithmetic, comparisons, normalisations, softmax, reductions."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from convgraph.analysis.onnxruntime_cpu.movement import transposition
from convgraph.analysis.onnxruntime_cpu.work import Call, Work, dims
from convgraph.ir.ops import (
    Ceil,
    Celu,
    Cos,
    Elu,
    Erf,
    Exp,
    Floor,
    Gelu,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Log,
    Mish,
    Op,
    PRelu,
    Reciprocal,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceSum,
    Reduction,
    Round,
    Selu,
    Sigmoid,
    Sign,
    Sin,
    Softplus,
    Softsign,
    Sqrt,
    Swish,
    Tanh,
)
from convgraph.ir.ops.axes import normal_axis
from convgraph.ir.ops.reduce import AxisNormalization
from convgraph.ir.tensor import DataType, TensorType

ELEMENTWISE: Mapping[type[Op], str] = MappingProxyType(
    {
        Ceil: "floor",
        Celu: "elu",
        Cos: "sin",
        Elu: "elu",
        Erf: "erf",
        Exp: "exp",
        Floor: "floor",
        Gelu: "gelu",
        HardSigmoid: "hardsigmoid",
        HardSwish: "hardswish",
        LeakyRelu: "leakyrelu",
        Log: "log",
        Mish: "mish",
        PRelu: "prelu",
        Reciprocal: "reciprocal",
        Round: "floor",
        Selu: "elu",
        Sigmoid: "sigmoid",
        Sign: "sign",
        Sin: "sin",
        Softplus: "softplus",
        Softsign: "reciprocal",
        Sqrt: "sqrt",
        Swish: "sigmoid",
        Tanh: "tanh",
    }
)
"""Under which name the table has the seconds of an element: ``map.exp`` and so on. Others only copy."""

_FAST_REDUCTIONS = (ReduceMean, ReduceSum, ReduceMax, ReduceMin)
_TWO_PASSES = (HardSwish, Gelu)  # a whole pass each: the product comes second
_PRODUCTS = ((2.0,), (3.0,))  # exponents


def mapped(call: Call) -> tuple[Work, ...]:
    """A function of each element, ``map.KIND`` seconds an element."""
    kind = ELEMENTWISE.get(type(call.op))
    passes = 2 if isinstance(call.op, _TWO_PASSES) else 1
    counts = () if kind is None else ((f"map.{kind}", call.elements(call.y)),)
    return (Work(bytes=passes * call.traffic, counts=counts),)


def combined(call: Call) -> tuple[Work, ...]:
    """Arithmetic of two operands: ``arithmetic.element``, and ``arithmetic.run`` each time one repeats."""
    return (_arithmetic(call, call.operands),)


def divided(call: Call) -> tuple[Work, ...]:
    """Division, likewise, at ``arithmetic.quotient`` an element."""
    return (_arithmetic(call, call.operands, element="arithmetic.quotient"),)


def raised(call: Call) -> tuple[Work, ...]:
    """A power: squares and cubes as a product is, others at ``arithmetic.power`` an element."""
    exponent = call.operand(1)
    is_product = exponent is not None and exponent.floats in _PRODUCTS
    return combined(call) if is_product else (_arithmetic(call, call.operands, element="arithmetic.power"),)


def accumulated(call: Call) -> tuple[Work, ...]:
    """Sum, Max, Min, Mean: one operand after the other joins the result."""
    pairs = [(call.y, operand) for operand in call.operands[1:]]
    return tuple(_arithmetic(call, pair) for pair in pairs) or mapped(call)


def chosen(call: Call) -> tuple[Work, ...]:
    """Where: ``arithmetic.choice`` an element. Both choices are made in full, then put together."""
    both = (call.y, call.y)
    parts = (*call.operands, call.operand(0), *both, *both)
    return (_arithmetic(call, parts, element="arithmetic.choice"),)


def _arithmetic(
    call: Call, operands: Sequence[TensorType | None], *, element: str = "arithmetic.element"
) -> Work:
    given = [operand for operand in operands if operand is not None]
    count = call.elements(call.y)
    counts = ((element, count), ("arithmetic.run", count / _run(given, call.y)))
    return Work(bytes=call.bytes(*given, call.y), counts=counts)


def _run(operands: Sequence[TensorType], result: TensorType) -> int:
    """How many elements side by side are combined before an operand has to repeat, or stops repeating."""
    sizes, run, states = dims(result), 1, None
    for axis in range(1, len(sizes) + 1):
        present = tuple([axis <= len(dims(o)) and dims(o)[-axis] != 1 for o in operands])
        if sizes[-axis] != 1 and states not in (None, present):
            break
        states = present if sizes[-axis] != 1 else states
        run *= sizes[-axis]
    return run


def converted(call: Call) -> tuple[Work, ...]:
    """A Cast: as fast as memory is, but to and from 64-bit integers ``map.integer`` an element."""
    wide = DataType.INT64 in (call.x.dtype, call.y.dtype)
    counts = (("map.integer", float(call.elements(call.y))),) if wide else ()
    return (Work(bytes=call.traffic, counts=counts),)


def scaled(call: Call) -> tuple[Work, ...]:
    """A BatchNormalization with constant statistics, at the speed of memory."""
    return (Work(bytes=call.bytes(call.x, call.y)),)


def normalised_by_channel(call: Call) -> tuple[Work, ...]:
    """An InstanceNormalization: ``normal.element``, and ``normal.group`` for each sample's channel."""
    groups = math.prod(dims(call.x)[:2])
    counts = (("normal.element", call.elements(call.x)), ("normal.group", groups))
    return (Work(bytes=2 * call.bytes(call.x) + call.bytes(call.y), counts=counts),)


def normalised_by_group(call: Call) -> tuple[Work, ...]:
    """A GroupNormalization, which runs as its definition says: ``other.groupnormalization`` an element."""
    counts = (("other.groupnormalization", call.elements(call.y)),)
    return (Work(bytes=call.traffic, counts=counts),)


def normalised_by_row(call: Call) -> tuple[Work, ...]:
    """A Layer- or RMSNormalization: ``rows.element``, and ``rows.row`` for each row."""
    axis = normal_axis(call.op.label, getattr(call.op, "axis", -1), rank=max(1, len(dims(call.x))))
    rows = math.prod(dims(call.x)[:axis])
    counts = (("rows.element", call.elements(call.x)), ("rows.row", rows))
    return (Work(bytes=call.bytes(call.x, call.y), counts=counts),)


def softmax(call: Call) -> tuple[Work, ...]:
    """Softmax and its logarithm along the last axis; along another one between two transpositions.

    ``softmax.element``, and ``softmax.row`` for each row.
    """
    assert isinstance(call.op, AxisNormalization)
    sizes = dims(call.x)
    axis = normal_axis("Softmax", call.op.axis, rank=max(1, len(sizes)))
    count = call.elements(call.x)
    counts = (("softmax.element", count), ("softmax.row", count / max(1, *sizes[axis : axis + 1])))
    own = Work(bytes=call.bytes(call.x, call.y), counts=counts)
    if math.prod(sizes[axis + 1 :]) == 1:
        return (own,)
    order = [*range(len(sizes))]
    order[axis], order[-1] = order[-1], order[axis]
    there = transposition(sizes, order, size=call.bytes(call.x))
    turned = [sizes[i] for i in order]
    return (there, own, transposition(turned, order, size=call.bytes(call.x)))


def reduced(call: Call) -> tuple[Work, ...]:
    """A reduction, by the axes that are left after neighbours of one fate are taken together.

    Mean, sum, largest, smallest: ``reduce.last`` an element, with ``reduce.row`` a row along the last axis,
    or with ``reduce.group`` for each group of rows that are laid one onto the other; ``reduce.across`` an
    element in all other ways. Other functions: ``reduce.other`` an element.
    """
    assert isinstance(call.op, Reduction)
    axes = call.op.reduced_axes(call.x, call.operand(1)) or ()
    count, kinds = call.elements(call.x), _alternating(dims(call.x), axes)
    counts: tuple[tuple[str, float], ...] = (("reduce.across", count),)
    if not isinstance(call.op, _FAST_REDUCTIONS):
        counts = (("reduce.other", count),)
    elif kinds in ("", "R", "KR"):
        counts = (("reduce.last", count), ("reduce.row", call.elements(call.y)))
    elif kinds == "KRK":
        counts = (("reduce.last", count), ("reduce.group", math.prod(dims(call.x)[: min(axes)])))
    return (Work(bytes=call.bytes(call.x, call.y), counts=counts),)


def _alternating(sizes: Sequence[int], axes: Sequence[int]) -> str:
    """K for axes that are kept, R for those that go: neighbours as one, and none for single elements."""
    kinds = ["R" if axis in axes else "K" for axis, size in enumerate(sizes) if size != 1]
    return "".join(kind for i, kind in enumerate(kinds) if not i or kinds[i - 1] != kind)
