"""Constant data of files: every storage form, and external data that stays where it should."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from convgraph.errors import InvalidModel
from convgraph.exporters.onnx_model import save
from convgraph.importers.onnx_model import from_onnx, load
from convgraph.importers.onnx_tensors import read_tensor


def stored(array: Any, dtype: int) -> TensorProto:
    """A tensor whose elements are in typed fields rather than raw bytes."""
    return helper.make_tensor("t", dtype, np.shape(array), np.asarray(array).reshape(-1).tolist())


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([[0.5, -2.0], [3.0, 1e-3]], TensorProto.FLOAT),
        ([1.5, -2.25], TensorProto.DOUBLE),
        ([[1], [-2], [3]], TensorProto.INT8),
        ([1, 2**40], TensorProto.INT64),
        ([1, 2**63], TensorProto.UINT64),
        ([1, 2**31], TensorProto.UINT32),
        ([0.5, -4.0], TensorProto.FLOAT16),
        ([0.5, -4.0], TensorProto.BFLOAT16),
        ([True, False, True], TensorProto.BOOL),
        ([1 + 2j, -3j], TensorProto.COMPLEX64),
        ([1 + 2j], TensorProto.COMPLEX128),
        ([1, -8, 7], TensorProto.INT4),
        ([1, 15, 7], TensorProto.UINT4),
        ([0.5, 6.0, -1.5], TensorProto.FLOAT4E2M1),
        ([0.5, 2.0], TensorProto.FLOAT8E4M3FN),
    ],
)
def test_typed_fields_are_read_exactly(values: Any, dtype: int) -> None:
    tensor = read_tensor(stored(values, dtype), base_dir=None)
    assert tensor.dtype == dtype
    assert tensor.shape == np.shape(values)
    expected = np.asarray(values).astype(tensor.dtype.numpy)
    assert tensor.numpy().tolist() == expected.tolist()


def test_too_few_numbers_in_a_typed_field_are_refused() -> None:
    proto = stored([1.0, 2.0, 3.0], TensorProto.FLOAT)
    proto.dims[0] = 4
    with pytest.raises(InvalidModel, match=r"t: 3 numbers of data; 4 for float32 \(4,\)"):
        read_tensor(proto, base_dir=None)


def external_model(
    folder: Path, *, location: str = "w.bin", offset: int = 16, length: int = 96
) -> ModelProto:
    """A model whose weight (4, 6) lies in a file beside it, and writes that file."""
    data = np.random.default_rng(5).standard_normal((4, 6)).astype(np.float32)
    (folder / "w.bin").write_bytes(bytes(16) + data.tobytes())
    proto = TensorProto(
        name="w", data_type=TensorProto.FLOAT, dims=[4, 6], data_location=TensorProto.EXTERNAL
    )
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        proto.external_data.add(key=key, value=value)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [value("x", 1, [3, 4])],
        [value("y", 1, [3, 6])],
        [proto],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return model


def test_external_data_is_mapped_when_read(tmp_path: Path) -> None:
    external_model(tmp_path)
    graph = load(tmp_path / "m.onnx")
    tensor = graph.constant(graph.value("w"))
    assert tensor is not None
    expected = np.random.default_rng(5).standard_normal((4, 6)).astype(np.float32)
    found = tensor.numpy()
    assert found.tobytes() == expected.tobytes()
    beneath: object = found
    while isinstance(beneath, np.ndarray) and not isinstance(beneath, np.memmap):
        beneath = beneath.base
    assert isinstance(beneath, np.memmap)
    assert not found.flags.writeable


def test_small_external_numbers_take_part_in_inference(tmp_path: Path) -> None:
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Reshape", ["x", "s"], ["r"]), helper.make_node("NonZero", ["r"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", 1, [6, 4])],
            [helper.make_tensor_value_info("y", 7, [None, None])],
            [numpy_helper.from_array(np.int64([2, 3, 4]), "s")],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="d", size_threshold=0)
    graph = load(tmp_path / "m.onnx")
    assert str(graph.type(graph.value("r"))) == "float32[2, 3, 4]"
    assert str(graph.type(graph.value("y"))) == "int64[3, ?]"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"location": "/etc/passwd"}, "a file inside the model's folder"),
        ({"location": "../w.bin"}, "a file inside the model's folder"),
        ({"location": "sub/../../w.bin"}, "a file inside the model's folder"),
        ({"location": ""}, "a file inside the model's folder"),
        ({"location": "link.bin"}, "a file inside the model's folder"),
        ({"location": "none.bin"}, "no external data file"),
        ({"offset": 32}, "external data up to byte 128 of w.bin; at most 112"),
        ({"length": 95}, "95 bytes of external data; 96 bytes for float32"),
        ({"offset": -1}, "a number"),
    ],
)
def test_external_data_must_fit_and_stay_in_the_folder(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "w.bin").write_bytes(bytes(200))
    (folder / "link.bin").symlink_to(tmp_path / "w.bin")
    external_model(folder, **change)
    with pytest.raises(InvalidModel) as caught:
        load(folder / "m.onnx")
    assert str(caught.value).startswith(f"{folder / 'm.onnx'}: w: ")
    assert message in str(caught.value)


def test_external_data_inside_a_node_or_a_function_goes_along_elsewhere(tmp_path: Path) -> None:
    outside = external_model(tmp_path).graph.initializer[0]
    inside = numpy_helper.from_array(np.random.default_rng(5).standard_normal((4, 6)).astype(np.float32), "w")
    body = helper.make_graph([], "body", [], [helper.make_tensor_value_info("w", 1, [4, 6])], [outside])
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Op", ["x"], ["z"], domain="acme", t=outside, ts=[inside, outside], bodies=[body]),
        helper.make_node("shift", ["z"], ["y"], domain="own"),
    ]
    held = helper.make_node("Constant", [], ["w"], value=outside)
    shift = helper.make_function(
        "own", "shift", ["v"], ["u"], [held, helper.make_node("Add", ["v", "w"], ["u"])], []
    )
    shift.opset_import.add(domain="", version=17)
    model = helper.make_model(
        helper.make_graph(nodes, "g", [value("x", 1, [4, 6])], [value("y", 1, [4, 6])]),
        opset_imports=[helper.make_opsetid(d, v) for d, v in (("", 17), ("acme", 1), ("own", 1))],
        ir_version=8,
        functions=[shift],
    )
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    save(load(tmp_path / "m.onnx"), elsewhere / "m.onnx")
    written = onnx.load(elsewhere / "m.onnx")  # raises for a reference to a file that is not there
    attributes = {a.name: a for a in written.graph.node[0].attribute}
    found = [attributes["t"].t, *attributes["ts"].tensors, attributes["bodies"].graphs[0].initializer[0]]
    found.append(written.functions[0].node[0].attribute[0].t)
    assert [tensor.data_location for tensor in found] == [TensorProto.DEFAULT] * 5
    assert [tensor.raw_data for tensor in found] == [inside.raw_data] * 5


def test_external_data_needs_a_folder(tmp_path: Path) -> None:
    model = external_model(tmp_path)
    with pytest.raises(InvalidModel, match=r"w: external data in 'w\.bin'"):
        from_onnx(model)
    graph = from_onnx(model, base_dir=tmp_path)
    tensor = graph.constant(graph.value("w"))
    assert tensor is not None
    assert tensor.numpy().shape == (4, 6)
