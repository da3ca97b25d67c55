"""What an approximation is held to: it means the graph with weights in it that are near enough."""

from typing import Any

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Use
from convgraph.ir.tensor import Array
from convgraph.passes import Rewrite
from convgraph.passes.approximate.approximation import Approximation

ROUNDING = 2.0**-10  # of a weight: float16's, the coarsest drawn here


def matches(rewrite: Rewrite[Any], graph: Graph) -> dict[int, Any]:
    """Where the rewrite applies, by node."""
    starts = (node for node in graph.nodes() if isinstance(graph.op(node), rewrite.roots))
    found = ((node, rewrite.find(graph, node)) for node in starts)
    kept = ((node, match) for node, match in found if match is not None)
    return {node: match for node, match in kept if rewrite.refusal(graph, match, at="") is None}


def meant(rewrite: Rewrite[Any], graph: Graph, found: dict[int, Any]) -> Graph:
    """What the result has to be equal to: the graph itself, or with the weights of an approximation in it."""
    if not isinstance(rewrite, Approximation):
        return graph
    near = graph.copy()
    for node, match in found.items():
        edit = Edit(near)
        edit.rewire(Use(node, 1), edit.constant(rewrite.nearest(graph, match)))
        edit.sweep()
    return near


def too_far(rewrite: Rewrite[Any], graph: Graph, found: dict[int, Any]) -> str:
    """What is wrong with the changes of the weights: one is larger than the tolerance; "" when none is."""
    if not isinstance(rewrite, Approximation):
        return ""
    changes = {n: _change(rewrite.nearest(graph, m), _weight(graph, n)) for n, m in found.items()}
    allowed = rewrite.tolerance + ROUNDING
    return ", ".join(f"{node} changes by {change}" for node, change in changes.items() if change > allowed)


def _change(near: Array, weight: Array) -> float:
    """The distance between two weights relative to the norm of the second."""
    distance = np.linalg.norm(near.astype(np.float64) - weight)
    return float(distance / (np.linalg.norm(weight.astype(np.float64)) or 1.0))


def _weight(graph: Graph, node: int) -> Array:
    tensor = graph.constant(graph.operand(node, 1))
    assert tensor is not None
    return tensor.numpy()
