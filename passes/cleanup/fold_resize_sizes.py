"""Resize by constant scales instead of to computed sizes, where these are multiples of what there is.

    resize(x; sizes concat(n, c, k·h, l·w))  ->  resize(x; scales [1, 1, k, l])        x (n, c, h, w)

Exact: a runtime derives the same scales from the sizes. Exporters measure x while the model runs, and
multiply its height and width there, where they are open.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Constant, Input, Op, Resize
from convgraph.ir.tensor import Dim
from convgraph.passes.cleanup.measured_sizes import Sizes, measured_sizes
from convgraph.passes.cleanup.size_arithmetic import multiple
from convgraph.passes.rewrite import Measure, Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputedSizes:
    """A Resize, the sizes of the axes it speaks of, and those it makes of them."""

    node: int
    before: tuple[Dim, ...]
    after: Sizes


def computed_sizes(graph: Graph) -> int:
    """Measure: how many Resizes have sizes that are not constant."""
    resizes = (node for node in graph.compute_nodes() if isinstance(graph.op(node), Resize))
    sizes = (graph.operand(node, 3) for node in resizes)
    return sum(value is not None and graph.constant(value) is None for value in sizes)


@dataclass(frozen=True, kw_only=True)
class FoldResizeSizes(Rewrite[ComputedSizes]):
    """Resize by constant scales instead of to computed sizes, where these are multiples of what there is."""

    name: ClassVar[str] = "fold-resize-sizes"
    roots: ClassVar[tuple[type[Op], ...]] = (Resize,)
    measure: ClassVar[Measure] = staticmethod(computed_sizes)

    def find(self, graph: Graph, node: int) -> ComputedSizes | None:
        """A Resize to sizes that are computed, of axes whose number is known."""
        op, x, sizes = graph.op(node), graph.operand(node, 0), graph.operand(node, 3)
        if not isinstance(op, Resize) or x is None or sizes is None:
            return None
        shape = graph.type(x).shape
        if shape is None or isinstance(graph.producer(sizes), (Constant, Input)):
            return None
        before = tuple(shape[axis] for axis in op.resized_axes(len(shape)))
        after = measured_sizes(graph, sizes) or ()
        return ComputedSizes(node=node, before=before, after=after) if len(after) == len(before) else None

    @requirement
    def the_sizes_are_taken_as_they_are(self, graph: Graph, m: ComputedSizes) -> bool:
        """No policy changes them to keep the aspect ratio."""
        return _resize(graph, m).keep_aspect_ratio_policy == "stretch"

    @requirement
    def each_size_is_a_multiple(self, graph: Graph, m: ComputedSizes) -> bool:
        """Each size stays what it is, or is a whole number of times as large."""
        return all(multiple(*pair) is not None for pair in zip(m.after, m.before, strict=True))

    def apply(self, edit: Edit, m: ComputedSizes) -> None:
        """Put a Resize by the multiples in its place."""
        x, roi, *_ = edit.graph.operands(m.node)
        multiples = [multiple(*pair) or 0 for pair in zip(m.after, m.before, strict=True)]
        scales = edit.constant(np.asarray(multiples, np.float32), name="scales")
        edit.replace(Value(m.node, 0), edit.add(_resize(edit.graph, m), x, roi, scales, like=m.node))


def _resize(graph: Graph, m: ComputedSizes) -> Resize:
    op = graph.op(m.node)
    assert isinstance(op, Resize)
    return op
