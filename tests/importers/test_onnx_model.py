"""What arrives: names and notes, any node order, defaults, and one-line errors for what is no model."""

import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from convgraph.errors import InvalidModel
from convgraph.exporters.onnx_model import to_onnx
from convgraph.importers.onnx_model import from_onnx, load, read
from convgraph.ir.ops import Add, Relu
from convgraph.ir.ops.constant import Constant, Input
from convgraph.ir.ops.opaque import Opaque
from convgraph.ir.tensor import DataType

info = helper.make_tensor_value_info


def tensor(name: str, array: Any) -> TensorProto:
    return numpy_helper.from_array(np.asarray(array), name)


def model(graph: onnx.GraphProto, *, opset: int = 17, ir_version: int = 8, **fields: Any) -> ModelProto:
    imports = fields.pop("opsets", [helper.make_opsetid("", opset)])
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version, **fields)


def chain(*nodes: onnx.NodeProto, **fields: Any) -> ModelProto:
    """Nodes from x (2, 3) to y with initializers w (3,) and v (3,)."""
    constants = [tensor("w", np.float32([1, -2, 3])), tensor("v", np.float32([4, 5, -6]))]
    graph = helper.make_graph(list(nodes), "chain", [info("x", 1, [2, 3])], [info("y", 1, [2, 3])], constants)
    return model(graph, **fields)


def add_relu() -> ModelProto:
    return chain(
        helper.make_node("Add", ["x", "w"], ["a"], name="sum"), helper.make_node("Relu", ["a"], ["y"])
    )


# ---- sources ----


def test_a_model_is_read_from_a_path_bytes_a_file_object_or_a_message(tmp_path: Path) -> None:
    proto = add_relu()
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    with path.open("rb") as file:
        models = [
            read(s) for s in (str(path), path, path.read_bytes(), file, io.BytesIO(path.read_bytes()), proto)
        ]
    assert all(found == proto for found in models)
    assert to_onnx(load(path)) == to_onnx(from_onnx(proto))


