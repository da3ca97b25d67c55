"""Graphs alike: the same operations on the same types, whatever weights hold and values are called.

A price depends on nothing else, and a network has many blocks alike: what one costs, all of them do.
"""

from collections.abc import Callable, Hashable, Mapping
from functools import wraps
from typing import TypeVar

from convgraph.ir.graph import Graph
from convgraph.ir.ops import Constant, Input, Op, Opaque
from convgraph.ir.tensor import Known, TensorType

LARGEST = 128  # nodes: larger graphs hardly come again
MOST = 4096  # kinds of graphs that are kept at a time

_Fact = TypeVar("_Fact")


def once_for_alike(
    facts: Callable[[Graph], Mapping[int, _Fact]],
) -> Callable[[Graph], Mapping[int, _Fact]]:
    """Compute facts about the nodes of small graphs once for all that are alike.

    For facts that ``likeness`` decides. They are kept in the order in which they were given.
    """
    known: dict[Hashable, tuple[tuple[int, _Fact], ...]] = {}

    @wraps(facts)
    def remembered(graph: Graph) -> Mapping[int, _Fact]:
        kind = likeness(graph) if len(graph) <= LARGEST else None
        if kind is None:
            return facts(graph)
        nodes = graph.nodes()
        if kind not in known:
            if len(known) >= MOST:
                known.clear()
            place = {node: i for i, node in enumerate(nodes)}
            known[kind] = tuple((place[node], fact) for node, fact in facts(graph).items())
        return {nodes[i]: fact for i, fact in known[kind]}

    return remembered


def likeness(graph: Graph) -> Hashable | None:
    """Equal for graphs that are alike, node by node in order; None where bodies would have to be looked into.

    Of a constant that is small enough to steer shapes it has the elements, of others the type alone.
    """
    place = {node: i for i, node in enumerate(graph.nodes())}
    operations = [_operation(graph.op(node)) for node in place]
    if None in operations:
        return None
    read = [
        tuple([None if v is None else (place[v.node], v.output) for v in graph.operands(node)])
        for node in place
    ]
    made = [tuple([_told(graph.type(value)) for value in graph.results(node)]) for node in place]
    ends = [(place[v.node], v.output) for v in (*graph.inputs, *graph.captures, *graph.outputs)]
    lengths = len(graph.inputs), len(graph.captures)
    return graph.model.opset, tuple(operations), tuple(read), tuple(made), tuple(ends), lengths


def _operation(op: Op) -> Hashable | None:
    if isinstance(op, Constant):
        return Constant
    if isinstance(op, Input):
        return Input, op.default is None, op.constant is None
    return None if isinstance(op, Opaque) and op.subgraphs else op


def _told(kind: TensorType) -> TensorType | tuple[TensorType, Known]:
    return kind if kind.known is None else (kind, kind.known)
