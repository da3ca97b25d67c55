"""A model whose weights lie beside it is verified from whatever folder the command runs in."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from convgraph.compiler.optimize import optimize
from convgraph.compiler.verify import verify


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A model with its weights in a file beside it."""
    rng = np.random.default_rng(3)
    weight = numpy_helper.from_array(rng.normal(size=(4, 3, 3, 3)).astype(np.float32), "w")
    scale = numpy_helper.from_array(rng.normal(size=(4, 1, 1)).astype(np.float32), "s")
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Mul", ["c", "s"], ["y"])]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 9, 7])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4, 7, 5])
    graph = helper.make_graph(nodes, "g", [x], [y], [weight, scale])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    return tmp_path / "m.onnx"


def test_optimize(path: Path) -> None:
    result = optimize(path)
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    assert [node.op_type for node in result.proto.graph.node] == ["Conv"]


def test_optimize_with_a_shape(path: Path) -> None:
    result = optimize(path, input_shapes={"x": (2, 3, 9, 7)})
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason


def test_optimize_cut(path: Path) -> None:
    result = optimize(path, outputs=["c"])
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason


def test_verify(path: Path) -> None:
    outcome = verify(path, path)
    assert outcome.equal, outcome.reason
