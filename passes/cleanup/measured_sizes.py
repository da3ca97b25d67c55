"""Numbers that a model computes from the shapes of its values, as far as types tell what they are."""

from collections.abc import Callable, Mapping
from functools import reduce
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple

from convgraph.analysis.elements import asked_sizes, known_elements, stated
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Cast,
    Concat,
    Expand,
    Gather,
    Identity,
    Mul,
    Op,
    Opaque,
    ReduceProd,
    Reshape,
    Slice,
    Split,
    Squeeze,
    Unsqueeze,
)
from convgraph.ir.ops.layout import python_slice
from convgraph.ir.tensor import KNOWN_LIMIT, DataType, TensorType
from convgraph.passes.cleanup.size_arithmetic import Size, calculated

Sizes = tuple[Size, ...]


class Place(NamedTuple):
    """One size of one value."""

    x: Value
    axis: int


Elements = tuple[Size | Place, ...]

_MOST = 64  # operations looked at; from each node of a chain of thousands, all those before it would be
_INTEGERS = (DataType.INT64, DataType.INT32)
_FLOATS = (DataType.FLOAT, DataType.DOUBLE)  # whole numbers of sizes stay what they are in these
_PASSING = (Identity, Reshape, Squeeze, Unsqueeze)


def measured_sizes(graph: Graph, value: Value) -> Sizes | None:
    """The elements of a small vector, or of a scalar: numbers, or sizes that are symbols; None for any other.

    None when not even their number is known, or there are too many.
    """
    found = _Reading(graph, places=False).elements(value)
    return None if found is None else tuple(_size(element) for element in found)


def measured_places(graph: Graph, value: Value) -> Elements | None:
    """The same with the place of each size that nothing is calculated from, whatever is known of it."""
    return _Reading(graph, places=True).elements(value)


class _Reading:
    """One look at what a value is computed from; each value on the way is read once."""

    def __init__(self, graph: Graph, *, places: bool) -> None:
        self.graph = graph
        self.places = places
        self.found: dict[Value, Elements | None] = {}

    def elements(self, value: Value) -> Elements | None:
        """The elements of a value."""
        kind = self.graph.type(value)
        if (kind.rank or 0) > 1 or (kind.size or 0) > KNOWN_LIMIT:
            return None
        if value not in self.found:
            self.found[value] = None  # until it is known
            sizes = self._read(value) if len(self.found) <= _MOST else None
            few = sizes is not None and len(sizes) <= KNOWN_LIMIT
            self.found[value] = _rounded(sizes, kind.dtype) if few and sizes is not None else _unknown(kind)
        return self.found[value]

    def _read(self, value: Value) -> Elements | None:
        tensor, op = self.graph.constant(value), self.graph.producer(value)
        kind = self.graph.type(value) if tensor is None else tensor.type
        if kind.known is not None:
            return kind.known
        rule = _RULES.get(type(op))
        if rule is not None:
            return rule(self, op, value)
        parts = [None if v is None else self.elements(v) for v in self.graph.operands(value.node)]
        return _computed(op, parts, kind)

    def operand(self, node: int, slot: int) -> Elements | None:
        """The elements of an operand."""
        value = self.graph.operand(node, slot)
        return None if value is None else self.elements(value)


def _size(element: Size | Place) -> Size:
    return None if isinstance(element, Place) else element


def _unknown(kind: TensorType) -> Elements | None:
    return None if kind.size is None else (None,) * kind.size


def _rounded(sizes: Elements, dtype: DataType) -> Elements:
    """The elements in a type: floats are rounded."""
    if dtype not in _FLOATS:
        return sizes
    return tuple(float(dtype.numpy.type(s)) if isinstance(s, (int, float)) else s for s in sizes)


def _computed(op: Op, parts: list[Elements | None], kind: TensorType) -> Elements | None:
    """Arithmetic, element by element."""
    columns = [tuple(map(_size, part)) for part in parts if part is not None]
    count = max(map(len, columns), default=0)
    if not columns or len(columns) < len(parts) or any(len(column) not in (1, count) for column in columns):
        return None
    wide = (column * count if len(column) == 1 else column for column in columns)
    whole = kind.dtype in _INTEGERS
    return tuple(calculated(op, row, whole=whole) for row in zip(*wide, strict=True))


