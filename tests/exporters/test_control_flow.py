"""Bodies of control flow: what they capture are operands, and renaming outside reaches inside."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

from convgraph.errors import InvalidModel
from convgraph.exporters.onnx_model import to_onnx
from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Use
from convgraph.ir.ops import Add, Relu, Swish
from convgraph.ir.ops.constant import Constant
from convgraph.ir.ops.opaque import Opaque
from convgraph.ir.wellformed import check

RoundTrip = Callable[..., Graph]
info = helper.make_tensor_value_info
X = np.random.default_rng(2).standard_normal((3, 5)).astype(np.float32)


def tensor(name: str, array: Any) -> TensorProto:
    return numpy_helper.from_array(np.asarray(array), name)


def model(graph: GraphProto, opset: int = 17) -> ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def branch(name: str, *nodes: onnx.NodeProto, tensors: tuple[TensorProto, ...] = ()) -> GraphProto:
    return helper.make_graph(list(nodes), name, [], [info(f"{name}_out", 1, [3, 5])], list(tensors))


def conditional() -> ModelProto:
    """relu -> r; if c: r + k (a constant of the branch) else: (if c: r * x else: -r)."""
    inner = helper.make_node(
        "If",
        ["c"],
        ["deep_out"],
        then_branch=branch("a", helper.make_node("Mul", ["r", "x"], ["a_out"])),
        else_branch=branch("b", helper.make_node("Neg", ["r"], ["b_out"])),
    )
    deep = helper.make_graph([inner], "deep", [], [info("deep_out", 1, [3, 5])])
    then = branch("then", helper.make_node("Add", ["r", "k"], ["then_out"]), tensors=(tensor("k", X[0]),))
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("If", ["c"], ["y"], name="choice", then_branch=then, else_branch=deep),
    ]
    return model(
        helper.make_graph(
            nodes, "g", [info("c", TensorProto.BOOL, []), info("x", 1, [3, 5])], [info("y", 1, [3, 5])]
        )
    )


def choice(graph: Graph) -> tuple[int, Opaque]:
    (node,) = [n for n in graph.compute_nodes() if graph.op(n).label == "If"]
    op = graph.op(node)
    assert isinstance(op, Opaque)
    return node, op


@pytest.mark.parametrize("condition", [True, False])
def test_nested_branches_come_back(condition: bool, round_trip: RoundTrip) -> None:
    graph = round_trip(conditional(), feeds={"c": np.array(condition), "x": X})
    node, op = choice(graph)
    names = [None if v is None else graph.value_name(v) for v in graph.operands(node)]
    assert names == ["c", "r", "c", "r", "x"] or sorted(filter(None, names)) == ["c", "c", "r", "r", "x"]
    then = op.subgraphs["then_branch"]
    assert [then.value_name(v) for v in then.captures] == ["r"]
    (add,) = then.compute_nodes()
    assert isinstance(then.op(add), Add)
    assert any(isinstance(then.op(n), Constant) for n in then.nodes())
    assert str(then.type(then.outputs[0])) == "float32[3, 5]"


def test_a_renamed_capture_is_renamed_inside(run: Callable[..., list[Any]]) -> None:
    graph = from_onnx(conditional())
    value = graph.value("r")
    graph.set_value_info(value, replace(graph.value_info(value), name="renamed"))
    result = to_onnx(graph)
    onnx.checker.check_model(result, full_check=True)
    assert b'"r"' not in str(result).encode()
    for condition in (True, False):
        feeds = {"c": np.array(condition), "x": X}
        (expected,), (found,) = run(conditional(), feeds), run(result, feeds)
        assert found.tobytes() == expected.tobytes()


def test_names_inside_bodies_are_not_given_to_new_values() -> None:
    graph = from_onnx(conditional())
    for name in ("k", "a_out", "deep_out"):
        assert graph.has_name(name)
        assert graph.fresh_name(name) == f"{name}_1"


def test_a_node_spelled_out_in_a_body_hides_nothing(run: Callable[..., list[Any]]) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["then_out_sigmoid"]),
        helper.make_node(
            "If",
            ["c"],
            ["y"],
            then_branch=branch("then", helper.make_node("Neg", ["then_out_sigmoid"], ["then_out"])),
            else_branch=branch("else", helper.make_node("Abs", ["then_out_sigmoid"], ["else_out"])),
        ),
    ]
    inputs = [info("c", TensorProto.BOOL, []), info("x", 1, [3, 5])]
    graph = from_onnx(model(helper.make_graph(nodes, "g", inputs, [info("y", 1, [3, 5])])))
    _, op = choice(graph)
    then = op.subgraphs["then_branch"]
    (neg,) = then.compute_nodes()
    edit = Edit(then, near=neg)
    edit.replace(then.outputs[0], edit.add(Swish(), *then.operands(neg)))
    edit.sweep()
    result = to_onnx(graph)
    onnx.checker.check_model(result, full_check=True)
    (found,) = run(result, {"c": np.array(True), "x": X})
    relu = np.maximum(X, 0)
    np.testing.assert_allclose(found, relu / (1 + np.exp(-relu)), rtol=1e-6, atol=1e-7)


def test_a_loop_and_a_scan_come_back(round_trip: RoundTrip) -> None:
    body = helper.make_graph(
        [
            helper.make_node("Add", ["state", "x"], ["next"]),
            helper.make_node("Identity", ["going"], ["go_on"]),
            helper.make_node("Mul", ["next", "half"], ["seen"]),
        ],
        "body",
        [info("i", 7, []), info("going", 9, []), info("state", 1, [3, 5])],
        [info("go_on", 9, []), info("next", 1, [3, 5]), info("seen", 1, [3, 5])],
        [tensor("half", np.float32(0.5))],
    )
    scanned = helper.make_graph(
        [helper.make_node("Add", ["sum_in", "row"], ["sum_out"]), helper.make_node("Relu", ["row"], ["out"])],
        "scanned",
        [info("sum_in", 1, [5]), info("row", 1, [5])],
        [info("sum_out", 1, [5]), info("out", 1, [5])],
    )
    nodes = [
        helper.make_node("Loop", ["n", "", "x"], ["last", "all"], body=body),
        helper.make_node("Scan", ["zero", "last"], ["total", "y"], body=scanned, num_scan_inputs=1),
    ]
    outputs = [info("all", 1, [None, 3, 5]), info("total", 1, [5]), info("y", 1, [3, 5])]
    constants = [tensor("n", np.int64(3)), tensor("zero", np.zeros(5, np.float32))]
    proto = model(helper.make_graph(nodes, "g", [info("x", 1, [3, 5])], outputs, constants))
    graph = round_trip(proto, feeds={"x": X})
    loop, scan = (graph.op(n) for n in graph.compute_nodes())
    assert isinstance(loop, Opaque)
    assert isinstance(scan, Opaque)
    assert (loop.arity, len(loop.subgraphs["body"].captures)) == (3, 1)
    assert sorted(scan.encoded) == ["num_scan_inputs"]


def test_a_branch_that_cannot_run_is_no_error() -> None:
    illegal = branch("never", helper.make_node("MatMul", ["x", "x"], ["never_out"]))
    legal = branch("always", helper.make_node("Neg", ["x"], ["always_out"]))
    node = helper.make_node("If", ["c"], ["y"], then_branch=illegal, else_branch=legal)
    inputs = [info("c", TensorProto.BOOL, []), info("x", 1, [3, 5])]
    graph = from_onnx(model(helper.make_graph([node], "g", inputs, [info("y", 1, None)])))
    _, op = choice(graph)
    (matmul,) = op.subgraphs["then_branch"].compute_nodes()
    assert isinstance(op.subgraphs["then_branch"].op(matmul), Opaque)
    assert to_onnx(graph).graph.node[0] == node


def test_a_body_has_to_be_sound_and_every_capture_an_operand() -> None:
    graph = from_onnx(conditional())
    node, op = choice(graph)
    check(graph)
    last = len(graph.operands(node)) - 1
    kept = graph.operand(node, last)
    graph.connect(Use(node, last), None)
    with pytest.raises(InvalidModel, match=r"If choice: .* captured operands"):
        check(graph)
    graph.connect(Use(node, last), kept)
    inner = op.subgraphs["then_branch"]
    (add,) = inner.compute_nodes()
    inner.connect(Use(add, 1), None)
    with pytest.raises(InvalidModel, match="Add then_out: 1 operands"):
        check(graph)


def test_a_capture_that_is_nowhere_is_named() -> None:
    proto = conditional()
    proto.graph.node[1].attribute[0].g.node[0].input[0] = "nowhere"
    with pytest.raises(InvalidModel, match="If choice: missing input 'nowhere'"):
        from_onnx(proto)


def test_a_body_may_use_a_name_of_another_body() -> None:
    node = helper.make_node(
        "If",
        ["c"],
        ["y"],
        then_branch=helper.make_graph(
            [helper.make_node("Neg", ["x"], ["o"])], "t", [], [info("o", 1, [3, 5])]
        ),
        else_branch=helper.make_graph(
            [helper.make_node("Relu", ["x"], ["o"])], "e", [], [info("o", 1, [3, 5])]
        ),
    )
    inputs = [info("c", TensorProto.BOOL, []), info("x", 1, [3, 5])]
    proto = model(helper.make_graph([node], "g", inputs, [info("y", 1, [3, 5])]))
    graph = from_onnx(proto)
    assert to_onnx(graph) == proto or to_onnx(graph).graph.node[0].attribute == sorted(
        node.attribute, key=lambda a: a.name
    )
    _, op = choice(graph)
    (other,) = op.subgraphs["else_branch"].compute_nodes()
    assert isinstance(op.subgraphs["else_branch"].op(other), Relu)
