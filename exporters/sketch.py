"""Whether two graphs make different files, and in which operations, told without making them.

Only tensors that are not the very same object are read, one at a time, however much the others weigh.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from functools import partial

from onnx import ModelProto, NodeProto, TensorProto

from convgraph.exporters.external_data import is_worth_moving
from convgraph.exporters.onnx_graph import inline
from convgraph.exporters.onnx_model import message_of, tensors
from convgraph.ir.graph import Graph
from convgraph.ir.tensor import Tensor


def differ(before: Graph, after: Graph) -> bool:
    """Whether the ONNX forms of two graphs differ anywhere. Raises UnsupportedOp as ``to_onnx`` does."""
    old, new = _sketches(before, after)
    return old != new


def changed_nodes(before: Graph, after: Graph) -> list[NodeProto]:
    """The nodes of the ONNX form of ``after`` that are not in that of ``before`` under the same first result.

    Constants count by their contents, whatever they are called. Raises UnsupportedOp as ``to_onnx`` does.
    """
    old, new = _sketches(before, after)
    known = {node.output[0]: said for node, said in _said(old)}
    return [node for node, said in _said(new) if known.get(node.output[0]) != said]


def _sketches(before: Graph, after: Graph) -> tuple[ModelProto, ModelProto]:
    shared = {id(tensor) for tensor in tensors(before)} & {id(tensor) for tensor in tensors(after)}
    store = partial(_sketched, shared=shared)
    return message_of(before, store=store), message_of(after, store=store)


def _said(model: ModelProto) -> Iterator[tuple[NodeProto, tuple[object, ...]]]:
    """Each node that has a result, and what it does to what."""
    contents: dict[str, str | bytes] = {}
    for tensor in model.graph.initializer:
        name = tensor.name
        tensor.name = ""
        contents[name] = tensor.SerializeToString()
    for node in model.graph.node:
        attributes = sorted(attribute.SerializeToString(deterministic=True) for attribute in node.attribute)
        operands = [contents.get(name, name) for name in node.input]
        if node.output:
            yield node, (node.domain, node.op_type, attributes, operands)


def _sketched(tensor: Tensor, name: str, *, shared: AbstractSet[int]) -> TensorProto:
    """A tensor's message; in place of many elements, what tells them from any others."""
    if not is_worth_moving(tensor):
        return inline(tensor, name)
    contents = str(id(tensor)) if id(tensor) in shared else tensor.digest()
    return TensorProto(name=name, data_type=tensor.dtype, dims=tensor.shape, doc_string=contents)
