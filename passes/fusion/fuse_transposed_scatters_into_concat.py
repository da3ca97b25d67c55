"""Join what is written piece by piece, along an axis brought to the front and back, where that axis is.

    transpose(write(write(z, I, transpose(a, p)), J, transpose(b, p)), p⁻¹)  ->  gather(concat(a, b), order)

write is ScatterND; I and J are constant row numbers that together name every row, so nothing of z is left,
and where both name a row, the later one counts. Exact: elements move, nothing is computed. PyTorch's exporter
writes ``y[:, i] = a`` so; a coupling puts its halves together that way.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Concat, Expand, Gather, Op, Opaque, Transpose
from convgraph.passes.rewrite import Rewrite, requirement


class Write(NamedTuple):
    """A ScatterND: its node, the row numbers, and the piece, before what brings its axis to the front."""

    node: int
    rows: Value
    piece: Value
    perm: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """The writes, the last one first, the values between the first and the result, and the result."""

    writes: tuple[Write, ...]
    between: tuple[Value, ...]
    result: Value


@dataclass(frozen=True, kw_only=True)
class FuseTransposedScattersIntoConcat(Rewrite[Pieces]):
    """Join what is written piece by piece, along an axis brought to the front, where that axis is."""

    name: ClassVar[str] = "fuse-transposed-scatters-into-concat"
    roots: ClassVar[tuple[type[Op], ...]] = (Transpose,)
    makes: ClassVar[tuple[type[Op], ...]] = (Concat, Gather)

    def find(self, graph: Graph, node: int) -> Pieces | None:
        """A Transpose of a row of ScatterND, each of a transposed piece."""
        writes, between = list[Write](), list[Value]()
        value = graph.operand(node, 0)
        while value is not None and (write := _write(graph, value)) is not None:
            writes.append(write)
            between.append(value)
            value = graph.operand(value.node, 0)
            pair = () if value is None else tuple(_undone(graph, value))
            if pair:
                between += pair
                value = graph.operand(pair[-1].node, 0)
        if not writes:
            return None
        kept = between[: between.index(Value(writes[-1].node, 0)) + 1]
        return Pieces(writes=tuple(writes), between=tuple(kept), result=Value(node, 0))

    @requirement
    def the_axes_come_back(self, graph: Graph, m: Pieces) -> bool:
        """The last transposition undoes that of every piece."""
        back = _perm(graph, m.result)
        return bool(back) and all(_undoes(back, write.perm) for write in m.writes)

    @requirement
    def every_row_is_written(self, graph: Graph, m: Pieces) -> bool:
        """The row numbers are constants, one each, and together name every row."""
        return _order(graph, m) is not None

    @requirement
    def nothing_else_reads_what_lies_between(self, graph: Graph, m: Pieces) -> bool:
        """What is written has no other reader, so that the writes go."""
        return all(graph.sole_reader(value) is not None for value in m.between)

    def apply(self, edit: Edit, m: Pieces) -> None:
        """Concatenate the pieces in the order of writing, and gather the rows in theirs."""
        axis, order = _perm(edit.graph, m.result).index(0), _order(edit.graph, m)
        assert order is not None
        pieces = [write.piece for write in reversed(m.writes)]
        last = m.writes[0].node
        joined = pieces[0] if len(pieces) == 1 else edit.add(Concat(axis=axis), *pieces)
        numbers = edit.constant(np.asarray(order, np.int64), name="order")
        edit.replace(m.result, edit.add(Gather(axis=axis), joined, numbers, like=last))


def _write(graph: Graph, value: Value) -> Write | None:
    """The ScatterND that makes a value, if it writes a transposed piece."""
    op = graph.producer(value)
    if (
        not isinstance(op, Opaque)
        or (op.domain, op.op_type) != ("", "ScatterND")
        or "reduction" in op.encoded
    ):
        return None
    _, rows, updates = graph.operands(value.node)
    while updates is not None and isinstance(graph.producer(updates), Expand):
        wide, updates = graph.type(updates), graph.operand(updates.node, 0)
        if updates is None or wide.static_shape is None or graph.type(updates).shape != wide.shape:
            return None
    piece = None if updates is None else graph.operand(updates.node, 0)
    if rows is None or updates is None or piece is None or not (perm := _perm(graph, updates)):
        return None
    return Write(value.node, rows, piece, perm)


def _undone(graph: Graph, value: Value) -> Iterator[Value]:
    """A transposition and the one before it, where the two change nothing."""
    before = graph.operand(value.node, 0)
    if before is not None and _undoes(_perm(graph, value), _perm(graph, before)):
        yield value
        yield before


def _perm(graph: Graph, value: Value) -> tuple[int, ...]:
    op = graph.producer(value)
    return (op.perm or ()) if isinstance(op, Transpose) else ()


def _undoes(back: tuple[int, ...], there: tuple[int, ...]) -> bool:
    return len(back) == len(there) > 0 and all(back[axis] == at for at, axis in enumerate(there))


def _order(graph: Graph, m: Pieces) -> tuple[int, ...] | None:
    """For each row, its number among the rows of all pieces in the order of writing; None when unknown."""
    shape = graph.type(Value(m.writes[0].node, 0)).shape
    rows = shape[0] if shape else None
    if not isinstance(rows, int):
        return None
    places: dict[int, int] = {}
    done = 0
    for write in reversed(m.writes):
        constant = graph.constant(write.rows)
        if constant is None or len(constant.shape) != 2 or constant.shape[1] != 1:
            return None
        numbers = constant.numpy().reshape(-1).tolist()
        places.update((number % rows, done + at) for at, number in enumerate(numbers))
        done += len(numbers)
    return tuple(places[row] for row in range(rows)) if places.keys() == set(range(rows)) else None
