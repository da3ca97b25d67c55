"""Put a constant in the place of sizes picked out of a shape, where these, if not all, are known.

    shape(x)[i] -> c        where dimension i of x is a number for each i asked for

Exact: a runtime holds the graph to its declared types. A network of an open batch that reshapes by sizes it
has measured knows all of them but one.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Gather, Op, Slice
from convgraph.passes.cleanup.measured_sizes import Sizes, measured_sizes
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class PickedSizes:
    """What picks sizes out of a shape, and these, numbers or not."""

    result: Value
    sizes: Sizes


@dataclass(frozen=True, kw_only=True)
class FoldStaticDimensions(Rewrite[PickedSizes]):
    """Put a constant in the place of sizes picked out of a shape, where these, if not all, are known."""

    name: ClassVar[str] = "fold-static-dimensions"
    roots: ClassVar[tuple[type[Op], ...]] = (Gather, Slice)

    def find(self, graph: Graph, node: int) -> PickedSizes | None:
        """A Gather or a Slice, by constant numbers, of a Shape."""
        sizes = measured_sizes(graph, Value(node, 0))
        return None if sizes is None else PickedSizes(result=Value(node, 0), sizes=sizes)

    @requirement
    def the_sizes_are_numbers(self, graph: Graph, m: PickedSizes) -> bool:
        """Every dimension it picks is a number, not a symbol or unknown."""
        return all(isinstance(size, int) for size in m.sizes)

    def apply(self, edit: Edit, m: PickedSizes) -> None:
        """Put the sizes in the place of the pick."""
        shape = edit.graph.type(m.result).static_shape
        sizes = np.array(m.sizes, np.int64)
        edit.replace(m.result, edit.constant(sizes if shape is None else sizes.reshape(shape), name="folded"))
