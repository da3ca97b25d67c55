"""Run a graph, or one operation, by the meanings of its operations."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from types import MappingProxyType

import numpy as np

from convgraph.errors import ConvgraphError, InvalidModel, UnsupportedOp
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Constant, Input, Op
from convgraph.ir.tensor import Array, DataType, TensorType
from convgraph.numerics.evaluate import (
    activation,
    conv,
    layout,
    linear,
    norm,
    pointwise,
    pool,
    reduce,
    resize,
    shaping,
)

Meaning = Callable[..., Array | tuple[Array, ...]]
Arithmetic = Callable[[Op, Sequence[Array | None], Sequence[TensorType]], tuple[Array, ...]]
"""The results, of these types in the graph, of an operation on operands."""

_FAMILIES: tuple[Mapping[type[Op], Meaning], ...] = (
    activation.MEANINGS,
    conv.MEANINGS,
    layout.MEANINGS,
    linear.MEANINGS,
    norm.MEANINGS,
    pointwise.MEANINGS,
    pool.MEANINGS,
    reduce.MEANINGS,
    resize.MEANINGS,
    shaping.MEANINGS,
)
MEANINGS: Mapping[type[Op], Meaning] = MappingProxyType(
    dict(chain.from_iterable(family.items() for family in _FAMILIES))
)


def evaluate_op(op: Op, operands: Sequence[Array | None], *, outputs: int = 1) -> tuple[Array, ...]:
    """The first ``outputs`` results of an operation; None stands for an omitted operand.

    Float operands are taken as float64, which float results are, unrounded. Raises UnsupportedOp for an
    operation without a meaning here (Opaque, randomness, some element types), InvalidModel for operands that
    it cannot be computed from.
    """
    meaning = MEANINGS.get(type(op))
    if meaning is None:
        raise UnsupportedOp(op.label, found="no meaning in numpy", expected="a typed operation")
    wide = [None if operand is None else widened(operand) for operand in operands]
    try:
        with np.errstate(all="ignore"):  # infinities and NaNs are results like any other
            results = meaning(op, *wide)
    except ConvgraphError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # what numpy raises over shapes
        shapes = [None if operand is None else operand.shape for operand in operands]
        found = f"operands of shapes {shapes} ({error})"
        raise InvalidModel(op.label, found=found, expected="operands that fit together") from error
    return (results if isinstance(results, tuple) else (results,))[:outputs]


def evaluate(
    graph: Graph,
    feeds: Mapping[str, Array],
    *,
    until: float = math.inf,
    arithmetic: Arithmetic | None = None,
) -> dict[str, Array]:
    """The graph's outputs by name, from its inputs by name; an input with a default may be left out.

    Computed by ``evaluate_op``, or another ``arithmetic``. Raises InvalidModel for an input that is missing
    or not there, UnsupportedOp, naming the node, for an operation without a meaning here, or that would begin
    after ``until``, a time of ``time.monotonic``.
    """
    names = {graph.value_name(value) for value in graph.inputs}
    if unknown := sorted(feeds.keys() - names):
        raise InvalidModel(unknown[0], found="a feed for no input", expected=f"inputs {sorted(names)}")
    values: dict[Value, Array] = {}
    waiting = {value: len(graph.readers(value)) for node in graph.nodes() for value in graph.results(node)}
    for node in graph.nodes():
        if time.monotonic() > until:
            raise UnsupportedOp(graph.describe(node), found="no time left", expected="a faster model")
        results = graph.results(node)
        found = _computed(graph, node, values, feeds, arithmetic=arithmetic or _float64)
        values.update(zip(results, found, strict=False))
        _release(graph, node, values, waiting)
    return {graph.value_name(value): values[value] for value in graph.outputs}


def widened(array: Array) -> Array:
    """A float array of any width as float64; anything else as it is."""
    return array.astype(np.float64, copy=False) if DataType.of(array.dtype).is_float else array


def _computed(
    graph: Graph,
    node: int,
    values: Mapping[Value, Array],
    feeds: Mapping[str, Array],
    *,
    arithmetic: Arithmetic,
) -> tuple[Array, ...]:
    op = graph.op(node)
    if isinstance(op, Constant):
        return (widened(op.tensor.numpy()),)
    if isinstance(op, Input):
        return tuple(widened(_fed(graph, value, feeds)) for value in graph.results(node))
    operands = [None if operand is None else values[operand] for operand in graph.operands(node)]
    try:
        return arithmetic(op, operands, [graph.type(value) for value in graph.results(node)])
    except (InvalidModel, UnsupportedOp) as error:
        raise type(error)(graph.describe(node), found=error.found, expected=error.expected) from error


def _float64(op: Op, operands: Sequence[Array | None], types: Sequence[TensorType]) -> tuple[Array, ...]:
    return evaluate_op(op, operands, outputs=len(types))


def _fed(graph: Graph, value: Value, feeds: Mapping[str, Array]) -> Array:
    """What is fed for one result of an Input; it has several in a region whose input has."""
    op, name = graph.producer(value), graph.value_name(value)
    if name in feeds:
        return np.asarray(feeds[name])
    if not isinstance(op, Input) or op.default is None:
        raise InvalidModel(name, found="no feed for this input", expected="an array")
    return op.default.numpy()


def _release(graph: Graph, node: int, values: dict[Value, Array], waiting: dict[Value, int]) -> None:
    """Let go of what nobody reads after ``node``, so that memory follows the widest part of the graph."""
    for operand in graph.operands(node):
        if operand is None:
            continue
        waiting[operand] -= 1
        if not waiting[operand] and not graph.is_output(operand):
            del values[operand]
