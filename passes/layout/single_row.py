"""What operations on sequences (N, C, L) are on images of a single row (N, C, 1, L).

The new axis stands before the last one. A value of fewer axes that takes part gets it there as well, so that
it broadcasts alike; one of a single axis, or of none, stays as it is.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    BatchNormalization,
    Binary,
    Cast,
    Clip,
    Concat,
    Convolution,
    ConvTranspose,
    GlobalPool,
    InstanceNormalization,
    Op,
    Pad,
    Pool,
    PRelu,
    Slice,
    Split,
    Unary,
    Unsqueeze,
    Variadic,
    Where,
)
from convgraph.ir.ops.activation import PlainActivation
from convgraph.ir.ops.axes import length, normal_axes
from convgraph.ir.tensor import Array, Tensor, TensorType

_Size = TypeVar("_Size")

_PARAMETERS = 3  # operands of a convolution without those of its activation
_SEQUENCE = 3  # axes of a batch of sequences
_PLACES = (0, 1, 3)  # where they are among those of images


class OnRows(NamedTuple):
    """An operation on images of a single row.

    ``slots`` are those of the operands that get the axis, ``numbers`` replace operands that list axes or
    sizes of them.
    """

    op: Op
    slots: tuple[int, ...]
    numbers: tuple[tuple[int, tuple[int, ...]], ...] = ()


def on_rows(graph: Graph, node: int) -> OnRows | None:
    """What a node that makes sequences is on images of a single row; None for any other one."""
    op, results = graph.op(node), graph.results(node)
    make = next((make for kinds, make in _FORMS if isinstance(op, kinds)), None)
    if make is None or any(graph.type(value).rank != _SEQUENCE for value in results):
        return None
    form = make(graph, node, op) if len(results) == 1 or isinstance(op, Split) else None
    known = form is not None and all(graph.type(v).rank is not None for v in carried(graph, node, form))
    return form if known else None


def carried(graph: Graph, node: int, form: OnRows) -> Iterator[Value]:
    """The operands of a node that get the axis."""
    given = (graph.operand(node, slot) for slot in form.slots)
    return (value for value in given if value is not None)


def row_type(kind: TensorType) -> TensorType:
    """The type of a value with the new axis."""
    return kind.with_shape(_with_row(kind.shape or ()))


def in_row(edit: Edit, value: Value) -> Value:
    """A value with the new axis, if it has axes enough to need it."""
    rank, tensor = edit.graph.type(value).rank or 0, edit.graph.constant(value)
    if rank <= 1:
        return value
    if tensor is not None:
        return edit.constant(_reshaped(tensor), like=value)
    axes = edit.constant(np.array([rank - 1], np.int64), name="axes")
    return edit.add(Unsqueeze(), value, axes)


def _reshaped(tensor: Tensor) -> Tensor:
    """The same elements, not read as yet."""
    shape = _with_row(tensor.shape)
    load = partial(_loaded, tensor, shape)
    return Tensor.deferred(load, dtype=tensor.dtype, shape=shape, origin=tensor.origin)


def _loaded(tensor: Tensor, shape: tuple[int, ...]) -> Array:
    return tensor.numpy().reshape(shape)


def _with_row(sizes: tuple[_Size, ...]) -> tuple[_Size | int, ...]:
    return (*sizes[:-1], 1, *sizes[-1:])


def _mapped(graph: Graph, node: int, op: Op) -> OnRows:
    """Elements or channels of the first operand, each by itself."""
    del graph, node
    return OnRows(op, (0,))


def _broadcast(graph: Graph, node: int, op: Op) -> OnRows:
    """Elements of several operands that broadcast."""
    return OnRows(op, tuple(range(len(graph.operands(node)))))


def _convolved(graph: Graph, node: int, op: Any) -> OnRows:
    """A convolution with a kernel of one row; the operands of its activation broadcast to its result."""
    window = _window(op)
    if isinstance(op, ConvTranspose):
        window["output_padding"] = (0, *op.output_padding) if op.output_padding else ()
        window["output_shape"] = None if op.output_shape is None else (1, *op.output_shape)
    return OnRows(replace(op, **window), (0, 1, *range(_PARAMETERS, len(graph.operands(node)))))


def _pooled(graph: Graph, node: int, op: Any) -> OnRows:
    """A pool whose window is of one row."""
    del graph, node
    return OnRows(replace(op, **_window(op), kernel_shape=(1, *op.kernel_shape)), (0,))


def _window(op: Any) -> dict[str, Any]:
    """How a window of one row moves."""
    begin, end = op.pads
    return {
        "strides": (1, *op.strides),
        "pads": (0, begin, 0, end),
        "dilations": (1, *op.dilations),
    }


def _along(graph: Graph, node: int, op: Any) -> OnRows:
    """What is done along one axis."""
    slots = range(len(graph.operands(node))) if isinstance(op, Concat) else (0,)
    return OnRows(replace(op, axis=_PLACES[op.axis % _SEQUENCE]), tuple(slots))


def _sliced(graph: Graph, node: int, op: Op) -> OnRows | None:
    """A Slice of known axes."""
    axes, starts = graph.operand(node, 3), graph.operand(node, 1)
    assert starts is not None
    count = length(graph.type(starts))
    listed = graph.type(axes).ints if axes is not None else None if count is None else tuple(range(count))
    return None if listed is None else OnRows(op, (0,), ((3, _places(op, listed)),))


def _padded(graph: Graph, node: int, op: Any) -> OnRows | None:
    """A Pad by known amounts, or along known axes."""
    data, pads, _, axes = (graph.operand(node, slot) for slot in range(4))
    assert data is not None
    assert pads is not None
    if axes is not None:
        listed = graph.type(axes).ints
        return None if listed is None else OnRows(op, (0,), ((3, _places(op, listed)),))
    amounts = op.amounts(graph.type(data), graph.type(pads))
    if amounts is None:
        return None
    begins, ends = ((*side[:2], 0, side[2]) for side in zip(*amounts, strict=True))
    return OnRows(op, (0,), ((1, (*begins, *ends)),))


def _places(op: Op, axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(_PLACES[axis] for axis in normal_axes(op.label, axes, rank=_SEQUENCE))


_Make = Callable[[Graph, int, Any], OnRows | None]
_FORMS: tuple[tuple[tuple[type[Op], ...], _Make], ...] = (
    ((Unary, PlainActivation, Cast, Clip, GlobalPool, BatchNormalization, InstanceNormalization), _mapped),
    ((Binary, Variadic, Where, PRelu), _broadcast),
    ((Convolution,), _convolved),
    ((Pool,), _pooled),
    ((Concat, Split), _along),
    ((Slice,), _sliced),
    ((Pad,), _padded),
)