def _garbage() -> dict[str, tuple[bytes, str]]:
    whole = add_relu().SerializeToString()
    renamed = add_relu()
    renamed.graph.name = "ab"
    return {
        "empty": (b"", "an empty file"),
        "text": (b"hello, this is not a model\n" * 9, "text"),
        "truncated": (whole[:-30], "truncated or corrupted"),
        "cut in the middle": (whole[: len(whole) // 2], "truncated or corrupted"),
        "zeros": (bytes(100), "truncated or corrupted"),
        "bytes that are no UTF-8": (
            renamed.SerializeToString().replace(b"\x02ab", b"\x02\xff\xfe"),
            "b'\\xff\\xfe'",
        ),
        "no graph": (ModelProto(ir_version=8).SerializeToString(), "no graph"),
        "a graph without anything": (model(onnx.GraphProto(name="g")).SerializeToString(), "no graph"),
        "ir version 99": (chain(ir_version=99).SerializeToString(), "IR version 99"),
    }


@pytest.mark.parametrize("case", _garbage())
def test_what_is_no_model_is_one_line_that_names_the_file_first(case: str, tmp_path: Path) -> None:
    data, found = _garbage()[case]
    path = tmp_path / "bad.onnx"
    path.write_bytes(data)
    with pytest.raises(InvalidModel) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert found in message
    assert "\n" not in message


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(InvalidModel, match=r"an unreadable file \(.*\); an ONNX model"):
            load(path)


def test_a_corrupted_byte_never_escapes_as_another_error() -> None:
    rng = np.random.default_rng(7)
    whole = add_relu().SerializeToString()
    outcomes: Counter[str] = Counter()
    for _ in range(600):
        data = bytearray(whole)
        data[rng.integers(len(data))] = rng.integers(256)
        outcomes[_outcome(bytes(data))] += 1
    assert set(outcomes) == {"loads", "refused in one line"}


def _outcome(data: bytes) -> str:
    try:
        to_onnx(load(data))
    except InvalidModel as error:
        return "refused in one line" if "\n" not in str(error) else str(error)
    return "loads"


def _invalid() -> dict[str, tuple[ModelProto, str]]:
    relu, add = helper.make_node("Relu", ["a"], ["y"]), helper.make_node("Add", ["x", "w"], ["a"])
    loop = (
        helper.make_node("Add", ["b", "x"], ["a"], name="p"),
        helper.make_node("Neg", ["a"], ["b"], name="q"),
    )
    odd = chain(add, relu)
    odd.graph.initializer[0].data_type = 99
    odd_input = chain(add, relu)
    odd_input.graph.input[0].type.tensor_type.elem_type = 99
    short = chain(add, relu)
    short.graph.initializer[0].raw_data = b"1234"
    no_output = chain(add, relu)
    no_output.graph.output[0].name = "nobody"
    wrong = chain(helper.make_node("Relu", ["x"], ["y"]))
    wrong.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    conv = helper.make_node("Conv", ["x", "k"], ["y"], name="c", strides=[0, 1])
    mixed = helper.make_node("Add", ["x", "k"], ["y"], name="m")
    return {
        "a cycle": (chain(*loop, relu), "chain: a cycle (Add p -> Neg q -> Add p); an acyclic graph"),
        "a missing input": (chain(relu), "Relu y: missing input 'a'"),
        "a missing output": (no_output, "missing input 'nobody'"),
        "an unknown element type": (odd, "w: element type 99"),
        "an unknown element type of an input": (odd_input, "x: element type 99"),
        "too little data": (short, "w: 4 bytes of data; 12 for float32 (3,)"),
        "two values of one name": (chain(add, add, relu), "a: two values with this name"),
        "two initializers of one name": (
            model(helper.make_graph([], "g", [], [info("w", 1, [1])], [tensor("w", [1]), tensor("w", [2])])),
            "w: two values with this name",
        ),
        "a newer opset": (chain(add, relu, opset=999), "opset_import: ONNX opset 999"),
        "no opset": (
            chain(add, relu, opsets=[helper.make_opsetid("other", 1)]),
            "opset_import: no ONNX opset",
        ),
        "an illegal attribute": (with_kernel(conv), "Conv c: strides=(0, 1)"),
        "an attribute of another kind": (
            chain(helper.make_node("LeakyRelu", ["x"], ["y"], name="l", alpha=1)),
            "LeakyRelu l: attribute alpha of kind INT; kind FLOAT",
        ),
        "operands that do not fit": (with_kernel(mixed), "Add m: "),
        "a missing attribute": (
            chain(helper.make_node("Concat", ["x"], ["y"], name="j")),
            "Concat j: no axis",
        ),
        "an output of another type": (wrong, "y: stated type int64[2, 3]; type float32[2, 3]"),
    }


def with_kernel(node: onnx.NodeProto) -> ModelProto:
    """One node from x (1, 3, 8, 6) with a weight k (4, 3, 2, 2)."""
    k = tensor("k", np.ones((4, 3, 2, 2), np.float32))
    return model(
        helper.make_graph([node], "g", [info("x", 1, [1, 3, 8, 6])], [info("y", 1, [None] * 4)], [k])
    )


@pytest.mark.parametrize("case", _invalid())
def test_an_invalid_model_is_named(case: str) -> None:
    proto, message = _invalid()[case]
    with pytest.raises(InvalidModel) as caught:
        from_onnx(proto)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_file_comes_before_the_node(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(_invalid()["a missing input"][0].SerializeToString())
    with pytest.raises(InvalidModel) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: Relu y: missing input 'a'; ")


# ---- structure ----


def test_nodes_may_come_in_any_order() -> None:
    nodes = [
        helper.make_node("Relu", ["c"], ["y"]),
        helper.make_node("Neg", ["x"], ["n"]),
        helper.make_node("Add", ["n", "w"], ["c"]),
    ]
    graph = from_onnx(chain(*nodes))
    result = to_onnx(graph)
    assert [n.op_type for n in result.graph.node] == ["Neg", "Add", "Relu"]
    onnx.checker.check_model(result, full_check=True)


def test_an_initializer_that_is_an_input_is_a_default() -> None:
    proto = add_relu()
    proto.graph.input.append(info("w", 1, [3]))
    graph = from_onnx(proto)
    (w,) = [graph.producer(v) for v in graph.inputs if graph.value_name(v) == "w"]
    assert isinstance(w, Input)
    assert w.default is not None
    assert w.default.numpy().tolist() == [1, -2, 3]
    result = to_onnx(graph)
    assert [v.name for v in result.graph.input] == ["x", "w"]
    assert [t.name for t in result.graph.initializer] == ["w", "v"]
    frozen = from_onnx(proto, freeze_defaults=True)
    assert [frozen.value_name(v) for v in frozen.inputs] == ["x"]
    assert isinstance(frozen.producer(frozen.value("w")), Constant)


def test_before_ir_version_4_such_an_initializer_is_a_constant() -> None:
    proto = add_relu()
    proto.ir_version = 3
    proto.graph.input.extend([info("w", 1, [3]), info("v", 1, [3])])
    graph = from_onnx(proto)
    assert [graph.value_name(v) for v in graph.inputs] == ["x"]
    assert isinstance(graph.producer(graph.value("v")), Constant)


CONSTANTS: dict[str, tuple[dict[str, Any], Any]] = {
    "value": ({"value": tensor("t", np.float64([[1.5], [2]]))}, np.float64([[1.5], [2]])),
    "value_float": ({"value_float": 0.5}, np.float32(0.5)),
    "value_floats": ({"value_floats": [0.5, -1.0]}, np.float32([0.5, -1])),
    "value_int": ({"value_int": -3}, np.int64(-3)),
    "value_ints": ({"value_ints": [3, 4]}, np.int64([3, 4])),
    "value_string": ({"value_string": "ä"}, np.array("ä", dtype=object)),
    "value_strings": ({"value_strings": ["a", "b"]}, np.array(["a", "b"], dtype=object)),
}


@pytest.mark.parametrize("form", CONSTANTS)
def test_every_form_of_constant_node_becomes_an_initializer(form: str) -> None:
    attributes, expected = CONSTANTS[form]
    node = helper.make_node("Constant", [], ["y"], **attributes)
    code = int(DataType.of(np.asarray(expected).dtype))
    proto = model(helper.make_graph([node], "g", [], [info("y", code, np.shape(expected))]))
    graph = from_onnx(proto)
    found = graph.constant(graph.value("y"))
    assert found is not None
    assert found.shape == np.shape(expected)
    assert found.dtype == code
    assert found.numpy().tolist() == np.asarray(expected).tolist()
    result = to_onnx(graph)
    assert [t.name for t in result.graph.initializer] == ["y"]
    onnx.checker.check_model(result, full_check=True)


def test_sparse_constants_and_initializers_survive() -> None:
    values, indices = tensor("s", np.float32([5, 7])), tensor("", np.int64([1, 4]))
    sparse = helper.make_sparse_tensor(values, indices, [6])
    graph = helper.make_graph(
        [
            helper.make_node("Constant", [], ["c"], sparse_value=sparse),
            helper.make_node("Add", ["s", "c"], ["y"]),
        ],
        "g",
        [],
        [info("y", 1, [6])],
        sparse_initializer=[sparse],
    )
    result = to_onnx(from_onnx(model(graph)))
    assert [n.op_type for n in result.graph.node] == ["Add"]
    other = helper.make_sparse_tensor(tensor("c", np.float32([5, 7])), indices, [6])
    assert list(result.graph.sparse_initializer) == [sparse, other]
    assert to_onnx(from_onnx(result)) == result


def test_a_sparse_constant_stays_a_node_in_old_files_and_where_it_has_a_name() -> None:
    sparse = helper.make_sparse_tensor(tensor("c", np.float32([5])), tensor("", np.int64([1])), [6])
    for name, version in (("", 4), ("named", 10)):
        nodes = [
            helper.make_node("Constant", [], ["c"], name=name, sparse_value=sparse),
            helper.make_node("Relu", ["c"], ["y"]),
        ]
        proto = model(helper.make_graph(nodes, "g", [], [info("y", 1, [6])]))
        proto.ir_version = version
        assert [n.op_type for n in to_onnx(from_onnx(proto)).graph.node] == ["Constant", "Relu"]


def test_odd_but_legal_outputs_survive() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["a"])]
    outputs = [info(n, 1, [2, 3]) for n in ("x", "a", "w")]
    inputs = [info("x", 1, [2, 3]), info("unused", 7, ["K"])]
    proto = model(helper.make_graph(nodes, "g", inputs, outputs, [tensor("w", np.ones((2, 3), np.float32))]))
    result = to_onnx(from_onnx(proto))
    assert list(result.graph.input) == inputs
    assert list(result.graph.output) == outputs


def test_the_same_value_twice_as_output_survives() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["a"])]
    proto = model(helper.make_graph(nodes, "g", [info("x", 1, [2])], [info("a", 1, [2])] * 2))
    assert [v.name for v in to_onnx(from_onnx(proto)).graph.output] == ["a", "a"]


