"""Drop outer taps of a convolution that never see anything but padding.

    conv(x, W, b; pads p, q)  ->  conv(x, W[l : k−r], b; pads p − l·d, q − r·d)

on each spatial axis, when for the first l and the last r of its k taps j every position o·s + j·d − p lies
outside the input; s is the stride, d the dilation, o runs over the output. A dilation of the input's size
(atrous spatial pyramids on small maps) leaves 1×1 of 3×3. Exact: what goes are products with the padding's
zeros, of finite weights. Sizes must be static on the axis.
"""

from dataclasses import dataclass
from itertools import takewhile
from typing import ClassVar

from convgraph.ir.graph import Graph
from convgraph.passes.algebra.outer_taps import CropOuterTaps, IdleTaps, convolution, known_pads


@dataclass(frozen=True, kw_only=True)
class DropTapsThatSeePadding(CropOuterTaps[IdleTaps]):
    """Drop outer taps of a convolution that never see anything but padding."""

    name: ClassVar[str] = "drop-taps-that-see-padding"

    def find(self, graph: Graph, node: int) -> IdleTaps | None:
        """A convolution with taps beyond the input at every output position."""
        weight, pads = graph.operand(node, 1), known_pads(graph, node)
        shape = None if weight is None else graph.type(weight).static_shape
        if shape is None or pads is None:
            return None
        counts = [
            _outside(graph, node, axis=axis, taps=size, pad=pads[axis]) for axis, size in enumerate(shape[2:])
        ]
        begins, ends = (tuple(side) for side in zip(*counts, strict=True))
        return IdleTaps(conv=node, begins=begins, ends=ends) if any((*begins, *ends)) else None


def _outside(graph: Graph, node: int, *, axis: int, taps: int, pad: int) -> tuple[int, int]:
    """How many taps at the begin and at the end of an axis never fall inside the input."""
    op, x = convolution(graph, node), graph.operand(node, 0)
    assert x is not None
    size, out = graph.type(x).dim(2 + axis), graph.type(graph.results(node)[0]).dim(2 + axis)
    if not isinstance(size, int) or not isinstance(out, int) or taps == 1:
        return 0, 0
    places = [place * op.strides[axis] - pad for place in range(out)]
    idle = [all(not 0 <= place + tap * op.dilations[axis] < size for place in places) for tap in range(taps)]
    return sum(1 for _ in takewhile(bool, idle)), sum(1 for _ in takewhile(bool, reversed(idle)))
