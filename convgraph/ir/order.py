"""The order of a graph's nodes: each after what it reads, otherwise as the model lists them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Protocol

import networkx as nx


class Made(Protocol):
    """A value, by the node that makes it."""

    @property
    def node(self) -> int:
        """The node that makes it."""


Listed = Callable[[int], tuple[int, ...]]


Operands = Mapping[int, Sequence[Made | None]]


def ordered(graph: Iterable[int], *, listed: Listed, operands: Operands) -> tuple[int, ...]:
    """The first in the order of ``listed`` whose operands are all there, again and again.

    Where the list is such an order already, which it nearly always is, that is all there is to do. Raises
    ``networkx.NetworkXUnfeasible`` when the graph has a cycle.
    """
    nodes = sorted(graph, key=listed)
    seen: set[int] = set()
    for node in nodes:
        seen.add(node)
        for value in operands[node]:
            if value is not None and value.node not in seen:
                return _as_ready(nodes, operands)
    return tuple(nodes)


def _as_ready(nodes: Sequence[int], operands: Operands) -> tuple[int, ...]:
    """``networkx.lexicographical_topological_sort`` by the places of nodes in a list, some times as fast."""
    place = {node: i for i, node in enumerate(nodes)}
    sources = {node: [value.node for value in operands[node] if value is not None] for node in nodes}
    readers: dict[int, list[int]] = {node: [] for node in nodes}
    for node in nodes:
        for source in sources[node]:
            readers[source].append(node)
    missing = {node: len(sources[node]) for node in nodes}
    ready = [place[node] for node in nodes if not missing[node]]
    done: list[int] = []
    while ready:
        done.append(nodes[heappop(ready)])
        for reader in readers[done[-1]]:
            missing[reader] -= 1
            if not missing[reader]:
                heappush(ready, place[reader])
    if len(done) < len(nodes):
        raise nx.NetworkXUnfeasible("a cycle")
    return tuple(done)
