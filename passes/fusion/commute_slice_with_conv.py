"""Cut what a convolution reads in the place of what it makes.

    conv(x, W, b; pads p, q)[l : −r]  ->  conv(x[l·s − p : q − r·s], W, b; no pads at these ends)

on each spatial axis, s being the stride; where the padding covers what is cut off, l·s ≤ p or r·s ≤ q, it
shrinks and nothing is cut off x at that end. The convolution has less to do; the Slice, now of x, must not
have more. Exact: what stays is computed as before, from the same elements. A stack that must not see the
current row is shifted so (van den Oord et al., Conditional Image Generation with PixelCNN Decoders, 2016,
2.2).
"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from convgraph.analysis.cost import graph_cost
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Conv, Slice
from convgraph.ir.ops.layout import FAR
from convgraph.passes.fusion.after_convolution import convolution
from convgraph.passes.fusion.sliced import SlicedConv, TakeFromConvolution, least, least_left
from convgraph.passes.rewrite import Measure, requirement


def traffic(graph: Graph) -> int:
    """Measure: bytes read and written, by the convolution and by the Slice alike."""
    return graph_cost(graph).bytes


@dataclass(frozen=True, kw_only=True)
class CommuteSliceWithConv(TakeFromConvolution):
    """Cut what a convolution reads in the place of what it makes."""

    name: ClassVar[str] = "commute-slice-with-conv"
    measure: ClassVar[Measure] = staticmethod(traffic)

    def find(self, graph: Graph, node: int) -> SlicedConv | None:
        """A Slice that takes more off a Conv's result than its padding makes."""
        m = super().find(graph, node)
        covered = m is None or (m.pads is not None and min(m.pads) >= 0)
        return None if m is None or covered or not isinstance(graph.op(m.conv), Conv) else m

    @requirement
    def something_is_left(self, graph: Graph, m: SlicedConv) -> bool:
        """Whatever the sizes left open, an axis that is cut keeps an element, of x and of the result."""
        return m.pads is None or min((*least_left(graph, m), *_least_read(graph, m))) > 0

    @requirement
    def the_slice_gets_smaller(self, graph: Graph, m: SlicedConv) -> bool:
        """What is taken of x is less than what the convolution makes to be cut."""
        if m.pads is None:
            return True
        made = graph.type(Value(m.conv, 0)).shape or ()
        x = graph.operand(m.conv, 0)
        assert x is not None
        taken = least(graph.type(x).dim(1)) * math.prod(_least_read(graph, m))
        return taken < math.prod(least(dim) for dim in made[1:])

    def apply(self, edit: Edit, m: SlicedConv) -> None:
        """Put a Slice, and a convolution of it, in the place of both."""
        assert m.pads is not None
        x, *operands = edit.graph.operands(m.conv)
        rank = len(m.pads) // 2
        axes = [axis for axis in range(rank) if min(m.pads[axis], m.pads[axis + rank]) < 0]
        starts = [max(-m.pads[axis], 0) for axis in axes]
        ends = [min(m.pads[axis + rank], 0) or FAR for axis in axes]
        numbers = {"starts": starts, "ends": ends, "axes": [axis + 2 for axis in axes]}
        constants = [edit.constant(np.array(column, np.int64), name=n) for n, column in numbers.items()]
        taken = edit.add(Slice(), x, *constants, like=m.result.node)
        pads = tuple(max(pad, 0) for pad in m.pads)
        op = replace(convolution(edit.graph, m.conv), pads=pads, auto_pad="NOTSET")
        edit.replace(m.result, edit.add(op, taken, *operands, like=m.conv))


def _least_read(graph: Graph, m: SlicedConv) -> list[int]:
    """How many elements of x are read at least along each spatial axis."""
    x = graph.operand(m.conv, 0)
    assert x is not None
    assert m.pads is not None
    rank = len(m.pads) // 2
    return [
        least(graph.type(x).dim(2 + axis)) + min(m.pads[axis], 0) + min(m.pads[axis + rank], 0)
        for axis in range(rank)
    ]
