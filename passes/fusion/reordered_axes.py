"""Operations that do the same whatever the order of the axes, and what each is when the order is another.

An order ``perm`` says how a value comes from one in the other order: axis i of the value is axis ``perm[i]``
of the other, as a Transpose reads it.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Binary,
    Cast,
    Clip,
    Concat,
    Gather,
    LogSoftmax,
    Op,
    Pad,
    PRelu,
    ReduceMean,
    Reduction,
    Slice,
    Softmax,
    Split,
    Transpose,
    Unary,
    Variadic,
    Where,
)
from convgraph.ir.ops.activation import PlainActivation
from convgraph.ir.ops.axes import length, normal_axes
from convgraph.ir.tensor import Array

Perm = tuple[int, ...]

_LAYER_NORMALIZATION = 17  # the first opset with an operator for it


class Form(NamedTuple):
    """What an operation is on values in the other order.

    ``slots`` are those of the operands whose axes are in order, ``numbers`` replace operands that list axes
    or sizes. With ``is_end`` the result is the same as before; otherwise it is in the other order as well.
    """

    op: Op
    slots: tuple[int, ...]
    numbers: tuple[tuple[int, tuple[int, ...]], ...] = ()
    is_end: bool = False


def form_of(graph: Graph, node: int, perm: Perm) -> Form | None:
    """What a node is on values in the other order; None for an operation that cannot be said to be any."""
    op = graph.op(node)
    make = next((make for kinds, make in _FORMS if isinstance(op, kinds)), None)
    return None if make is None else make(graph, node, op, perm)


def order_of(graph: Graph, value: Value) -> Perm | None:
    """The order in which a Transpose lists axes; None for the result of anything else."""
    op, rank = graph.producer(value), graph.type(value).rank
    if not isinstance(op, Transpose) or (op.perm is None and rank is None):
        return None
    return op.order(rank or 0)


def inverse(perm: Perm) -> Perm:
    """The order that undoes another."""
    return tuple(perm.index(axis) for axis in range(len(perm)))


def turned_back(graph: Graph, value: Value, perm: Perm) -> Iterator[Value]:
    """What Transposes of a value into the other order there are."""
    results = (Value(use.node, 0) for use in graph.readers(value))
    return (result for result in results if order_of(graph, result) == inverse(perm))


def reordered(
    edit: Edit, node: int, form: Form, *, perm: Perm, there: dict[Value, Value]
) -> tuple[Value, ...]:
    """Add what a node is on values in the other order: from ``there``, or else brought into it, and noted."""
    graph = edit.graph
    for value in (graph.operand(node, slot) for slot in form.slots):
        if value is not None and value not in there:
            there[value] = _in_other_order(edit, value, perm)
    read = [there[v] if v and slot in form.slots else v for slot, v in enumerate(graph.operands(node))]
    for slot, numbers in form.numbers:
        old = graph.operand(node, slot)
        model = old or graph.operand(node, 1)
        kind = np.dtype(np.int64) if model is None else graph.type(model).dtype.numpy
        read += [None] * (slot + 1 - len(read))
        read[slot] = edit.constant(np.array(numbers, kind), name="axes", like=old)
    results = graph.results(node)
    name = f"{graph.value_name(results[0])}_reordered"
    return edit.add_all(form.op, *read, name=name, like=node, outputs=len(results))


def _in_other_order(edit: Edit, value: Value, perm: Perm) -> Value:
    """A value in the other order: what there is of it already, or else by a Transpose."""
    graph, tensor = edit.graph, edit.graph.constant(value)
    if tensor is not None:
        return edit.constant(_reordered_constant(tensor.numpy(), perm), like=value)
    source = graph.operand(value.node, 0) if order_of(graph, value) == perm else None
    found = source or next(turned_back(graph, value, perm), None)
    return found or edit.add(Transpose(perm=inverse(perm)), value)


def _reordered_constant(array: Array, perm: Perm) -> Array:
    """A constant in the other order; one of fewer axes, which broadcasts, with no more than it needs."""
    whole = np.transpose(array.reshape((1,) * (len(perm) - array.ndim) + array.shape), inverse(perm))
    leading = next((axis for axis, size in enumerate(whole.shape) if size != 1), whole.ndim)
    return np.ascontiguousarray(whole if array.ndim == len(perm) else whole.reshape(whole.shape[leading:]))


def _mapped(graph: Graph, node: int, op: Op, perm: Perm) -> Form:
    """Each element of the first operand by itself."""
    del graph, node, perm
    return Form(op, (0,))


def _broadcast(graph: Graph, node: int, op: Op, perm: Perm) -> Form | None:
    """Elements of several operands that broadcast; constants may have fewer axes."""
    rank, slots = len(perm), list[int]()
    if graph.type(Value(node, 0)).rank != rank:
        return None
    for slot, value in enumerate(graph.operands(node)):
        own = None if value is None else graph.type(value).rank
        if value is None or own is None or (own != rank and not _is_neutral(graph, value)):
            return None
        if graph.type(value).size != 1:
            slots.append(slot)
    return Form(op, tuple(slots))


def _is_neutral(graph: Graph, value: Value) -> bool:
    return graph.type(value).size == 1 or graph.constant(value) is not None


def _along(graph: Graph, node: int, op: Any, perm: Perm) -> Form | None:
    """What is done along one axis."""
    axis = perm[op.axis % len(perm)]
    old = isinstance(op, (Softmax, LogSoftmax)) and graph.model.opset < 13  # all axes from one on, then
    if old and axis != len(perm) - 1:
        return None
    if isinstance(op, Gather) and graph.type(graph.operands(node)[1] or Value(node, 0)).rank != 1:
        return None
    slots = range(len(graph.operands(node))) if isinstance(op, Concat) else (0,)
    return Form(replace(op, axis=axis), tuple(slots))


def _sliced(graph: Graph, node: int, op: Op, perm: Perm) -> Form | None:
    """A Slice of known axes."""
    axes, starts = graph.operand(node, 3), graph.operand(node, 1)
    assert starts is not None
    count = length(graph.type(starts))
    listed = graph.type(axes).ints if axes is not None else None if count is None else tuple(range(count))
    if listed is None:
        return None
    normal = normal_axes(op.label, listed, rank=len(perm))
    return Form(op, (0,), ((3, tuple(perm[axis] for axis in normal)),))


def _padded(graph: Graph, node: int, op: Any, perm: Perm) -> Form | None:
    """A Pad by known amounts."""
    data, pads, _, axes = (graph.operand(node, slot) for slot in range(4))
    if data is None or pads is None:
        return None
    if axes is not None:
        listed = graph.type(axes).ints
        normal = None if listed is None else normal_axes(op.label, listed, rank=len(perm))
        return None if normal is None else Form(op, (0,), ((3, tuple(perm[axis] for axis in normal)),))
    amounts = op.amounts(graph.type(data), graph.type(pads))
    if amounts is None:
        return None
    moved = [amounts[axis] for axis in inverse(perm)]
    return Form(op, (0,), ((1, tuple(begin for begin, _ in moved) + tuple(end for _, end in moved)),))


def _reduced(graph: Graph, node: int, op: Any, perm: Perm) -> Form | None:
    """A reduction of known axes; where these go, the others are to be in order by themselves."""
    data, axes = graph.operand(node, 0), graph.operand(node, 1)
    assert data is not None
    reduced = op.reduced_axes(graph.type(data), None if axes is None else graph.type(axes))
    if reduced is None or _starts_a_layer_norm(graph, op, reduced, perm):
        return None
    rest = [perm[axis] for axis in range(len(perm)) if axis not in reduced]
    if not op.keepdims and rest != sorted(rest):
        return None
    named = axes is not None and graph.type(axes).size
    numbers = ((1, tuple(sorted(perm[axis] for axis in reduced))),) if named else ()
    return Form(op, (0,), numbers, is_end=not op.keepdims)


def _starts_a_layer_norm(graph: Graph, op: Op, reduced: tuple[int, ...], perm: Perm) -> bool:
    """A mean along the last axis: below opset 17 onnxruntime knows a layer normalisation by nothing else."""
    last = len(perm) - 1
    inner = isinstance(op, ReduceMean) and reduced == (last,) and perm[last] != last
    return inner and graph.model.opset < _LAYER_NORMALIZATION


def _turned(graph: Graph, node: int, op: Any, perm: Perm) -> Form:
    """Another Transpose: it brings the axes where they are to go from wherever they are."""
    del graph, node
    return Form(Transpose(perm=tuple(perm[axis] for axis in op.order(len(perm)))), (0,), is_end=True)


_Make = Callable[[Graph, int, Any, Perm], Form | None]
_FORMS: tuple[tuple[tuple[type[Op], ...], _Make], ...] = (
    ((Unary, PlainActivation, Cast, Clip), _mapped),
    ((Binary, Variadic, Where, PRelu), _broadcast),
    ((Concat, Split, Softmax, LogSoftmax, Gather), _along),
    ((Slice,), _sliced),
    ((Pad,), _padded),
    ((Reduction,), _reduced),
    ((Transpose,), _turned),
)
