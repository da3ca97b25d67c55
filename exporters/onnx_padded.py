"""Pads and the pools that read them, written so that they stay two operations.

onnxruntime takes a Pad of zeros over into the pool that reads it. For a MaxPool this is another function, as
its padding never wins over an element; a pool whose pads reach the size of its window does not load; and one
that rounds its size up drops a window that starts in its padding. It leaves a Pad alone that names its axes,
from opset 18 on, and a pool that has its pads by a rule.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

import numpy as np

from convgraph.exporters.onnx_place import NOTHING, Place, Ref
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops.layout import Pad
from convgraph.ir.ops.pool import AveragePool, MaxPool, Pool
from convgraph.ir.tensor import Array, DataType

_AXES_SINCE = 18


class Apart(Enum):
    """How a Pad and a pool are kept apart."""

    BY_RULE = auto()
    """The pool has no pads, which it says as the rule VALID."""
    BY_AXES = auto()
    """The Pad names its axes."""
    BY_GROWING = auto()
    """The Pad adds the pool's zeros as well; then as by rule."""
    BY_ANOTHER = auto()
    """A Pad with another number adds what the pool does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaddedPool:
    """A pool that reads what a Pad of zeros makes, and what the Pad adds to every axis, begins first."""

    pool: MaxPool | AveragePool
    added: tuple[int, ...]


def padded_pool(graph: Graph, node: int) -> PaddedPool | None:
    """The pool at a node if the only value it reads is one that a Pad of zeros makes for it alone."""
    op, x = graph.op(node), graph.operand(node, 0)
    if not isinstance(op, (MaxPool, AveragePool)) or x is None or graph.sole_reader(x) is None:
        return None
    pad, operands = graph.producer(x), graph.operands(x.node)
    if not isinstance(pad, Pad) or pad.mode != "constant" or len(operands) > 3 or operands[0] is None:
        return None
    fill = graph.constant(operands[2]) if len(operands) == 3 else None
    zero = len(operands) < 3 or operands[2] is None or (fill is not None and not fill.numpy().any())
    pads = operands[1]
    amounts = None if pads is None else pad.amounts(graph.type(operands[0]), graph.type(pads))
    if not zero or amounts is None or len(amounts) != op.spatial_rank + 2:
        return None
    added = tuple(amount[end] for end in (0, 1) for amount in amounts)
    return PaddedPool(pool=op, added=added)


def kept_apart(graph: Graph, node: int, *, opset: int) -> Apart | None:
    """How the pool at a node is kept apart from the Pad that it reads; None where nothing need be done."""
    found = padded_pool(graph, node)
    if found is None or not _is_mistaken(found):
        return None
    pool = found.pool
    if not any(pool.pads) and not _rounds_up(pool):
        return Apart.BY_RULE
    if opset >= _AXES_SINCE:
        return Apart.BY_AXES
    dtype = graph.type(Value(node, 0)).dtype
    if _rounds_up(pool) or dtype is DataType.UNDEFINED:
        return None
    adds_zeros = isinstance(pool, AveragePool) or dtype.numpy.kind == "u"
    return Apart.BY_GROWING if adds_zeros else Apart.BY_ANOTHER


def _is_mistaken(found: PaddedPool) -> bool:
    """Whether onnxruntime takes the Pad over, and makes another function of the pool."""
    pool, rank = found.pool, found.pool.spatial_rank
    counts = isinstance(pool, MaxPool) or pool.count_include_pad == 1 or not any(pool.pads)
    spatial = (*found.added[2 : 2 + rank], *found.added[4 + rank :])
    only_spatial = sum(found.added) == sum(spatial) > 0 and min(found.added) >= 0
    if pool.auto_pad != "NOTSET" or not counts or not only_spatial:
        return False
    sums = (amount + own for amount, own in zip(spatial, pool.pads, strict=True))
    wide = any(total >= size for total, size in zip(sums, pool.kernel_shape * 2, strict=True))
    return wide or isinstance(pool, MaxPool) or _rounds_up(pool)


def _rounds_up(pool: Pool) -> bool:
    return bool(pool.ceil_mode) and max(pool.strides) > 1


def unpadded(pool: Pool, how: Apart) -> Pool:
    """The same window on what has its pads already."""
    bare = replace(pool, pads=(0,) * len(pool.pads))
    return bare if how is Apart.BY_ANOTHER else replace(bare, auto_pad="VALID", ceil_mode=0)


def padding(place: Place, operands: Sequence[Ref]) -> Sequence[Ref]:
    """The operands of a Pad as they are written, for the sake of the pool that reads it."""
    pools = [use.node for use in place.graph.readers(Value(place.node, 0))]
    how = kept_apart(place.graph, pools[0], opset=place.opset) if len(pools) == 1 else None
    found = padded_pool(place.graph, pools[0]) if how in (Apart.BY_AXES, Apart.BY_GROWING) else None
    if found is None:
        return operands
    stem = place.graph.value_name(Value(place.node, 0)) or "pad"
    if how is Apart.BY_AXES:
        axes = place.constant(_indices(range(len(found.added) // 2)), stem=f"{stem}_axes", shared=True)
        return [*operands, *[NOTHING] * (3 - len(operands)), axes]
    place.absorbed.update(slot for slot in (operands[1].slot,) if slot is not None)
    place.another = place.fresh(f"{stem}_padded")
    both = [one + other for one, other in zip(found.added, _of_all_axes(found.pool), strict=True)]
    pads = place.constant(_indices(both), stem=f"{stem}_pads", shared=True)
    return [operands[0], pads, *operands[2:]]


def pads_apart(place: Place, pool: Pool, x: Ref) -> list[Ref]:
    """The operands of a Pad that adds to x what a MaxPool leaves out."""
    assert x.type is not None
    dtype = x.type.dtype
    lowest = -np.inf if dtype.is_float else np.iinfo(dtype.numpy).min
    pads = place.constant(_indices(_of_all_axes(pool)), stem=f"{x.name}_pads", shared=True)
    fill = np.asarray(lowest, dtype=dtype.numpy)
    return [x, pads, place.constant(fill, stem=f"{x.name}_lowest", shared=True)]


def _of_all_axes(pool: Pool) -> list[int]:
    """The pads of a pool as a Pad has them."""
    rank = pool.spatial_rank
    return [0, 0, *pool.pads[:rank], 0, 0, *pool.pads[rank:]]


def _indices(numbers: Iterable[int]) -> Array:
    return np.array(list(numbers), dtype=np.int64)
