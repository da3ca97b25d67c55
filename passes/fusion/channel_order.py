"""Values that hold the channels of another in some order, however a model spells it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from operator import mul
from types import MappingProxyType

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Concat, Gather, Op, Reshape, Slice, Split, Transpose
from convgraph.ir.ops.layout import python_slice
from convgraph.ir.tensor import Dim, TensorType


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOrder:
    """Channel c of ``result`` is channel ``order[c]`` of x, which has ``count``; ``nodes`` make it so."""

    x: Value
    result: Value
    nodes: tuple[int, ...]
    order: tuple[int, ...]
    count: int

    @property
    def is_permutation(self) -> bool:
        """Whether each channel of x is there once."""
        return sorted(self.order) == list(range(self.count))

    def stays_within(self, groups: int) -> bool:
        """Whether, of so many equal groups, each holds channels of x's group of the same number only."""
        taken = len(self.order)
        pairs = enumerate(self.order)
        return self.count % groups == taken % groups == 0 and all(
            place * groups // taken == channel * groups // self.count for place, channel in pairs
        )


_MOST_CHANNELS = 1 << 16  # a file of a few bytes may speak of a value with millions of millions

SPELLINGS: tuple[type[Op], ...] = (Gather, Slice, Concat, Reshape)


def channel_order(graph: Graph, node: int) -> ChannelOrder | None:
    """The channels of another value that a node's result holds; None when it holds anything else, or all.

    A Gather or a Slice on axis 1 with constant numbers; a Concat on axis 1 of such pieces, or a Split's, of
    one value; or Reshape, Transpose, Reshape: the channels on several axes, those permuted, and one again.
    """
    read = _READERS.get(type(graph.op(node)))
    found = None if read is None else read(graph, Value(node, 0))
    return found if found is not None and found.order not in ((), tuple(range(found.count))) else None


def pieces_of(graph: Graph, value: Value) -> tuple[ChannelOrder, ...]:
    """The results of the Gathers, Slices and Splits that take channels of a value, where they are used."""
    nodes = dict.fromkeys(use.node for use in graph.readers(value) if use.slot == 0)
    found = (
        _part(graph, result) for node in nodes for result in graph.results(node) if _is_used(graph, result)
    )
    return tuple(part for part in found if part.x == value)


def _is_used(graph: Graph, value: Value) -> bool:
    return bool(graph.readers(value)) or graph.is_output(value)


def with_order(edit: Edit, x: Value, order: Sequence[int]) -> Value:
    """The channels of x in order: x itself, a Slice where they are in a row, or else a Gather."""
    first, count = order[0], len(order)
    if tuple(order) != tuple(range(first, first + count)):
        return edit.add(Gather(axis=1), x, edit.constant(np.array(order, np.int64), name="order"))
    if edit.graph.type(x).dim(1) == count:
        return x
    cut = (np.array([number], np.int64) for number in (first, first + count, 1))
    return edit.add(Slice(), x, *(edit.constant(number, name="cut") for number in cut))


def _selection(graph: Graph, value: Value, x: Value, order: Iterable[int]) -> ChannelOrder:
    count = _channels(graph, x)
    return ChannelOrder(x=x, result=value, nodes=(value.node,), order=tuple(order), count=count)


def _channels(graph: Graph, value: Value | None) -> int:
    """How many channels a value has; 0 when that is not known, or too many to list."""
    kind = None if value is None else graph.type(value)
    count = kind.dim(1) if kind is not None and (kind.rank or 0) >= 2 else None
    return count if isinstance(count, int) and count <= _MOST_CHANNELS else 0


def _on_channels(graph: Graph, axis: int, value: Value) -> bool:
    return axis % (graph.type(value).rank or 1) == 1


def _gathered(graph: Graph, value: Value) -> ChannelOrder | None:
    op, (x, indices) = graph.producer(value), graph.operands(value.node)
    tensor, count = graph.constant(indices), _channels(graph, x)
    if not isinstance(op, Gather) or x is None or tensor is None or not count or len(tensor.shape) != 1:
        return None
    taken = tensor.numpy().tolist()
    if tensor.dtype.is_float:  # a broken model, left as it is
        return None
    if not _on_channels(graph, op.axis, x) or not all(-count <= index < count for index in taken):
        return None
    return _selection(graph, value, x, (index % count for index in taken))


def _sliced(graph: Graph, value: Value) -> ChannelOrder | None:
    op, (x, *numbers) = graph.producer(value), graph.operands(value.node)
    count = _channels(graph, x)
    if not isinstance(op, Slice) or x is None or not count:
        return None
    starts, ends, *rest = (None if number is None else graph.type(number) for number in numbers)
    assert starts is not None
    assert ends is not None
    cuts = op.cuts(graph.type(x), starts, ends, *rest)
    if cuts is None or set(cuts) != {1}:
        return None
    return _selection(graph, value, x, range(count)[python_slice(cuts[1], count)])


