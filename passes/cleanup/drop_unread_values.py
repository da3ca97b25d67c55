"""Drop operations and constants that nothing reads.

    y = f(x), y unread and not returned  ->  (nothing)

Exact: ONNX operations have no effect but their results. Graph inputs stay, read or not: they are the
interface.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Input, Op
from convgraph.passes.rewrite import Measure, Rewrite, node_count, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A node none of whose results is read or returned."""

    node: int


@dataclass(frozen=True, kw_only=True)
class DropUnreadValues(Rewrite[Unread]):
    """Drop operations and constants that nothing reads."""

    name: ClassVar[str] = "drop-unread-values"
    roots: ClassVar[tuple[type[Op], ...]] = (Op,)
    measure: ClassVar[Measure] = staticmethod(node_count)

    def find(self, graph: Graph, node: int) -> Unread | None:
        """A node that nothing reads."""
        return Unread(node=node) if graph.is_unread(node) else None

    @requirement
    def it_is_no_graph_input(self, graph: Graph, m: Unread) -> bool:
        """It is not a graph input, which a caller supplies whether it is read or not."""
        return not isinstance(graph.op(m.node), Input)

    def apply(self, edit: Edit, m: Unread) -> None:
        """Erase the node; what it alone read goes with it."""
        edit.erase(m.node)
