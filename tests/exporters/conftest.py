"""Round trips through the IR, judged by onnx's checker and by onnxruntime bit for bit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto

from convgraph.exporters.onnx_model import to_onnx
from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.graph import Graph
from convgraph.ir.wellformed import check

Feeds = dict[str, Any]


def run_model(model: ModelProto, feeds: Feeds) -> list[Any]:
    """The outputs in onnxruntime without its optimisations, on one thread."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    outputs: list[Any] = session.run(None, feeds)
    return outputs


def feeds_for(model: ModelProto, *, seed: int = 0) -> Feeds:
    """Signed random inputs; a dimension that is not a number becomes 2."""
    rng = np.random.default_rng(seed)
    initialised = {tensor.name for tensor in model.graph.initializer}
    feeds = {}
    for value in model.graph.input:
        if value.name not in initialised:
            kind = value.type.tensor_type
            shape = [d.dim_value if d.HasField("dim_value") else 2 for d in kind.shape.dim]
            dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
            real = rng.standard_normal(shape) * 3
            feeds[value.name] = (real > 0) if dtype.kind == "b" else real.astype(dtype)
    return feeds


@pytest.fixture
def run() -> Callable[[ModelProto, Feeds], list[Any]]:
    return run_model


@pytest.fixture
def round_trip() -> Callable[..., Graph]:
    """Import and export a model; the same function bit for bit, the same bytes from then on."""

    def check_round_trip(model: ModelProto, *, feeds: Feeds | None = None) -> Graph:
        onnx.checker.check_model(model, full_check=True)
        before = model.SerializeToString(deterministic=True)
        graph = from_onnx(model)
        check(graph)
        result = to_onnx(graph)
        assert model.SerializeToString(deterministic=True) == before
        onnx.checker.check_model(result, full_check=True)
        assert {o.domain: o.version for o in result.opset_import} == {
            o.domain: o.version for o in model.opset_import
        }
        written = result.SerializeToString(deterministic=True)
        assert to_onnx(from_onnx(model)).SerializeToString(deterministic=True) == written
        assert to_onnx(from_onnx(result)).SerializeToString(deterministic=True) == written
        given = feeds_for(model) if feeds is None else feeds
        expected, found = run_model(model, given), run_model(result, given)
        assert len(found) == len(expected) > 0
        for old, new in zip(expected, found, strict=True):
            assert (new.dtype, new.shape) == (old.dtype, old.shape)
            assert new.tobytes() == old.tobytes()
        return graph

    return check_round_trip
