"""A pool behind a Pad of zeros is the same function as deployed, however runtimes fuse the two."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto

from convgraph.exporters.onnx_model import to_onnx
from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import AveragePool, MaxPool, Pad, Relu
from convgraph.ir.tensor import DataType
from convgraph.numerics.evaluate import evaluate

Pool = MaxPool | AveragePool

UNDER = (0, 0, 1, 2, 0, 0, 2, 0)
OVER = (0, 0, 1, 2, 0, 0, 4, 3)
OPSETS = (10, 11, 13, 17, 18, 22, 24)
COUNTED = AveragePool(
    kernel_shape=(3, 3), strides=(1, 2), pads=(1, 0, 1, 2), dilations=(1, 1), count_include_pad=1
)

PLAIN: dict[str, tuple[Pool, tuple[int, ...]]] = {
    "largest": (MaxPool.of((3, 3)), UNDER),
    "largest, strides": (MaxPool.of((3, 2), strides=2), OVER),
    "largest, dilations": (MaxPool.of((3, 2), dilations=2), OVER),
    "largest, one pixel": (MaxPool.of((1, 1), strides=2), UNDER),
    "mean": (AveragePool.of((3, 3)), OVER),
    "mean, one pixel": (AveragePool.of((1, 1), strides=2), UNDER),
}
OWN: dict[str, tuple[Pool, tuple[int, ...]]] = {
    "largest": (MaxPool.of((3, 3), pads=(1, 2, 1, 0)), UNDER),
    "largest over": (MaxPool.of((3, 3), strides=2, pads=1), OVER),
    "mean": (COUNTED, UNDER),
    "mean over": (COUNTED, OVER),
}


def padded(
    pool: Pool,
    pads: tuple[int, ...],
    *,
    opset: int,
    spatial: tuple[int | str, ...] = (8, 6),
    readers: int = 1,
    dtype: DataType = DataType.FLOAT,
    fill: float | None = None,
) -> Graph:
    """A pool, or more, of data with ``fill`` around it."""
    b = GraphBuilder("net", opset=opset, ir_version=8)
    x = b.input("x", shape=("N", 3, *spatial), dtype=dtype)
    wide = b.add(Pad(), x, np.array(pads), None if fill is None else np.float32(fill), name="wide")
    for number in range(readers):
        b.output(b.add(pool, wide), name=f"y{number}")
    return b.build()


def data(dtype: DataType = DataType.FLOAT) -> Any:
    """Mostly negative numbers, so that added zeros are the largest."""
    drawn = np.random.default_rng(7).integers(-60, 4, (2, 3, 8, 6))
    return drawn.astype(dtype.numpy)


def deployed(model: ModelProto, feeds: Any) -> list[Any]:
    """The outputs with everything that onnxruntime does to a model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    outputs: list[Any] = session.run(None, {"x": feeds})
    return outputs


