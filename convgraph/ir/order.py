"""The order of a graph's nodes: each after what it reads, otherwise as the model lists them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import networkx as nx


class Made(Protocol):
    """A value, by the node that makes it."""

    @property
    def node(self) -> int:
        """The node that makes it."""


Listed = Callable[[int], tuple[int, ...]]


def ordered(
    graph: "nx.MultiDiGraph[int]", *, listed: Listed, operands: Mapping[int, Sequence[Made | None]]
) -> tuple[int, ...]:
    """The first in the order of ``listed`` whose operands are all there, again and again.

    Where the list is such an order already, which it nearly always is, that is all there is to do. Raises
    ``networkx.NetworkXUnfeasible`` when the graph has a cycle.
    """
    nodes = sorted(graph, key=listed)
    seen: set[int] = set()
    for node in nodes:
        seen.add(node)
        if any(value is not None and value.node not in seen for value in operands[node]):
            return tuple(nx.lexicographical_topological_sort(graph, key=listed))
    return tuple(nodes)
