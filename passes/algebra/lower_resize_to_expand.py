"""Spell a nearest-neighbour resize by whole numbers with Unsqueeze, Expand and Reshape.

    resize_nearest(x, s)  ->  reshape(expand(unsqueeze(x), N C H s W s), N C H·s W·s)

when the source of output o is o/s rounded down, which repeats every pixel s times. Only copies elements:
exact. Sizes may be symbolic.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Expand, Op, Resize, Unsqueeze
from convgraph.passes.algebra.pixels import joined
from convgraph.passes.rewrite import Measure, Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class Enlargement:
    """A Resize to larger spatial sizes by scales that are known, one for each axis of x."""

    x: Value
    op: Resize
    scales: tuple[float, ...]
    result: Value


def _resize_count(graph: Graph) -> int:
    return sum(isinstance(graph.op(node), Resize) for node in graph.nodes())


@dataclass(frozen=True, kw_only=True)
class LowerResizeToExpand(Rewrite[Enlargement]):
    """Spell a nearest-neighbour resize by whole numbers with Unsqueeze, Expand and Reshape."""

    name: ClassVar[str] = "lower-resize-to-expand"
    roots: ClassVar[tuple[type[Op], ...]] = (Resize,)
    lowers: ClassVar[tuple[type[Op], ...]] = (Resize,)
    measure: ClassVar[Measure] = staticmethod(_resize_count)

    def find(self, graph: Graph, node: int) -> Enlargement | None:
        """A Resize of every axis by scales that are known."""
        op, x, scales = graph.op(node), graph.operand(node, 0), graph.operand(node, 2)
        factors = None if scales is None else graph.type(scales).floats
        if x is None or not factors or len(factors) < 3 or not isinstance(op, Resize):
            return None
        if op.axes is not None or graph.constant(scales) is None:
            return None
        return Enlargement(x=x, op=op, scales=factors, result=Value(node, 0))

    @requirement
    def it_copies_the_pixel_before(self, graph: Graph, m: Enlargement) -> bool:
        """Each output pixel is a copy of the one at its position divided by the scale, rounded down."""
        rounding = (m.op.mode, m.op.coordinate_transformation_mode, m.op.nearest_mode)
        return rounding == ("nearest", "asymmetric", "floor")

    @requirement
    def the_scales_are_whole(self, graph: Graph, m: Enlargement) -> bool:
        """The scales are whole numbers."""
        return all(scale.is_integer() for scale in m.scales)

    @requirement
    def only_spatial_axes_grow(self, graph: Graph, m: Enlargement) -> bool:
        """The batch and the channels keep their size."""
        return m.scales[:2] == (1.0, 1.0)

    def apply(self, edit: Edit, m: Enlargement) -> None:
        """Repeat along an axis of its own, then join."""
        block = [int(scale) for scale in m.scales[2:]]
        sizes = [edit.graph.type(m.x).dim(2 + axis) for axis in range(len(block))]
        places = np.arange(3, 3 + 2 * len(block), 2)
        repeats = np.ones(2 + 2 * len(block), dtype=np.int64)
        repeats[places] = block
        apart = edit.add(Unsqueeze(), m.x, edit.constant(places.astype(np.int64)))
        wide = edit.add(Expand(), apart, edit.constant(repeats))
        edit.replace(m.result, joined(edit, wide, sizes=sizes, block=block))
