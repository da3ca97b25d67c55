"""Rearranging pixels with operations that every device has: reshape, transpose, slice.

Sizes may be symbolic. One Reshape can leave a single size to be worked out (-1) and copy others only from the
same place (0), so where two spatial sizes are unknown the axes are split and joined one after the other.
"""

import math
from collections.abc import Sequence
from itertools import chain

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Value
from convgraph.ir.ops import Reshape, Slice, Squeeze, Transpose, Unsqueeze
from convgraph.ir.tensor import Dim

END = 2**63 - 1  # Slice's "to the end"


def interleaved(edit: Edit, x: Value, *, block: Sequence[int], block_first: bool) -> Value:
    """Channels become pixels: x (N, C·Πb, *D) -> (N, C, *(D·b)), b the block's size on each axis.

    A channel's number reads (channel, *place in the block), or with ``block_first`` (*place, channel). The
    number of channels must be known.
    """
    rank, sizes = len(block), _sizes(edit, x, len(block))
    whole = edit.graph.type(x).dim(1)
    assert isinstance(whole, int)
    channels = whole // math.prod(block)
    split = (*block, channels) if block_first else (channels, *block)
    if _unknown(sizes) <= 1:
        apart = _reshaped(edit, x, (0, *split, *map(_or_rest, sizes)))
    else:
        wide = edit.add(Unsqueeze(), x, _numbers(edit, range(2, 2 + rank)))
        apart = _reshaped(edit, wide, (0, *split, *[0] * rank))
    first = 1 if block_first else 2
    places = chain.from_iterable((2 + rank + axis, first + axis) for axis in range(rank))
    perm = (0, 1 + rank if block_first else 1, *places)
    return joined(edit, edit.add(Transpose(perm=perm), apart), sizes=sizes, block=block)


def joined(edit: Edit, x: Value, *, sizes: Sequence[Dim], block: Sequence[int]) -> Value:
    """Each spatial axis and the block's axis after it become one: x (N, C, D, b, …) -> (N, C, D·b, …)."""
    if _unknown(sizes) <= 1:
        longer = [d * b if isinstance(d, int) else -1 for d, b in zip(sizes, block, strict=True)]
        return _reshaped(edit, x, (0, 0, *longer))
    for axis, factor in enumerate(block):
        if factor > 1:
            shape = [0] * (2 + 2 * len(block))
            shape[2 + 2 * axis : 4 + 2 * axis] = [-1, 1]
            x = _reshaped(edit, x, shape)
    return edit.add(Squeeze(), x, _numbers(edit, range(3, 3 + 2 * len(block), 2)))


def cropped(edit: Edit, x: Value, *, begins: Sequence[int], ends: Sequence[int]) -> Value:
    """X without so many elements at the begin and the end of each spatial axis; x itself for none."""
    axes = [axis for axis, cut in enumerate(zip(begins, ends, strict=True)) if any(cut)]
    if not axes:
        return x
    starts = _numbers(edit, [begins[axis] for axis in axes])
    stops = _numbers(edit, [-ends[axis] or END for axis in axes])
    return edit.add(Slice(), x, starts, stops, _numbers(edit, [2 + axis for axis in axes]))


def _sizes(edit: Edit, x: Value, rank: int) -> list[Dim]:
    return [edit.graph.type(x).dim(2 + axis) for axis in range(rank)]


def _unknown(sizes: Sequence[Dim]) -> int:
    return sum(not isinstance(size, int) for size in sizes)


def _or_rest(size: Dim) -> int:
    return size if isinstance(size, int) else -1


def _reshaped(edit: Edit, x: Value, shape: Sequence[int]) -> Value:
    return edit.add(Reshape(), x, _numbers(edit, shape))


def _numbers(edit: Edit, numbers: Sequence[int]) -> Value:
    return edit.constant(np.asarray(numbers, dtype=np.int64))
