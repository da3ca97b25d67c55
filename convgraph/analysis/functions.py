"""The functions that a model brings along: who calls whom, and how much a call stands for."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter

from onnx import FunctionProto, ModelProto, NodeProto

from convgraph.ir.graph import Graph
from convgraph.ir.header import Function
from convgraph.ir.ops import Opaque


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFunction:
    """One function of a model; ``called``: how often its body calls which others, or operators.

    ``nbytes`` is the size of all that a call of it runs, ``nodes`` and ``calls`` how many of these there are
    in that; all None where it never ends, because a function calls itself.
    """

    proto: FunctionProto
    called: Mapping[Function, int]
    nbytes: int | None = None
    nodes: int | None = None
    calls: int | None = None


def called_by(node: NodeProto) -> Function:
    """The function that a node calls, if the model has such a one."""
    return ("" if node.domain == "ai.onnx" else node.domain, node.op_type, node.overload)


def function_of(proto: FunctionProto) -> Function:
    """What calls of a function say."""
    return ("" if proto.domain == "ai.onnx" else proto.domain, proto.name, proto.overload)


def nodes_within(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """Nodes and those in bodies in them, at any depth."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from nodes_within(body.node)


@lru_cache(maxsize=4)
def local_functions(carried: bytes) -> Mapping[Function, LocalFunction]:
    """The functions among the fields of a model that are carried along (``ModelInfo.carried``)."""
    if not carried:
        return {}
    protos = {function_of(proto): proto for proto in ModelProto.FromString(carried).functions}
    called = {name: Counter(map(called_by, nodes_within(proto.node))) for name, proto in protos.items()}
    sorter = TopologicalSorter({name: others.keys() & protos.keys() for name, others in called.items()})
    with suppress(CycleError):  # those outside of the cycle are sorted all the same
        sorter.prepare()
    known: dict[Function, LocalFunction] = {}
    while ready := sorter.get_ready():
        for name in ready:
            known[name] = _measured(protos[name], called[name], known)
        sorter.done(*ready)
    endless = {name: LocalFunction(proto=protos[name], called=called[name]) for name in protos.keys() - known}
    return {**known, **endless}


def _measured(
    proto: FunctionProto, called: Mapping[Function, int], known: Mapping[Function, LocalFunction]
) -> LocalFunction:
    inner = [(known[name], count) for name, count in called.items() if name in known]
    nbytes = proto.ByteSize() + sum(count * (function.nbytes or 0) for function, count in inner)
    nodes = sum(called.values()) + sum(count * (function.nodes or 0) for function, count in inner)
    calls = 1 + sum(count * (function.calls or 0) for function, count in inner)
    return LocalFunction(proto=proto, called=called, nbytes=nbytes, nodes=nodes, calls=calls)


def calls_in(graph: Graph) -> Iterator[Function]:
    """The functions, and operators without a class, of each node of a graph and of the bodies in it."""
    for node in graph.nx:
        op = graph.op(node)
        if isinstance(op, Opaque):
            yield op.function
            for body in op.subgraphs.values():
                yield from calls_in(body)


def nodes_called(graph: Graph) -> int:
    """How many nodes the calls in a graph run, those aside that never end."""
    functions = local_functions(graph.model.carried)
    called = (functions.get(name) for name in calls_in(graph)) if functions else ()
    return sum(function.nodes or 0 for function in called if function is not None)
