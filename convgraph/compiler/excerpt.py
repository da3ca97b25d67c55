"""The part of a model in which two stages of a run differ, cut out of both as models of their own.

Stages of one run share their nodes: those that no rewrite touched have the same number and operation in both,
read values of the same names and make values of the same names. All others are the part, and with them goes
what an exchange of the two needs: nodes that make an input of one of them from an input of the other.
"""

from collections.abc import Iterable
from typing import Any

import networkx as nx

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Constant, Input


def excerpts(before: Graph, after: Graph) -> tuple[Graph, Graph]:
    """What differs between two stages of a run, before and after, with the same inputs and outputs.

    The whole stages where nothing that can be cut out does.
    """
    shared = {node for node in before.nodes() if node in after and _is_same(before, after, node)}
    shared -= _between(before, after, shared)
    parts = [graph.region(_computed(graph, shared), beside=()) for graph in (before, after)]
    inputs = dict.fromkeys(value for part in parts for value in part.inputs if _is_read(parts, value))
    names = [_output_names(part) for part in parts]
    outputs = [name for name in names[0] if name in names[1]]
    if not outputs:
        return before, after
    return _cut(before, shared, inputs, outputs), _cut(after, shared, inputs, outputs)


def _is_same(before: Graph, after: Graph, node: int) -> bool:
    """Whether a node is what it was, and so are the names it reads and makes, and what is returned of it."""
    if before.op(node) is not after.op(node) or _read(before, node) != _read(after, node):
        return False
    pairs = zip(before.results(node), after.results(node), strict=True)
    return all(
        before.value_name(old) == after.value_name(new) and before.is_output(old) == after.is_output(new)
        for old, new in pairs
    )


def _read(graph: Graph, node: int) -> list[object]:
    """The operands by name; one without a name, or none, is itself."""
    operands = graph.operands(node)
    return [value if value is None else graph.value_name(value) or value for value in operands]


def _computed(graph: Graph, shared: set[int]) -> set[int]:
    return {node for node in graph.compute_nodes() if node not in shared}


def _sources(graph: Graph, shared: set[int]) -> set[int]:
    """The nodes that make what the part reads, constants aside."""
    operands = (value for node in _computed(graph, shared) for value in graph.operands(node))
    made = {value.node for value in operands if value is not None and value.node in shared}
    return {node for node in made if not isinstance(graph.op(node), Constant)}


def _between(before: Graph, after: Graph, shared: set[int]) -> set[int]:
    """The nodes of ``shared`` on the way from a source of one part alone to another source, or back."""
    found: set[int] = set()
    while True:
        rest = shared - found
        old, new = _sources(before, rest), _sources(after, rest)
        flow = before.nx.subgraph(rest)
        more = {node for one in old ^ new for other in old | new for node in _path(flow, one, other)}
        if not (more := {n for n in more if not isinstance(before.op(n), (Constant, Input))}):
            return found
        found |= more


def _path(flow: "nx.MultiDiGraph[Any]", one: int, other: int) -> Iterable[int]:
    """The nodes that make the later of two nodes' results from the earlier's; that one not included."""
    for first, last in ((one, other), (other, one)):
        if last in (later := nx.descendants(flow, first)):
            return later & nx.ancestors(flow, last) | {last}
    return ()


def _is_read(parts: Iterable[Graph], value: Value) -> bool:
    return any(part.makes(value) and bool(part.readers(value)) for part in parts)


def _output_names(part: Graph) -> list[str]:
    return [part.value_name(value) for value in part.outputs]


def _cut(graph: Graph, shared: set[int], inputs: Iterable[Value], outputs: Iterable[str]) -> Graph:
    part = graph.region(_computed(graph, shared), beside={value.node for value in inputs})
    part.inputs = tuple(inputs)
    part.outputs = tuple(part.value(name) for name in outputs)
    return part
