"""Random networks inside control flow: the branch of an If, or the body of a Loop, which knows no shapes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Constant, Identity, Opaque
from convgraph.ir.tensor import Tensor
from convgraph.passes.bodies import opened

Kind = Literal["If", "Loop"]
NETWORK = {"If": "then_branch", "Loop": "body"}


def wrapped(proto: ModelProto, kind: Kind, *, seed: int) -> ModelProto:
    """The model with its operations inside a body, and some of its weights around it.

    An If reads a condition ``c`` besides; a Loop runs once and stacks each output.
    """
    inner = onnx.compose.add_prefix(proto, "in_", rename_inputs=False, rename_initializers=False).graph
    rng = np.random.default_rng(seed)
    supplied = {value.name for value in inner.input}
    outside = [t for t in inner.initializer if t.name in supplied or rng.random() < 0.5]
    inside = [t for t in inner.initializer if t not in outside]
    names = [value.name for value in proto.graph.output]
    node, *more = (_choice if kind == "If" else _loop)(inner, inside, names)
    outputs = [
        helper.make_tensor_value_info(name, value.type.tensor_type.elem_type, None)
        for name, value in zip(names, inner.output, strict=True)
    ]
    graph = helper.make_graph([node], "around", [*inner.input, *more], outputs, outside)
    if kind == "Loop":
        graph.initializer.append(numpy_helper.from_array(np.int64(1), "once"))
    model = ModelProto(ir_version=proto.ir_version, opset_import=proto.opset_import)
    model.graph.CopyFrom(graph)
    return model


def _choice(
    inner: GraphProto, inside: Sequence[TensorProto], names: Sequence[str]
) -> tuple[NodeProto, ValueInfoProto]:
    then = helper.make_graph(list(inner.node), "then", [], [_untyped(v) for v in inner.output], inside)
    ends = [helper.make_tensor_value_info(f"else_{v.name}", _dtype(v), None) for v in inner.output]
    casts = [helper.make_node("Cast", ["x"], [v.name], to=_dtype(v)) for v in ends]
    node = helper.make_node(
        "If",
        ["c"],
        list(names),
        name="choice",
        then_branch=then,
        else_branch=helper.make_graph(casts, "else", [], ends),
    )
    return node, helper.make_tensor_value_info("c", TensorProto.BOOL, [])


def _loop(inner: GraphProto, inside: Sequence[TensorProto], names: Sequence[str]) -> tuple[NodeProto]:
    nodes = [NodeProto.FromString(node.SerializeToString()) for node in inner.node]
    for node in nodes:
        node.input[:] = ["state" if name == "x" else name for name in node.input]
    nodes += [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["state"], ["kept"])]
    kind = next(_dtype(value) for value in inner.input if value.name == "x")
    inputs = [
        helper.make_tensor_value_info("step", TensorProto.INT64, []),
        helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        helper.make_tensor_value_info("state", kind, None),
    ]
    outputs = [helper.make_tensor_value_info("on", TensorProto.BOOL, [])]
    outputs += [helper.make_tensor_value_info("kept", kind, None), *map(_untyped, inner.output)]
    body = helper.make_graph(nodes, "body", inputs, outputs, inside)
    return (helper.make_node("Loop", ["once", "", "x"], ["", *names], name="repeat", body=body),)


def _dtype(value: ValueInfoProto) -> int:
    return value.type.tensor_type.elem_type


def _untyped(value: ValueInfoProto) -> ValueInfoProto:
    return helper.make_tensor_value_info(value.name, _dtype(value), None)


def unwrapped(graph: Graph) -> Graph:
    """The network inside a wrapped one, as a graph of its own, for the oracle."""
    plain = graph.copy()
    (node,) = [n for n in plain.compute_nodes() if plain.info(n).name in ("choice", "repeat")]
    op = plain.op(node)
    assert isinstance(op, Opaque)
    body = opened(plain, node, NETWORK[op.op_type])
    edit, given = Edit(plain, near=node), dict(body.captured)
    if op.op_type == "Loop":
        fed: list[Value | None] = [edit.constant(np.int64(0)), edit.constant(np.array(True))]
        fed.append(plain.operand(node, 2))
        given |= {inside: value for inside, value in zip(body.graph.inputs, fed, strict=True) if value}
    if op.op_type == "If":
        plain.set_op(plain.value("c").node, Constant(tensor=Tensor(np.array(True))))
    made = edit.graft(body.graph, captured=given)[-len(plain.outputs) :]
    names = [plain.value_name(value) for value in plain.outputs]
    plain.outputs = ()
    edit.erase(node)
    plain.inputs = tuple(value for value in plain.inputs if plain.value_name(value) != "c")
    plain.outputs = [edit.add(Identity(), value) for value in made]
    for value, name in zip(plain.outputs, names, strict=True):
        plain.set_value_info(value, replace(plain.value_info(value), name=name))
    return plain
