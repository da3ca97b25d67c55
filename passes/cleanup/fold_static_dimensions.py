"""Put a constant in the place of what is calculated from sizes, where it is known though not all of them are.

    shape(x)[i] -> c        where dimension i of x is a number for each i asked for
    2·n / n -> 2        n − n -> 0        n == −1 -> false        for a size n that may be any

Exact: a runtime holds the graph to its declared types, and no size is negative. A network of an open batch
that reshapes by sizes it has measured knows all of them but one.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Div, Equal, Gather, Op, Slice, Sub
from convgraph.passes.cleanup.measured_sizes import Sizes, measured_sizes
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class PickedSizes:
    """What picks or calculates sizes, and these, numbers or not."""

    result: Value
    sizes: Sizes


@dataclass(frozen=True, kw_only=True)
class FoldStaticDimensions(Rewrite[PickedSizes]):
    """Put a constant in the place of what is calculated from sizes, where it is known though not all are."""

    name: ClassVar[str] = "fold-static-dimensions"
    roots: ClassVar[tuple[type[Op], ...]] = (Div, Equal, Gather, Slice, Sub)

    def find(self, graph: Graph, node: int) -> PickedSizes | None:
        """A few elements, of a shape or calculated, of which not all are unknown."""
        sizes = measured_sizes(graph, Value(node, 0)) or ()
        is_told = any(size is not None for size in sizes) and not graph.is_unread(node)
        return PickedSizes(result=Value(node, 0), sizes=sizes) if is_told else None

    @requirement
    def the_sizes_are_numbers(self, graph: Graph, m: PickedSizes) -> bool:
        """Every size it picks is a number, not a symbol or unknown."""
        return all(isinstance(size, (int, float)) for size in m.sizes)

    def apply(self, edit: Edit, m: PickedSizes) -> None:
        """Put the sizes in the place of the pick."""
        kind = edit.graph.type(m.result)
        shape, sizes = kind.static_shape, np.array(m.sizes, kind.dtype.numpy)
        edit.replace(m.result, edit.constant(sizes if shape is None else sizes.reshape(shape), name="folded"))
