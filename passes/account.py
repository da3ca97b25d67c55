"""What one application of a rewrite takes from a graph and puts into it: operations by name, and their costs.

Where an operation is called by its result and that gets another name, the operation counts as taken under the
old name and made under the new one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from convgraph.analysis.at_load import computed_at_load
from convgraph.analysis.census import node_name
from convgraph.analysis.cost import NOTHING, node_cost
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Constant, Input


class Account:
    """The account of one application, which is made through ``edit``; ``path`` leads to the graph's body."""

    def __init__(self, graph: Graph, *, near: int, sizes: Mapping[str, int], path: str) -> None:
        self.edit = Edit(graph, near=near, on_erase=self._erased)
        self._graph, self._sizes, self._path = graph, sizes, path
        self._start = graph.next_order
        self._before = NOTHING
        self._took: list[str] = []

    def closed(self) -> dict[str, Any]:
        """What an ``Application`` says of it, once the edit is done."""
        graph, former = self._graph, self.edit.former
        fresh = range(self._start, graph.next_order)
        added = [node for node in fresh if node in graph and _computes(graph, node)]
        kept = (node for node in former if node in graph and node < self._start)
        renamed = [node for node in kept if _computes(graph, node) and not graph.info(node).name]
        took = (*self._took, *(self._path + former[node] for node in renamed))
        made = [*added, *renamed]
        loaded = computed_at_load(graph, added)
        ran = (node for node in added if node not in loaded)
        after = sum((node_cost(graph, node, sizes=self._sizes) for node in ran), NOTHING)
        return {"before": self._before, "after": after, "took": took, "made": self._names(made)}

    def _erased(self, node: int) -> None:
        if _computes(self._graph, node):
            self._before += node_cost(self._graph, node, sizes=self._sizes)
            name = node_name(self._graph, node)
            nameless = name == f"#{node}"
            self._took.append(self._path + (self.edit.former.get(node, name) if nameless else name))

    def _names(self, nodes: Sequence[int]) -> tuple[str, ...]:
        """What nodes are called, their results too where several go by one name: a file cannot have that."""
        names = [node_name(self._graph, node) for node in nodes]
        shared = [node for node, name in zip(nodes, names, strict=True) if names.count(name) > 1]
        results = [self._graph.value_name(Value(node, 0)) for node in shared]
        return tuple(dict.fromkeys(self._path + name for name in (*names, *filter(None, results))))


def _computes(graph: Graph, node: int) -> bool:
    return not isinstance(graph.op(node), (Constant, Input))
