"""Types as a file of the graph would be read again: what a run made plain shows in every type it writes.

A rewrite keeps the types of the values it leaves; where it turns computed sizes into constants, more can be
said of what is made with them. Reading the result would find that out, so that writing it once more would
give another file.
"""

from dataclasses import replace

from onnx import AttributeProto, NodeProto, numpy_helper

from convgraph.errors import InvalidModel
from convgraph.importers.onnx_types import infer_node, tensor_type
from convgraph.ir.graph import Graph
from convgraph.ir.ops.opaque import Opaque
from convgraph.ir.tensor import UNKNOWN, TensorType

_SMALL = 512  # elements of a constant that inference may want to see


def settle_types(graph: Graph) -> None:
    """Infer the type of every result from those of the operands, and note what that adds.

    The model's own word comes first for its outputs, and last for what is inside, as it does on import.
    """
    for node in graph.compute_nodes():
        for value, own in zip(graph.results(node), _inferred(graph, node), strict=False):
            info = graph.value_info(value)
            told = _merged(info.type, own, first=graph.is_output(value))
            if info.foreign is None and (told, told.known) != (info.type, info.type.known):
                graph.set_value_info(value, replace(info, type=told))


def _merged(told: TensorType, own: TensorType, *, first: bool) -> TensorType:
    if not told.admits(own):
        return told
    return replace(told.refined(own), known=own.known) if first else own.refined(told)


def _inferred(graph: Graph, node: int) -> tuple[TensorType, ...]:
    op, operands = graph.op(node), graph.operands(node)
    types = tuple(None if value is None else graph.type(value) for value in operands)
    try:
        found = op.infer_all(types)
    except InvalidModel:  # no type is better than the one it has
        return ()
    return found or (_by_rule(graph, node, op) if isinstance(op, Opaque) else ())


def _by_rule(graph: Graph, node: int, op: Opaque) -> tuple[TensorType, ...]:
    """The types of an opaque node's results, by ONNX's rule for its operator."""
    given = {f"x{slot}": value for slot, value in enumerate(graph.operands(node)) if value is not None}
    types = [(name, graph.type(value)) for name, value in given.items()]
    if op.domain or op.subgraphs or any(type_.dtype is UNKNOWN.dtype for _, type_ in types):
        return ()
    tensors = {name: graph.constant(value) for name, value in given.items()}
    known = {
        name: numpy_helper.from_array(tensor.numpy(), name)
        for name, tensor in tensors.items()
        if tensor is not None and tensor.size <= _SMALL
    }
    found = infer_node(_proto(graph, node, op), types, known=known, opset=graph.model.opset)
    names = [f"y{place}" for place in range(len(graph.results(node)))]
    return tuple(tensor_type(found[name], at=name) if name in found else UNKNOWN for name in names)


def _proto(graph: Graph, node: int, op: Opaque) -> NodeProto:
    proto = NodeProto(op_type=op.op_type)
    proto.input.extend("" if v is None else f"x{slot}" for slot, v in enumerate(graph.operands(node)))
    proto.output.extend(f"y{place}" for place in range(len(graph.results(node))))
    proto.attribute.extend(AttributeProto.FromString(data) for name, data in op.encoded.items() if name)
    return proto
