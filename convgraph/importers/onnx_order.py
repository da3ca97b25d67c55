"""Names in a GraphProto: who makes them, who reads them, and an order in which makers come first."""

import heapq
from collections.abc import Iterator

from onnx import AttributeProto, GraphProto, NodeProto

from convgraph.errors import InvalidModel

_SOURCE = -1  # the place of a value that no node makes


def label(node: NodeProto) -> str:
    """How messages name a node: its own name, else its first named result, with the operation."""
    operation = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
    return f"{operation} {node.name or next(filter(None, node.output), '')}".strip()


def bodies(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs among a node's attributes."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def captures(body: GraphProto) -> tuple[str, ...]:
    """The names a body reads, at any depth, but does not make: those of values around it."""
    own = set(_makers(body))
    read: dict[str, None] = {}
    for node in body.node:
        read.update(dict.fromkeys(read_names(node)))
    read.update((value.name, None) for value in body.output)
    return tuple(name for name in read if name not in own)


def read_names(node: NodeProto) -> tuple[str, ...]:
    """The names a node reads: its inputs and what its bodies capture."""
    captured = [name for body in bodies(node) for name in captures(body)]
    return tuple(filter(None, (*node.input, *captured)))


def inner_names(body: GraphProto) -> Iterator[str]:
    """Every name made inside a body, at any depth."""
    yield from _makers(body)
    for node in body.node:
        for inner in bodies(node):
            yield from inner_names(inner)


def _makers(graph: GraphProto) -> dict[str, int]:
    """Who makes each name: the node's position, or _SOURCE. Raises InvalidModel for a name made twice."""
    makers: dict[str, int] = {}
    for value in graph.input:
        _claim(makers, value.name, _SOURCE)
    given = set(makers)
    for name in (*(t.name for t in graph.initializer), *(s.values.name for s in graph.sparse_initializer)):
        if name in given:
            given.remove(name)  # the default of an input, but not two
        else:
            _claim(makers, name, _SOURCE)
    for place, node in enumerate(graph.node):
        for name in filter(None, node.output):
            _claim(makers, name, place)
    return makers


def _claim(makers: dict[str, int], name: str, place: int) -> None:
    if not name:
        raise InvalidModel("graph", found="an input or initializer without a name", expected="a name")
    if name in makers:
        raise InvalidModel(name, found="two values with this name", expected="unique value names")
    makers[name] = place


def sorted_nodes(graph: GraphProto, *, outer: frozenset[str]) -> list[tuple[int, NodeProto]]:
    """The nodes with their positions, makers first and otherwise in the file's order.

    ``outer`` are the names visible around the graph. Raises InvalidModel for a value that is read but made
    nowhere, and for a cycle, naming it.
    """
    makers = dict.fromkeys(outer, _SOURCE) | _makers(graph)
    nodes = list(graph.node)
    waits_for: list[set[int]] = []
    for node in nodes:
        try:
            made_by = {makers[name] for name in read_names(node)}
        except KeyError as error:
            found = f"missing input {error.args[0]!r}"
            raise InvalidModel(label(node), found=found, expected="a value that something makes") from None
        made_by.discard(_SOURCE)
        waits_for.append(made_by)
    if all(place > max(made_by, default=_SOURCE) for place, made_by in enumerate(waits_for)):
        return list(enumerate(nodes))  # as nearly every file has them
    order = _topological(waits_for)
    if len(order) < len(waits_for):
        cycle = _cycle(waits_for, done=set(order))
        names = " -> ".join(label(nodes[place]) for place in cycle)
        raise InvalidModel(graph.name or "graph", found=f"a cycle ({names})", expected="an acyclic graph")
    return [(place, nodes[place]) for place in order]


def _topological(waits_for: list[set[int]]) -> list[int]:
    """Positions in an order that respects ``waits_for``, smallest first; short when there is a cycle."""
    readers: dict[int, list[int]] = {}
    for place, makers in enumerate(waits_for):
        for maker in makers:
            readers.setdefault(maker, []).append(place)
    missing = [len(makers) for makers in waits_for]
    ready = [place for place, count in enumerate(missing) if count == 0]
    order = []
    while ready:
        place = heapq.heappop(ready)
        order.append(place)
        for reader in readers.get(place, ()):
            missing[reader] -= 1
            if missing[reader] == 0:
                heapq.heappush(ready, reader)
    return order


def _cycle(waits_for: list[set[int]], *, done: set[int]) -> list[int]:
    """One cycle among the nodes that never became ready, in reading order, its first node repeated."""
    place = min(set(range(len(waits_for))) - done)
    path: list[int] = []
    while place not in path:
        path.append(place)
        place = min(waits_for[place] - done)
    return [*path[path.index(place) :], place][::-1]
