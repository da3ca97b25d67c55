"""A rewrite carried out whether or not it pays."""

from typing import Any

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.passes import Rewrite


def forced(rewrite: Rewrite[Any], graph: Graph) -> Graph:
    """A copy of the graph, rewritten at each node where there is something to find."""
    result = graph.copy()
    roots = [node for node in result.compute_nodes() if isinstance(result.op(node), rewrite.roots)]
    for node in roots:
        match = rewrite.find(result, node)
        if match is not None:
            edit = Edit(result, near=node)
            rewrite.apply(edit, match)
            edit.sweep()
    return result
