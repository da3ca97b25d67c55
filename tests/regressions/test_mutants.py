"""Broken models that once ended in a fault of ours: they are refused, or pass as they are."""

import warnings

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from convgraph.compiler.optimize import optimize
from convgraph.errors import InvalidModel
from convgraph.exporters.sketch import changed_nodes
from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.ops import Conv, Relu
from convgraph.passes import DEFAULT, Pipeline


def model(body: str) -> onnx.ModelProto:
    text = (
        f'<ir_version: 8, opset_import: ["" : 17]> g (float[5, 6] x, float[5, 6] w) => (float y) {{ {body} }}'
    )
    return onnx.parser.parse_model(text)


@pytest.mark.parametrize("body", ["y = Sum(x, , w)", "y = Max(x, , w)", "y = Concat <axis = 0> (x, , w)"])
def test_a_gap_among_any_number_of_operands_is_refused(body: str) -> None:
    with pytest.raises(InvalidModel, match="an operand left out"):
        from_onnx(model(body))


def test_a_convolution_of_no_axes_passes() -> None:
    result = optimize(model("y = Conv(x, w)"), verify=False)
    assert [node.op_type for node in result.proto.graph.node] == ["Conv"]


@pytest.mark.parametrize(
    "body",
    [
        "s = SplitToSequence <axis = 1> (x, two) y = SequenceAt(s, )",
        "s = SplitToSequence <axis = 1> (, two) y = SequenceAt(s, two)",
        "s = SplitToSequence <axis = 1> (x, two) y = SequenceAt(s, none)",
        "s = SequenceConstruct(x, w) y = SequenceAt(s, )",
        "s = SequenceConstruct(x, w) y = SequenceAt(s, none)",
        "s = SequenceConstruct(x, , w) y = ConcatFromSequence <axis = 0> (s)",
        "z = ConstantOfShape <value = float[2] {1, 2}> (one) y = Add(x, z)",
    ],
)
def test_operands_and_numbers_that_are_not_there_end_in_no_fault(body: str) -> None:
    constants = "one = Constant <value_ints = [1]> () two = Constant <value_int = 2> ()"
    none = "none = Constant <value = int64[0] {}> ()"
    try:
        result = optimize(model(f"{constants} {none} {body}"), verify=False)
    except InvalidModel:
        return
    assert result.proto.graph.node


def test_an_attribute_of_another_kind_is_refused() -> None:
    broken = model("y = Softmax <axis = 1> (x)")
    broken.opset_import[0].version = 12
    broken.graph.node[0].attribute[0].type = onnx.AttributeProto.GRAPH
    with pytest.raises(InvalidModel, match="attribute axis of kind GRAPH"):
        from_onnx(broken)


def test_a_node_without_a_result_is_no_fault() -> None:
    odd = model("n = own.Idle(x) y = Relu(x)")
    odd.opset_import.add(domain="own", version=1)
    odd.graph.node[0].output.clear()
    graph = from_onnx(odd)
    assert [node.op_type for node in changed_nodes(graph, from_onnx(model("y = Neg(x)")))] == ["Neg"]
    assert not changed_nodes(graph, graph)


def test_an_operand_that_is_not_there_but_has_axes_is_no_fault() -> None:
    broken = model("y = ReduceSum <axes = [1]> (x)")
    broken.opset_import[0].version = 12
    broken.graph.node[0].input.clear()
    with pytest.raises(InvalidModel, match="y"):
        from_onnx(broken)


def test_a_list_joined_along_no_axis_is_left() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float[5, 6] x) => (float[2, 5, 6] y) {
        s = SequenceConstruct(x, x) y = ConcatFromSequence (s) }"""
    result = optimize(onnx.parser.parse_model(text), verify=False)
    assert [node.op_type for node in result.proto.graph.node] == ["SequenceConstruct", "ConcatFromSequence"]


@pytest.mark.parametrize("index", ["int64[1] {7}", "int64[1] {-6}", "float[1] {1e30}"])
def test_what_is_gathered_where_nothing_is_is_left(index: str) -> None:
    table = "table = Constant <value = float[5] {1, 2, 3, 4, 5}> ()"
    gathered = f"place = Constant <value = {index}> () taken = Gather (table, place) y = Add (x, taken)"
    result = optimize(model(f"{table} {gathered}"), verify=False)
    assert "Gather" in {node.op_type for node in result.proto.graph.node}


@pytest.mark.parametrize(
    "window", ["dilations = [1, 2147483648], strides = [2, 3]", "strides = [1, 2147483648]"]
)
def test_a_window_wider_than_any_image_is_not_spelled_out(window: str) -> None:
    text = f"""<ir_version: 8, opset_import: ["" : 17]> g (float[1, 3, 6, 7] x) => (float[N, M, H, W] y) {{
        w = ConstantOfShape <value = float[1] {{1}}> (shape) y = ConvTranspose <{window}> (x, w) }}"""
    broken = onnx.parser.parse_model(text)
    broken.graph.initializer.append(numpy_helper.from_array(np.array([3, 4, 3, 3]), "shape"))
    result = optimize(broken, verify=False)
    assert [node.op_type for node in result.proto.graph.node] == ["ConvTranspose"]


def test_a_weight_that_signals_is_passed_over_in_silence() -> None:
    signalling = np.ones((4, 3, 3, 3), np.float32)
    signalling.view(np.uint32)[0, 0, 0, 0] = 0x7F800001
    b = GraphBuilder("g", opset=17)
    y = b.add(Conv.of(2, pads=1), b.input("x", shape=(1, 3, 8, 8)), signalling)
    b.output(b.add(Relu(), y), name="y")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(Pipeline(DEFAULT).run(b.build())[1].applications) == 1
