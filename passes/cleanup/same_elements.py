"""Operations that keep all elements in their order and only arrange them on other axes."""

from typing import NamedTuple

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Flatten, Op, Reshape, Squeeze, Transpose, Unsqueeze
from convgraph.ir.tensor import Dim
from convgraph.passes.cleanup.fold_reshape_target import spelled

ARRANGING: tuple[type[Op], ...] = (Reshape, Flatten, Squeeze, Unsqueeze, Transpose)

_OPEN = -1
_Dims = tuple[Dim, ...]


class Arrangement(NamedTuple):
    """One operation that arranges elements on other axes, and the numbers it reads; no operation: as is."""

    op: Op | None
    numbers: tuple[int, ...] = ()


def keeps_order(graph: Graph, node: int) -> bool:
    """Whether a node only arranges elements on other axes: a Transpose that moves none but axes of one.

    A Squeeze of an empty list of axes squeezes none, or all that can be: runtimes do not agree.
    """
    op, (x, *numbers) = graph.op(node), graph.operands(node)
    if isinstance(op, Squeeze) and numbers[0:1] and numbers[0] is not None:
        return graph.type(numbers[0]).size != 0
    if not isinstance(op, Transpose) or x is None:
        return isinstance(op, ARRANGING)
    shape = graph.type(x).shape
    if shape is None:
        return op.perm is not None and op.perm == tuple(range(len(op.perm)))
    long = [axis for axis in op.order(len(shape)) if shape[axis] != 1]
    return long == sorted(long)


def arrangement(graph: Graph, x: Value, result: Value) -> Arrangement | None:
    """How one operation gives the elements of x the shape of ``result``, which has as many; None: not so."""
    before, after = graph.type(x).shape, graph.type(result).shape
    if before is None or after is None:
        return None
    if _agree(before, after):
        return Arrangement(None)
    for op, short, long in ((Unsqueeze(), before, after), (Squeeze(), after, before)):
        axes = _of_one(short, long)
        if axes:
            return Arrangement(op, axes)
    sizes = spelled(after, before)
    return None if sizes.count(_OPEN) > 1 or 0 in after else Arrangement(Reshape(), sizes)


def arranged(edit: Edit, x: Value, how: Arrangement, *, like: int) -> Value:
    """X arranged so."""
    if how.op is None:
        return x
    return edit.add(how.op, x, edit.constant(np.array(how.numbers, np.int64), name="axes"), like=like)


def _agree(before: _Dims, after: _Dims) -> bool:
    """Whether the sizes of as many elements are the same: one that is in doubt has no choice."""
    pairs = zip(before, after, strict=False)
    doubtful = [(a, b) for a, b in pairs if a != b or a is None]
    open_ones = all(not (isinstance(a, int) and isinstance(b, int)) for a, b in doubtful)
    return len(before) == len(after) and len(doubtful) <= 1 and open_ones and not (doubtful and 0 in before)


def _of_one(short: _Dims, long: _Dims) -> tuple[int, ...]:
    """The axes of one element that ``long`` has and ``short`` has not; none where more than that differs."""
    axes, taken = list[int](), 0
    for axis, size in enumerate(long):
        if size == 1 and (taken >= len(short) or short[taken] != 1):
            axes.append(axis)
        else:
            taken += 1
    rest = tuple(size for axis, size in enumerate(long) if axis not in axes)
    return tuple(axes) if _agree(short, rest) else ()
