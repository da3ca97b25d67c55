"""What is counted in a model, whoever wrote it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod

import onnx


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """A model's size: nodes of each operator, parameters (numbers in constants), and bytes of the file.

    Nodes are those of the graph, of the bodies inside it and of local functions, each written once; constants
    are no nodes, wherever a file keeps them.
    """

    operators: dict[str, int]
    parameters: int
    bytes: int

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return sum(self.operators.values())


def figures(model: onnx.ModelProto) -> Figures:
    """Count a model, read with the data that it keeps in other files."""
    nodes = [*_nodes(model.graph.node), *(n for f in model.functions for n in _nodes(f.node))]
    graphs = [model.graph, *(graph for node in nodes for graph in _bodies(node))]
    stored = [tensor for graph in graphs for tensor in graph.initializer]
    sparse = [tensor.values for graph in graphs for tensor in graph.sparse_initializer]
    return Figures(
        operators=dict(sorted(Counter(n.op_type for n in nodes if n.op_type != "Constant").items())),
        parameters=sum(prod(tensor.dims) for tensor in (*stored, *sparse, *_constants(nodes))),
        bytes=model.ByteSize(),
    )


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """The nodes, and those of their bodies."""
    for node in nodes:
        yield node
        for body in _bodies(node):
            yield from _nodes(body.node)


def _bodies(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    return [
        *(a.g for a in node.attribute if a.HasField("g")),
        *(g for a in node.attribute for g in a.graphs),
    ]


def _constants(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    """The tensors that are attributes: of constants, above all."""
    for node in nodes:
        yield from (attribute.t for attribute in node.attribute if attribute.HasField("t"))