def test_empty_operands_and_results_keep_their_places() -> None:
    lstm = helper.make_node("LSTM", ["x", "w", "r", "", "", "h"], ["", "y", ""], hidden_size=2)
    graph = helper.make_graph(
        [lstm],
        "g",
        [info("x", 1, [4, 3, 5]), info("h", 1, [1, 3, 2])],
        [info("y", 1, [1, 3, 2])],
        [tensor("w", np.ones((1, 8, 5), np.float32)), tensor("r", np.ones((1, 8, 2), np.float32))],
    )
    (node,) = to_onnx(from_onnx(model(graph))).graph.node
    assert list(node.input) == ["x", "w", "r", "", "", "h"]
    assert list(node.output) == ["", "y", ""]


def test_names_notes_and_carried_fields_survive() -> None:
    proto = add_relu()
    proto.producer_name, proto.producer_version, proto.domain = "maker", "1.2", "org.example"
    proto.model_version, proto.doc_string = 7, "a model"
    proto.metadata_props.add(key="k", value="v")
    graph = proto.graph
    graph.doc_string = "a graph"
    graph.metadata_props.add(key="gk", value="gv")
    graph.node[0].doc_string = "a node"
    graph.node[0].metadata_props.add(key="nk", value="nv")
    graph.input[0].doc_string = "an input"
    graph.input[0].metadata_props.add(key="ik", value="iv")
    graph.initializer[0].doc_string = "a weight"
    graph.initializer[0].metadata_props.add(key="wk", value="wv")
    graph.value_info.append(info("a", 1, [2, 3], "a value"))
    graph.quantization_annotation.add(tensor_name="a").quant_parameter_tensor_names.add(
        key="SCALE", value="w"
    )
    body = [helper.make_node("Neg", ["p"], ["q"])]
    proto.functions.append(
        helper.make_function("org.example", "Twice", ["p"], ["q"], body, [helper.make_opsetid("", 17)])
    )
    proto.opset_import.add(domain="org.example", version=3)
    proto.training_info.add().algorithm.name = "sgd"
    result = to_onnx(from_onnx(proto))
    assert result.SerializeToString(deterministic=True) == proto.SerializeToString(deterministic=True)


