"""Local functions in a graph: the body of one, as one call runs it, and graphs without any."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache

from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TypeProto, numpy_helper

from convgraph.analysis.functions import local_functions
from convgraph.compiler.upgrade import upgraded
from convgraph.errors import InvalidModel
from convgraph.importers.onnx_model import from_onnx
from convgraph.importers.onnx_order import bodies
from convgraph.importers.onnx_types import type_proto
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Opaque
from convgraph.ir.tensor import KNOWN_LIMIT
from convgraph.passes import InlineLocalFunction, Pipeline

_MANY = 32  # bodies to remember: the same one is read to see what it says, and to be put in its place


class FunctionBodies:
    """Bodies of a model's own functions, as graphs."""

    def body(self, graph: Graph, node: int) -> Graph:
        """What a call runs, in the model's opset: inputs as its operands, outputs as the function's.

        What the call leaves out is left out inside. Small constants among the operands are constants inside.
        Raises ConvgraphError where the body cannot be read, or not be said in the model's opset.
        """
        op = graph.op(node)
        assert isinstance(op, Opaque)
        functions = local_functions(graph.model.carried)
        function = functions[op.function]
        proto = function.proto
        if op.subgraphs:
            raise InvalidModel(
                graph.describe(node), found="a body that it is given", expected="plain attributes"
            )
        given = dict(zip(proto.input, graph.operands(node), strict=False))
        model = ModelProto(ir_version=graph.model.ir_version, opset_import=proto.opset_import)
        model.functions.extend(functions[name].proto for name in sorted(function.called.keys() & functions))
        model.graph.name = proto.name
        missing = {name for name in proto.input if given.get(name) is None}
        _state(model.graph, graph, {name: value for name, value in given.items() if value is not None})
        for name in proto.output:
            if name in missing:
                raise InvalidModel(name, found="a result that is left out", expected="one that is given")
            model.graph.output.add(name=name)
        model.graph.node.extend(_filled(proto.node, _given_attributes(proto, op), missing))
        opset = graph.model.opset if "" in graph.model.opsets else None
        return _read(model.SerializeToString(deterministic=True), opset)


def without_functions(graph: Graph) -> Graph:
    """The same graph with no call of a function of the model's own, as far as bodies can be read.

    What is said of operations, how far roundings may take them, can then be said of those in functions.
    """
    if not local_functions(graph.model.carried):
        return graph
    return Pipeline([InlineLocalFunction(bodies=FunctionBodies())]).run(graph)[0]


@lru_cache(maxsize=_MANY)
def _read(model: bytes, opset: int | None) -> Graph:
    body = from_onnx(ModelProto.FromString(model))
    own = body.model.opsets.get("")
    body.header.model = replace(body.model, carried=b"")
    return body if opset is None or own is None else upgraded(body, opset)


def _state(body: GraphProto, graph: Graph, given: Mapping[str, Value]) -> None:
    """Let a body have these inputs, of the types that they have here."""
    for name, value in given.items():
        tensor, info = graph.constant(value), graph.value_info(value)
        if tensor is not None and tensor.size <= KNOWN_LIMIT:
            body.initializer.append(numpy_helper.from_array(tensor.numpy(), name))
        elif info.foreign is not None:
            body.input.add(name=name, type=TypeProto.FromString(info.foreign))
        else:
            body.input.add(name=name, type=type_proto(info.type))


def _given_attributes(proto: FunctionProto, op: Opaque) -> dict[str, AttributeProto]:
    defaults = {attribute.name: attribute for attribute in proto.attribute_proto}
    stated = {name: AttributeProto.FromString(encoded) for name, encoded in op.encoded.items() if name}
    return {**defaults, **stated}


def _filled(
    nodes: Iterable[NodeProto], given: Mapping[str, AttributeProto], missing: set[str]
) -> list[NodeProto]:
    """Copies of nodes with what a call gives in the place of what they refer to, at any depth."""
    filled = []
    for node in nodes:
        twin = NodeProto()
        twin.CopyFrom(node)
        twin.input[:] = ["" if name in missing else name for name in node.input]
        del twin.attribute[:]
        for attribute in node.attribute:
            if not attribute.ref_attr_name:
                twin.attribute.append(attribute)
            elif attribute.ref_attr_name in given:
                twin.attribute.append(given[attribute.ref_attr_name])
                twin.attribute[-1].name = attribute.name
        for body in bodies(twin):
            inner = _filled(body.node, given, missing)
            del body.node[:]
            body.node.extend(inner)
        filled.append(twin)
    return filled
