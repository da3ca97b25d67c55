"""The time of a graph in onnxruntime on one thread, with all its optimisations on."""

from collections.abc import Iterable

from convgraph.analysis.cost import Types, types_at_assumed_sizes
from convgraph.analysis.onnxruntime_cpu import convolutions, streams
from convgraph.analysis.onnxruntime_cpu.plan import planned
from convgraph.analysis.onnxruntime_cpu.rates import Rates
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Op, Opaque


def node_seconds(graph: Graph, rates: Rates, *, types: Types | None = None) -> dict[int, float]:
    """The seconds that each node takes, at ``assumed_sizes`` where the graph leaves sizes open.

    ``types`` are those of its values at these sizes, for a caller who has them.

    What is fused into another node takes none of its own; a value that has to change its layout is charged to
    the node that makes it. Control flow takes as long as its bodies, each once.
    """
    types = types_at_assumed_sizes(graph) if types is None else types
    plan = planned(graph, types, block=rates.block)
    spent: dict[int, float] = {}
    for node in graph.compute_nodes():
        if node in plan.fused:
            spent[node] = 0.0
        elif isinstance(graph.op(node), convolutions.MULTIPLYING):
            spent[node] = convolutions.seconds(graph, node, types=types, plan=plan, rates=rates)
        elif node in plan.scaling:
            spent[node] = convolutions.scaling_seconds(graph, node, types=types, plan=plan, rates=rates)
        else:
            spent[node] = streams.seconds(graph, node, types=types, plan=plan, rates=rates)
        spent[node] += sum(seconds(body, rates) for body in _bodies(graph.op(node)))
    for value in plan.reordered:
        spent[value.node] = spent.get(value.node, 0.0) + streams.reorder_seconds(types[value], rates=rates)
    return spent


def reorders(graph: Graph, rates: Rates) -> int:
    """How many values are brought into blocks of channels, or out of them, in one run."""
    return len(planned(graph, types_at_assumed_sizes(graph), block=rates.block).reordered)


def seconds(graph: Graph, rates: Rates) -> float:
    """The seconds that one run of the graph takes."""
    return sum(node_seconds(graph, rates).values())


def _bodies(op: Op) -> Iterable[Graph]:
    return op.subgraphs.values() if isinstance(op, Opaque) else ()
