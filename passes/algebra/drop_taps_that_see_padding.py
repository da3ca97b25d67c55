"""Drop outer taps of a convolution that never see anything but padding.

    conv(x, W, b; pads p, q)  ->  conv(x, W[l : k−r], b; pads p − l·d, q − r·d)

on each spatial axis, when for the first l and the last r of its k taps j every position o·s + j·d − p lies
outside the input; s is the stride, d the dilation, o runs over the output. A dilation of the input's size
(atrous spatial pyramids on small maps) leaves 1×1 of 3×3. Likewise of a transposed convolution, when every
position i·s + j·d − p, i running over the input, lies outside the output: of the 4×4 taps of stride 2 that a
generator starts with on a single pixel, 2×2 are left. Exact: what goes are products with the padding's zeros,
of finite weights, or what the padding takes away. Sizes must be static on the axis.
"""

from dataclasses import dataclass
from itertools import takewhile
from typing import ClassVar

from convgraph.ir.graph import Graph
from convgraph.ir.ops import ConvTranspose
from convgraph.passes.algebra.constant_weight import convolution
from convgraph.passes.algebra.outer_taps import CropOuterTaps, IdleTaps, known_pads


@dataclass(frozen=True, kw_only=True)
class DropTapsThatSeePadding(CropOuterTaps[IdleTaps]):
    """Drop outer taps of a convolution that never see anything but padding."""

    name: ClassVar[str] = "drop-taps-that-see-padding"

    def find(self, graph: Graph, node: int) -> IdleTaps | None:
        """A convolution with taps beyond the input at every output position, or the other way round."""
        weight, pads = graph.operand(node, 1), known_pads(graph, node)
        shape = None if weight is None else graph.type(weight).static_shape
        if shape is None or not pads or min(pads) < 0:
            return None
        counts = [
            _outside(graph, node, axis=axis, taps=size, pad=pads[axis]) for axis, size in enumerate(shape[2:])
        ]
        begins, ends = (tuple(side) for side in zip(*counts, strict=True))
        return IdleTaps(conv=node, begins=begins, ends=ends) if any((*begins, *ends)) else None


def _outside(graph: Graph, node: int, *, axis: int, taps: int, pad: int) -> tuple[int, int]:
    """How many taps at the begin and at the end of an axis never meet input and output at once."""
    op, x = convolution(graph, node), graph.operand(node, 0)
    assert x is not None
    size, out = graph.type(x).dim(2 + axis), graph.type(graph.results(node)[0]).dim(2 + axis)
    if not isinstance(size, int) or not isinstance(out, int) or taps == 1:
        return 0, 0
    near, far = (size, out) if isinstance(op, ConvTranspose) else (out, size)
    shifts = (tap * op.dilations[axis] - pad for tap in range(taps))
    idle = [not _meet(near, far, step=op.strides[axis], shift=shift) for shift in shifts]
    return sum(1 for _ in takewhile(bool, idle)), sum(1 for _ in takewhile(bool, reversed(idle)))


def _meet(near: int, far: int, *, step: int, shift: int) -> bool:
    """Whether place * step + shift lies on the far side for any place on the near one."""
    first = max(0, -(shift // step))  # the first place at 0 or beyond
    return first < near and first * step + shift < far