def _passed_on(reading: _Reading, op: Op, value: Value) -> Elements | None:
    del op
    return reading.operand(value.node, 0)


def _cast(reading: _Reading, op: Op, value: Value) -> Elements | None:
    assert isinstance(op, Cast)
    sizes = reading.operand(value.node, 0)
    if sizes is None or op.to not in (*_INTEGERS, *_FLOATS):
        return None
    return tuple(_whole(size) for size in sizes) if op.to in _INTEGERS else sizes


def _whole(size: Size | Place) -> Size | Place:
    """A number without what is behind the point."""
    if isinstance(size, float):
        return int(size) if abs(size) < 1 << 31 else None
    return size


def _joined(reading: _Reading, op: Op, value: Value) -> Elements | None:
    del op
    parts = [reading.operand(value.node, slot) for slot in range(len(reading.graph.operands(value.node)))]
    known = [part for part in parts if part is not None]
    few = len(known) == len(parts) and sum(map(len, known)) <= KNOWN_LIMIT
    return tuple(chain.from_iterable(known)) if few else None


def _repeated(reading: _Reading, op: Op, value: Value) -> Elements | None:
    del op
    sizes, count = reading.operand(value.node, 0), reading.graph.type(value).size
    if sizes is None or count is None or len(sizes) not in (1, count):
        return None
    return sizes * count if len(sizes) == 1 else sizes


def _picked(reading: _Reading, op: Op, value: Value) -> Elements | None:
    sizes, numbers = reading.operand(value.node, 0), reading.graph.operands(value.node)[1:]
    constants = [reading.graph.constant(v) for v in numbers if v is not None]
    if sizes is None or None in constants:
        return None
    if isinstance(op, Slice):
        starts, ends, *rest = (None if v is None else reading.graph.type(v) for v in numbers)
        assert starts is not None
        assert ends is not None
        cuts = op.cuts(TensorType(DataType.INT64, shape=(len(sizes),)), starts, ends, *rest)
        return None if cuts is None else sizes[python_slice(cuts[0], len(sizes))]
    places = constants[0].numpy().reshape(-1).tolist() if constants[0] is not None else []
    inside = all(-len(sizes) <= place < len(sizes) for place in places)
    return tuple(sizes[place] for place in places) if inside else None


def _piece(reading: _Reading, op: Op, value: Value) -> Elements | None:
    """One of the pieces that a Split makes."""
    del op
    counts = [reading.graph.type(piece).size for piece in reading.graph.results(value.node)]
    known = [count for count in counts if count is not None]
    sizes, begin = reading.operand(value.node, 0), sum(known[: value.output])
    whole = sizes is not None and len(known) == len(counts) and len(sizes) == sum(known)
    return sizes[begin : begin + known[value.output]] if sizes is not None and whole else None


def _multiplied(reading: _Reading, op: Op, value: Value) -> Elements | None:
    del op
    sizes, kind = reading.operand(value.node, 0), reading.graph.type(value)
    if not sizes or kind.size != 1:
        return None
    whole = kind.dtype in _INTEGERS
    return (reduce(lambda one, other: calculated(Mul(), (one, other), whole=whole), map(_size, sizes)),)


def _measured(reading: _Reading, op: Op, value: Value) -> Elements | None:
    """What a Shape tells, or what else follows from the shape of the operand."""
    x = reading.graph.operand(value.node, 0)
    assert isinstance(op, Opaque)
    if x is None or op.domain:
        return None
    kind = reading.graph.type(x)
    if op.op_type != "Shape":
        return known_elements(op, (kind,), reading.graph.type(value))
    if not reading.places:
        return asked_sizes(op, kind)
    axes = range(kind.rank or 0)[stated(op, "start", 0) : stated(op, "end", None)]
    return tuple(Place(x, axis) for axis in axes) if kind.rank is not None else None


_RULES: Mapping[type[Op], Callable[[_Reading, Op, Value], Elements | None]] = MappingProxyType(
    {
        **dict.fromkeys(_PASSING, _passed_on),
        Cast: _cast,
        Concat: _joined,
        Expand: _repeated,
        Gather: _picked,
        Opaque: _measured,
        ReduceProd: _multiplied,
        Slice: _picked,
        Split: _piece,
    }
)