def _split_off(graph: Graph, value: Value) -> ChannelOrder | None:
    op, x = graph.producer(value), graph.operand(value.node, 0)
    sizes = [_channels(graph, piece) for piece in graph.results(value.node)]
    if not isinstance(op, Split) or x is None or not _on_channels(graph, op.axis, x) or 0 in sizes:
        return None
    begin = sum(sizes[: value.output])
    return _selection(graph, value, x, range(begin, begin + sizes[value.output]))


def _joined(graph: Graph, value: Value) -> ChannelOrder | None:
    op, operands = graph.producer(value), graph.operands(value.node)
    if not isinstance(op, Concat) or not _on_channels(graph, op.axis, value):
        return None
    parts = [_part(graph, operand) for operand in operands if operand is not None]
    if len({part.x for part in parts}) > 1 or not all(part.count for part in parts):
        return None
    nodes = dict.fromkeys(node for part in parts for node in part.nodes)
    order = tuple(channel for part in parts for channel in part.order)
    return replace(parts[0], result=value, nodes=(*nodes, value.node), order=order)


def _part(graph: Graph, value: Value) -> ChannelOrder:
    """What a Concat joins, as channels of something: of itself, when it is no piece of another value."""
    read = _PIECES.get(type(graph.producer(value)))
    found = None if read is None else read(graph, value)
    if found is not None:
        return found
    return replace(_selection(graph, value, value, range(_channels(graph, value))), nodes=())


def rearranged(graph: Graph, value: Value) -> tuple[Value, Value, Value] | None:
    """What a Reshape, a Transpose and a Reshape before ``value`` read, the last first; None for others."""
    chain = [value]
    for kind in (Reshape, Transpose, Reshape):
        source = graph.operand(chain[-1].node, 0)
        if source is None or not isinstance(graph.producer(chain[-1]), kind):
            return None
        chain.append(source)
    _, mixed, split, x = chain
    return mixed, split, x


def _shuffled(graph: Graph, value: Value) -> ChannelOrder | None:
    chain = rearranged(graph, value)
    if chain is None:
        return None
    mixed, split, x = chain
    transpose, apart = graph.producer(mixed), graph.type(split)
    sizes = _channel_axes(graph.type(x), apart)
    before, after = graph.type(x), graph.type(value)
    if sizes is None or before.dim(1) != after.dim(1) or not agree(before.shape or (), after.shape):
        return None
    assert isinstance(transpose, Transpose)
    perm, last = transpose.order(apart.rank or 0), len(sizes) + 1
    if perm[0] != 0 or perm[last:] != tuple(range(last, len(perm))):
        return None
    order = np.arange(_channels(graph, x)).reshape(sizes).transpose([axis - 1 for axis in perm[1:last]])
    nodes = tuple(step.node for step in (split, mixed, value))
    return replace(_selection(graph, value, x, order.reshape(-1).tolist()), nodes=nodes)


def _channel_axes(x: TensorType, apart: TensorType) -> tuple[int, ...] | None:
    """The sizes of the axes from 1 on that hold the channels of x; None when there are no such axes."""
    channels, sizes = x.dim(1) if x.rank else None, (apart.shape or ())[1:]
    known = [size if isinstance(size, int) else 0 for size in sizes]
    products = list(accumulate(known, mul))
    if not isinstance(channels, int) or channels not in products:
        return None
    axes = products.index(channels) + 1
    # As many elements: where the batch stays, so does the product of the spatial axes, and conversely.
    same_batch = x.dim(0) is not None and apart.dim(0) == x.dim(0)
    same_rest = None not in sizes[axes:] and sizes[axes:] == (x.shape or ())[2:]
    return tuple(known[:axes]) if same_batch or same_rest else None


def agree(expected: Sequence[Dim], found: Sequence[Dim] | None) -> bool:
    """Whether sizes are the same: of as many elements, one that is not known has no choice."""
    if found is None or len(found) != len(expected):
        return False
    unlike = [pair for pair in zip(expected, found, strict=True) if pair[0] != pair[1] or None in pair]
    return len(unlike) <= 1 and not any(isinstance(a, int) and isinstance(b, int) for a, b in unlike)


Reader = Callable[[Graph, Value], ChannelOrder | None]
_PIECES: Mapping[type[Op], Reader] = MappingProxyType({Gather: _gathered, Slice: _sliced, Split: _split_off})
_READERS: Mapping[type[Op], Reader] = MappingProxyType(
    {Gather: _gathered, Slice: _sliced, Concat: _joined, Reshape: _shuffled}
)