def test_fields_of_a_node_without_a_place_in_the_ir_survive() -> None:
    proto = add_relu()
    proto.ir_version = 11
    proto.graph.node[1].device_configurations.add(configuration_id="c", pipeline_stage=2)
    proto.graph.node[1].overload = "fast"
    graph = from_onnx(proto)
    assert to_onnx(graph).graph.node[1] == proto.graph.node[1]


def test_calls_of_functions_and_other_domains_are_opaque() -> None:
    proto = chain(
        helper.make_node("Relu", ["x"], ["a"], domain="custom", gain=0.5),
        helper.make_node("Frobnicate", ["a"], ["b"]),
        helper.make_node("Relu", ["b"], ["y"], domain="ai.onnx"),
        opsets=[helper.make_opsetid("", 17), helper.make_opsetid("custom", 1)],
    )
    graph = from_onnx(proto)
    assert [graph.op(n).label for n in graph.compute_nodes()] == ["custom::Relu", "Frobnicate", "Relu"]
    assert [type(graph.op(n)) for n in graph.compute_nodes()] == [Opaque, Opaque, Relu]
    assert [n.domain for n in to_onnx(graph).graph.node] == ["custom", "", ""]


def test_types_are_our_own_inference_then_the_stated_ones() -> None:
    proto = chain(
        helper.make_node("Add", ["x", "w"], ["a"]),
        helper.make_node("Custom", ["a"], ["c"], domain="custom"),
        helper.make_node("Relu", ["c"], ["y"]),
        opsets=[helper.make_opsetid("", 17), helper.make_opsetid("custom", 1)],
    )
    proto.graph.input[0].CopyFrom(info("x", 1, ["N", 3]))
    proto.graph.output[0].CopyFrom(info("y", 1, ["N", None]))
    proto.graph.value_info.extend([info("a", 1, [None, None]), info("c", 1, ["M", 3])])
    graph = from_onnx(proto)
    types = {name: str(graph.type(graph.value(name))) for name in "acy"}
    assert types == {"a": "float32[N, 3]", "c": "float32[M, 3]", "y": "float32[N, 3]"}
    assert [v.name for v in to_onnx(graph).graph.value_info] == ["a", "c"]


