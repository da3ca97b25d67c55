"""Broken models that once ended in a fault of ours: they are refused, or pass as they are."""

import onnx
import pytest

from convgraph.compiler.optimize import optimize
from convgraph.errors import InvalidModel
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
