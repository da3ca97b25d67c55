"""Crop rows, columns and planes of zeros off the edges of a convolution's kernel.

    conv(x, W, b; pads p, q)  ->  conv(x, W[l : k−r], b; pads p − l·d, q − r·d)

on each spatial axis, when the first l and the last r of its k taps are zero in every channel; d is the
dilation. Masked convolutions (PixelCNN), causal ones and blurs padded to a square kernel have such taps, and
transposed convolutions, for which the same holds: an interpolation kernel padded to an even size. No more is
cropped than the padding covers; of a kernel of nothing but zeros one tap stays. Exact: what goes are products
with zero, of finite inputs.

Source: van den Oord et al., Conditional Image Generation with PixelCNN Decoders (2016), 2.2, which crops the
kernels of its vertical and horizontal stacks by hand.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.constant_weight import weight_at
from convgraph.passes.algebra.outer_taps import CropOuterTaps, IdleTaps, known_pads
from convgraph.passes.rewrite import requirement


@dataclass(frozen=True, kw_only=True)
class CropDeadTaps(CropOuterTaps[IdleTaps]):
    """Crop rows, columns and planes of zeros off the edges of a convolution's kernel."""

    name: ClassVar[str] = "crop-dead-taps"

    def find(self, graph: Graph, node: int) -> IdleTaps | None:
        """A convolution whose weight has zeros all along an edge."""
        array = weight_at(graph, node)
        if array is None or max(array.shape[2:], default=1) == 1 or not array.size:
            return None
        alive = _alive(array)
        counts = [_dead_ends(alive, axis=axis) for axis in range(alive.ndim)]
        begins, ends = (tuple(side) for side in zip(*counts, strict=True))
        return IdleTaps(conv=node, begins=begins, ends=ends) if any((*begins, *ends)) else None

    @requirement
    def the_pads_are_known(self, graph: Graph, m: IdleTaps) -> bool:
        """The padding is given as numbers or follows from sizes that are known, and only takes away."""
        pads = known_pads(graph, m.conv)
        # What a transposed convolution's ``output_shape`` adds beyond the last pixel no pads can say.
        return pads is not None and (min(pads) >= 0 or isinstance(graph.op(m.conv), Conv))


def _alive(weight: Array) -> Array:
    """Which taps of the kernel are not zero in every channel."""
    first: Array = (weight[0] != 0).any(axis=0)  # most often all: the rest need not be read
    every: Array = first if first.all() else (weight != 0).any(axis=(0, 1))
    return every


def _dead_ends(alive: Array, *, axis: int) -> tuple[int, int]:
    """How many slices at the begin and at the end of an axis are dead; not counting one that must stay."""
    along = np.flatnonzero(alive.any(axis=tuple(other for other in range(alive.ndim) if other != axis)))
    last = alive.shape[axis] - 1
    return (last, last) if not along.size else (int(along[0]), last - int(along[-1]))
