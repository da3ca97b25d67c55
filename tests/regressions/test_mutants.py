"""Broken models that once ended in a fault of ours: they are refused, or pass as they are."""

import onnx
import pytest

from convgraph.compiler.optimize import optimize
from convgraph.errors import InvalidModel
from convgraph.exporters.sketch import changed_nodes
from convgraph.importers.onnx_model import from_onnx


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
