"""Spell a nearest-neighbour resize by whole numbers with Unsqueeze, Expand and Reshape.

    resize_nearest(x, s)  ->  reshape(expand(unsqueeze(x), N C H s W s), N C H·s W·s)

when the source of output o is o/s rounded down, as it is asymmetric with floor and half-pixel with rounding,
which repeats every pixel s times. Only copies elements: exact. Sizes may be symbolic.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Expand, Op, Resize, Unsqueeze
from convgraph.passes.algebra.pixels import joined
from convgraph.passes.algebra.repeated import enlarged
from convgraph.passes.rewrite import Measure, Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class Resized:
    """A Resize."""

    resize: int


def resize_count(graph: Graph) -> int:
    """Measure: how many Resizes there are."""
    return sum(isinstance(graph.op(node), Resize) for node in graph.nodes())


@dataclass(frozen=True, kw_only=True)
class LowerResizeToExpand(Rewrite[Resized]):
    """Spell a nearest-neighbour resize by whole numbers with Unsqueeze, Expand and Reshape."""

    name: ClassVar[str] = "lower-resize-to-expand"
    roots: ClassVar[tuple[type[Op], ...]] = (Resize,)
    lowers: ClassVar[tuple[type[Op], ...]] = (Resize,)
    measure: ClassVar[Measure] = staticmethod(resize_count)

    def find(self, graph: Graph, node: int) -> Resized | None:
        """A Resize that copies elements."""
        op = graph.op(node)
        return Resized(resize=node) if isinstance(op, Resize) and op.mode == "nearest" else None

    @requirement
    def it_repeats_pixels(self, graph: Graph, m: Resized) -> bool:
        """Each pixel is repeated a known, whole number of times along the spatial axes."""
        return enlarged(graph, Value(m.resize, 0)) is not None

    def apply(self, edit: Edit, m: Resized) -> None:
        """Repeat along an axis of its own, then join."""
        result = Value(m.resize, 0)
        source = enlarged(edit.graph, result)
        assert source is not None
        block = source.times
        sizes = [edit.graph.type(source.image).dim(2 + axis) for axis in range(len(block))]
        places = np.arange(3, 3 + 2 * len(block), 2)
        repeats = np.ones(2 + 2 * len(block), dtype=np.int64)
        repeats[places] = block
        apart = edit.add(Unsqueeze(), source.image, edit.constant(places.astype(np.int64)))
        wide = edit.add(Expand(), apart, edit.constant(repeats))
        edit.replace(result, joined(edit, wide, sizes=sizes, block=block))
