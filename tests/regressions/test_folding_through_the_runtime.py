"""Constants that only the runtime can compute: each result goes where it belongs, or the node stays."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from convgraph.compiler.optimize import optimize
from convgraph.ir.tensor import Array, Tensor
from convgraph.numerics.session import run_model


def weights(name: str, *shape: int) -> onnx.TensorProto:
    """Seeded signed numbers."""
    drawn = np.random.default_rng(sum(name.encode())).normal(size=shape)
    return numpy_helper.from_array(drawn.astype(np.float32), name)


def one_node(node: onnx.NodeProto, *operands: onnx.TensorProto, output: tuple[str, int]) -> onnx.ModelProto:
    """A model of one node that reads nothing but initializers."""
    result = helper.make_tensor_value_info(output[0], output[1], None)
    graph = helper.make_graph([node], "g", [], [result], list(operands))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_blank_first_result_does_not_shift_the_others() -> None:
    node = helper.make_node("GRU", ["x", "w", "r"], ["", "h"], hidden_size=5)
    operands = [weights("x", 4, 3, 2), weights("w", 1, 15, 2), weights("r", 1, 15, 5)]
    model = one_node(node, *operands, output=("h", TensorProto.FLOAT))
    result = optimize(model, verify=False)
    assert not list(result.graph.compute_nodes())
    (expected,), (found,) = run_model(model, {}).values(), run_model(result.proto, {}).values()
    assert found.shape == (1, 3, 5)
    assert found.tobytes() == expected.tobytes()


def test_what_the_runtime_cannot_compute_stays() -> None:
    axis = numpy_helper.from_array(np.array(0), "axis")
    node = helper.make_node("CumSum", ["x", "axis"], ["y"])
    unsigned = numpy_helper.from_array(np.arange(12, dtype=np.uint32).reshape(3, 4), "x")
    model = one_node(node, unsigned, axis, output=("y", TensorProto.UINT32))
    result = optimize(model, verify=False)
    (refusal,) = result.trace.refusals
    assert refusal.rewrite == "fold-constants"
    assert refusal.requirement == "it_can_be_computed"
    assert [node.op_type for node in result.proto.graph.node] == ["CumSum"]


def test_a_result_of_another_type_than_inferred_stays() -> None:
    """ONNX infers the whole spectrum where STFT leaves half of it out by default."""
    step = numpy_helper.from_array(np.array(8), "step")
    length = numpy_helper.from_array(np.array(16), "length")
    node = helper.make_node("STFT", ["x", "step", "", "length"], ["y"])
    model = one_node(node, weights("x", 1, 128, 1), step, length, output=("y", TensorProto.FLOAT))
    result = optimize(model)
    assert [node.op_type for node in result.proto.graph.node] == ["STFT"]
    (expected,), (found,) = run_model(model, {}).values(), run_model(result.proto, {}).values()
    assert found.tobytes() == expected.tobytes()


def test_a_sparse_constant_stays() -> None:
    values = numpy_helper.from_array(np.array([1, -2, 3], dtype=np.float32), "k")
    places = numpy_helper.from_array(np.array([0, 3, 5]))
    sparse = helper.make_sparse_tensor(values, places, [7])
    nodes = [
        helper.make_node("Constant", [], ["k"], sparse_value=sparse),
        helper.make_node("Add", ["x", "k"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 7]) for name in "xy")
    graph = helper.make_graph(nodes, "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    result = optimize(model)
    assert result.verification is not None
    assert result.verification.equal


@pytest.mark.parametrize("number", [np.float32(1.5), np.float16(2), np.int64(-3), np.bool_(True)])
def test_a_single_number_is_a_tensor(number: Array) -> None:
    tensor = Tensor(number)
    assert tensor.shape == ()
    assert tensor.numpy().tolist() == number.item()


def test_folding_to_a_single_number() -> None:
    """Rounding and clipping in numpy make a number of an array without axes."""
    nodes = [
        helper.make_node("Round", ["a"], ["r"]),
        helper.make_node("Clip", ["r", "low", "high"], ["c"]),
        helper.make_node("Identity", ["c"], ["i"]),
        helper.make_node("Add", ["x", "i"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in "xy")
    numbers = {"a": 2.75, "low": 0.0, "high": 255.0}
    constants = [numpy_helper.from_array(np.array(v, dtype=np.float32), k) for k, v in numbers.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    result = optimize(model)
    assert result.verification is not None
    assert result.verification.equal
    assert [node.op_type for node in result.proto.graph.node] == ["Add"]
