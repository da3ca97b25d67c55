"""What a graph consists of: a row for each operation, and totals."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from convgraph.analysis.cost import (
    NOTHING,
    Cost,
    node_costs,
    parameters,
    types_at_assumed_sizes,
    weight,
)
from convgraph.analysis.infer import assumed_sizes
from convgraph.ir.graph import Graph
from convgraph.ir.tensor import TensorType


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One operation.

    ``name`` is the node's own, else its first result's. ``parameters`` counts the weights it reads, also
    those that it shares. Types are as recorded, symbols included; None stands for an omitted operand.
    """

    name: str
    label: str
    operands: tuple[TensorType | None, ...]
    results: tuple[TensorType, ...]
    parameters: int
    cost: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """A graph's operations in order, and its totals.

    ``parameters`` counts a shared weight once. ``histogram`` is the number of operations of each kind, most
    frequent first. ``sizes`` are the numbers that symbols were counted as.
    """

    graph: str
    opset: int
    layers: tuple[Layer, ...]
    parameters: int
    cost: Cost
    histogram: Mapping[str, int]
    sizes: Mapping[str, int]


def census(graph: Graph) -> Census:
    """List a graph's operations with their types, parameters and cost."""
    types = types_at_assumed_sizes(graph)
    layers = tuple(_layer(graph, node, cost) for node, cost in node_costs(graph, types=types).items())
    return Census(
        graph=graph.name,
        opset=graph.model.opset,
        layers=layers,
        parameters=parameters(graph),
        cost=sum((layer.cost for layer in layers), NOTHING),
        histogram=dict(Counter(layer.label for layer in layers).most_common()),
        sizes=assumed_sizes(graph),
    )


def _layer(graph: Graph, node: int, cost: Cost) -> Layer:
    operands = graph.operands(node)
    tensors = (weight(graph, value) for value in {v for v in operands if v is not None})
    return Layer(
        name=node_name(graph, node),
        label=node_label(graph, node),
        operands=tuple(None if value is None else graph.type(value) for value in operands),
        results=tuple(graph.type(value) for value in graph.results(node)),
        parameters=sum(tensor.size for tensor in tensors if tensor is not None),
        cost=cost,
    )


def node_name(graph: Graph, node: int) -> str:
    """What to call a node: its own name, else its first named result's, else its number."""
    names = (graph.value_name(value) for value in graph.results(node))
    return graph.info(node).name or next((name for name in names if name), f"#{node}")


def node_label(graph: Graph, node: int) -> str:
    """The operation of a node, with the activation that is fused into it: ``Conv+Relu``."""
    op = graph.op(node)
    activation = getattr(op, "activation", None)
    return op.label if activation is None else f"{op.label}+{activation.label}"