@pytest.mark.parametrize(("size", "asked"), [(2, 0), ("N", 1)])
def test_onnx_is_asked_once_and_only_where_a_type_is_not_known(
    size: int | str, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    proto, calls = add_relu(), 0
    proto.graph.input[0].CopyFrom(info("x", 1, [size, 3]))
    proto.graph.output[0].CopyFrom(info("y", 1, [size, 3]))

    def infer_shapes(bare: ModelProto) -> ModelProto:
        nonlocal calls
        calls += 1
        return bare

    monkeypatch.setattr(onnx.shape_inference, "infer_shapes", infer_shapes)
    graph = from_onnx(proto)
    assert calls == asked
    assert str(graph.type(graph.value("a"))) == f"float32[{size}, 3]"


def test_opaque_results_have_the_types_onnx_infers() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("ConstantOfShape", ["s"], ["c"]),
        helper.make_node("NonZero", ["x"], ["z"]),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ]
    graph = from_onnx(chain(*nodes))
    types = {name: str(graph.type(graph.value(name))) for name in "scz"}
    assert types == {"s": "int64[2]", "c": "float32[2, 3]", "z": "int64[2, ?]"}


def test_sequences_survive_with_their_type() -> None:
    nodes = [
        helper.make_node("SequenceConstruct", ["x", "x"], ["s"]),
        helper.make_node("Identity", ["s"], ["t"]),
        helper.make_node("SequenceAt", ["t", "i"], ["y"]),
    ]
    constants = [tensor("i", np.int64(0))]
    outputs = [info("y", 1, [2, 3]), helper.make_tensor_sequence_value_info("t", 1, [2, 3])]
    proto = model(helper.make_graph(nodes, "g", [info("x", 1, [2, 3])], outputs, constants))
    result = to_onnx(from_onnx(proto))
    assert list(result.graph.output) == outputs
    onnx.checker.check_model(result, full_check=True)


def test_a_weight_shared_by_two_nodes_is_one_constant() -> None:
    graph = from_onnx(
        chain(helper.make_node("Add", ["x", "w"], ["a"]), helper.make_node("Add", ["a", "w"], ["y"]))
    )
    assert len(graph.readers(graph.value("w"))) == 2
    assert all(isinstance(graph.op(n), Add) for n in graph.compute_nodes())


def test_importing_reads_no_weight() -> None:
    graph = from_onnx(with_kernel(helper.make_node("Conv", ["x", "k"], ["y"])))
    tensor_ = graph.constant(graph.value("k"))
    assert tensor_ is not None
    assert tensor_._array is None
    tensor_.numpy()
    assert tensor_._array is not None
