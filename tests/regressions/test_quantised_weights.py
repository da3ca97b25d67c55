"""Quantised weights stay quantised: runtimes look for the DequantizeLinear before a convolution."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from convgraph.compiler.optimize import optimize


def quantised_network() -> onnx.ModelProto:
    """QuantizeLinear and DequantizeLinear around a convolution with int8 weights."""
    rng = np.random.default_rng(7)
    constants = {
        "sx": np.float32(0.05),
        "zx": np.uint8(128),
        "sw": np.float32(0.02),
        "zw": np.int8(0),
        "wq": rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8),
        "sy": np.float32(0.1),
        "zy": np.uint8(100),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "sx", "zx"], ["xd"]),
        helper.make_node("DequantizeLinear", ["wq", "sw", "zw"], ["w"]),
        helper.make_node("Conv", ["xd", "w"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "sy", "zy"], ["cq"]),
        helper.make_node("DequantizeLinear", ["cq", "sy", "zy"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 9, 7])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 4, 7, 5])
    initializers = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_weights_stay_quantised() -> None:
    model = quantised_network()
    result = optimize(model)
    assert [n.op_type for n in result.proto.graph.node] == [n.op_type for n in model.graph.node]
    assert {t.name: t.data_type for t in result.proto.graph.initializer}["wq"] == TensorProto.INT8


def test_the_deployed_results_stay_too() -> None:
    """With float weights the runtime no longer finds its quantised convolution, and rounds elsewhere."""
    result = optimize(quantised_network())
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