def operators(model: ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def assert_same_as_deployed(graph: Graph, feeds: Any) -> ModelProto:
    """The exported graph is right in onnxruntime, and comes back to the same bytes."""
    model = to_onnx(graph)
    onnx.checker.check_model(model, full_check=True)
    expected = evaluate(graph, {"x": feeds})
    for found, name in zip(deployed(model, feeds), expected, strict=True):
        np.testing.assert_allclose(found, expected[name], rtol=1e-6, atol=1e-5)
        assert found.shape == expected[name].shape
    assert to_onnx(graph) == model
    again = to_onnx(from_onnx(model))
    assert again.SerializeToString(deterministic=True) == model.SerializeToString(deterministic=True)
    return model


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("case", PLAIN)
@pytest.mark.parametrize("spatial", [(8, 6), ("H", "W")])
def test_a_pool_without_pads_of_its_own_says_so_by_rule(
    case: str, opset: int, spatial: tuple[int | str, ...]
) -> None:
    pool, pads = PLAIN[case]
    model = assert_same_as_deployed(padded(pool, pads, opset=opset, spatial=spatial), data())
    assert operators(model) == ["Pad", type(pool).__name__]
    assert {a.name: a.s for a in model.graph.node[1].attribute}["auto_pad"] == b"VALID"


@pytest.mark.parametrize("opset", [18, 21, 24])
@pytest.mark.parametrize("case", [name for name in OWN if name != "mean"])
def test_pads_of_its_own_stay_where_a_pad_can_name_its_axes(case: str, opset: int) -> None:
    pool, pads = OWN[case]
    model = assert_same_as_deployed(padded(pool, pads, opset=opset), data())
    assert operators(model) == ["Pad", type(pool).__name__]
    assert [len(node.input) for node in model.graph.node] == [4, 1]


@pytest.mark.parametrize("opset", [10, 11, 13, 17])
@pytest.mark.parametrize("case", [name for name in OWN if name.startswith("largest")])
def test_before_that_what_a_max_pool_leaves_out_is_a_pad_of_its_own(case: str, opset: int) -> None:
    pool, pads = OWN[case]
    model = assert_same_as_deployed(padded(pool, pads, opset=opset), data())
    assert operators(model) == ["Pad", "Pad", "MaxPool"]


@pytest.mark.parametrize("opset", [10, 11, 13, 17])
def test_before_that_the_pad_adds_the_zeros_of_an_average_pool(opset: int) -> None:
    pool, pads = OWN["mean over"]
    model = assert_same_as_deployed(padded(pool, pads, opset=opset), data())
    assert operators(model) == ["Pad", "AveragePool"]
    assert model.graph.node[0].output[0] != "wide"  # it is another value


@pytest.mark.parametrize("opset", [13, 17, 18])
def test_integers_have_a_lowest_number_too(opset: int) -> None:
    graph = padded(MaxPool.of((3, 3), pads=1), UNDER, opset=opset, dtype=DataType.INT8)
    assert_same_as_deployed(graph, data(DataType.INT8))


@pytest.mark.parametrize("opset", [13, 17, 18])
def test_zero_is_the_lowest_number_without_a_sign(opset: int) -> None:
    graph = padded(MaxPool.of((3, 3), pads=1), OVER, opset=opset, dtype=DataType.UINT8)
    model = assert_same_as_deployed(graph, data(DataType.INT8).astype(np.uint8))
    assert operators(model) == ["Pad", "MaxPool"]


def test_a_size_that_is_rounded_up_stays() -> None:
    pool = MaxPool.of((3, 3), strides=2, ceil_mode=1)
    model = assert_same_as_deployed(padded(pool, UNDER, opset=18), data())
    assert [len(node.input) for node in model.graph.node] == [4, 1]


def test_two_of_the_same_rank_share_their_axes() -> None:
    b = GraphBuilder("net", opset=18, ir_version=8)
    x: Value = b.input("x", shape=("N", 3, 8, 6))
    for _ in range(2):
        x = b.add(MaxPool.of((3, 3), pads=1), b.add(Pad(), x, np.array(UNDER)))
    b.output(x, name="y")
    model = assert_same_as_deployed(b.build(), data())
    first, second = (node.input[3] for node in model.graph.node if node.op_type == "Pad")
    assert first == second


@pytest.mark.parametrize(
    "graph",
    [
        padded(AveragePool.of((3, 3)), UNDER, opset=17),
        padded(COUNTED, (0,) * 8, opset=17),
        padded(AveragePool.of((3, 3), pads=1), OVER, opset=17),
        padded(MaxPool.of((3, 3)), OVER, opset=17, readers=2),
        padded(MaxPool.of((3, 3)), UNDER, opset=17, fill=-1.0),
        padded(MaxPool.of((3, 3)), (0, 0, -1, 0, 0, 0, 1, 1), opset=17),
        padded(MaxPool.of((3, 3)), (0, 1, 0, 0, 0, 0, 1, 1), opset=17),
    ],
)
def test_what_is_fused_rightly_or_not_at_all_is_written_as_it_is(graph: Graph) -> None:
    model = assert_same_as_deployed(graph, data())
    assert set(operators(model)) <= {"Pad", "AveragePool", "MaxPool"}
    assert "auto_pad" not in {a.name for node in model.graph.node for a in node.attribute}
    assert max(len(node.input) for node in model.graph.node) <= 3


def test_the_type_that_was_stated_of_a_pad_that_grows_is_not_stated_of_another() -> None:
    text = """<ir_version: 8, opset_import: ["" : 13]>
    net (float[N, 3, 8, 6] x) => (float[N, 3, 13, 6] y)
    <int64[8] pads = {0, 0, 1, 2, 0, 0, 4, 3}, float[N, 3, 13, 11] wide> {
        wide = Pad(x, pads)
        y = AveragePool <kernel_shape = [3, 3], strides = [1, 2], pads = [1, 0, 1, 2],
                         count_include_pad = 1> (wide)
    }"""
    graph = from_onnx(onnx.parser.parse_model(text))
    assert graph.has_value("wide")
    model = assert_same_as_deployed(graph, data())
    assert [value.name for value in model.graph.value_info] == []


def test_a_relu_between_them_changes_nothing() -> None:
    b = GraphBuilder("net", opset=17, ir_version=8)
    x = b.add(Relu(), b.add(Pad(), b.input("x", shape=(2, 3, 8, 6)), np.array(OVER)))
    b.output(b.add(MaxPool.of((3, 3)), x), name="y")
    model = assert_same_as_deployed(b.build(), data())
    assert operators(model) == ["Pad", "Relu", "MaxPool"]
