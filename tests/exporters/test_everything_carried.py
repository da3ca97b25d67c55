"""One model with everything a model file can say: all of it is in the file that is written."""

import numpy as np
import onnx
from onnx import AttributeProto, ModelProto, TensorProto, helper, numpy_helper

import convgraph

TYPES = tuple(
    kind
    for kind in TensorProto.DataType.values()
    if kind not in (TensorProto.UNDEFINED, TensorProto.STRING, TensorProto.BOOL)
)
SHAPE = (1, 4, 8, 8)


def value(
    name: str, *, kind: int = TensorProto.FLOAT, shape: tuple[int | str, ...] = SHAPE
) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def note(message: object, key: str) -> None:
    message.metadata_props.add(key=key, value=f"{key} value")  # type: ignore[attr-defined] - any of ONNX's


def tensor(name: str, kind: int) -> TensorProto:
    """Four elements of a type, as raw bytes: the one spelling that is written."""
    numbers = numpy_helper.to_array(helper.make_tensor(name, kind, [4], [1, 0, 1, 1]))
    return numpy_helper.from_array(numbers, name)


def function() -> onnx.FunctionProto:
    constant = helper.make_node("Constant", [], ["s"])
    constant.attribute.append(
        AttributeProto(name="value_float", ref_attr_name="scale", type=AttributeProto.FLOAT)
    )
    body = [constant, helper.make_node("Mul", ["a", "s"], ["b"], doc_string="inside a function")]
    local = helper.make_function(
        "local", "Scaled", ["a"], ["b"], body, [helper.make_opsetid("", 23)], ["scale"], overload="float"
    )
    local.doc_string = "function"
    note(local, "function")
    return local


def nodes() -> list[onnx.NodeProto]:
    made = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1], doc_string="node"),
        helper.make_node("Clip", ["c", "", "six"], ["clipped"], name="clip"),
        helper.make_node("Mul", ["clipped", "clipped"], ["squared"]),
        helper.make_node("Identity", ["words"], ["same_words"]),
        helper.make_node("SequenceConstruct", ["squared", "clipped"], ["sequence"]),
        helper.make_node("Optional", ["squared"], ["optional"]),
        helper.make_node("Custom", ["squared"], ["customised"], domain="com.acme", alpha=1.5, name="custom"),
        helper.make_node("Scaled", ["customised"], ["scaled"], domain="local", scale=3.0, overload="float"),
        helper.make_node("MatMul", ["squared", "sparse"], ["multiplied"]),
    ]
    note(made[0], "node")
    made[0].device_configurations.add(configuration_id="two")
    return made


def graph() -> onnx.GraphProto:
    rng = np.random.default_rng(0)
    weight = numpy_helper.from_array(rng.normal(size=(4, 3, 3, 3)).astype(np.float32), "w")
    weight.doc_string = "weights"
    note(weight, "weights")
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.array([1.5, -2.0], np.float32), "sparse"),
        numpy_helper.from_array(np.array([3, 10], np.int64), "places"),
        [8, 8],
    )
    odd = {f"i{kind}": tensor(f"i{kind}", kind) for kind in TYPES}
    optional = helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, SHAPE))
    made = helper.make_graph(
        [*nodes(), *(helper.make_node("Identity", [name], [f"o_{name}"]) for name in odd)],
        "everything",
        [
            value("x", shape=(1, 3, 8, 8)),
            value("w", shape=(4, 3, 3, 3)),
            value("unused", kind=TensorProto.INT32, shape=("n", 2)),
            value("through", shape=("batch",)),
        ],
        [
            *(value(name) for name in ("squared", "scaled", "multiplied")),
            value("same_words", kind=TensorProto.STRING, shape=(2,)),
            helper.make_tensor_sequence_value_info("sequence", TensorProto.FLOAT, None),
            helper.make_value_info("optional", optional),
            value("through", shape=("batch",)),
            *(value(f"o_{name}", kind=odd[name].data_type, shape=(4,)) for name in odd),
        ],
        [
            weight,
            numpy_helper.from_array(np.float32(6), "six"),
            helper.make_tensor("words", TensorProto.STRING, [2], [b"a", b"b\xc3\xa9"]),
            *odd.values(),
        ],
        doc_string="graph",
        value_info=[value("c")],
        sparse_initializer=[sparse],
    )
    made.input[0].doc_string = "input"
    made.input[0].type.denotation = "IMAGE"
    made.input[0].type.tensor_type.shape.dim[1].denotation = "DATA_CHANNEL"
    note(made.input[0], "input")
    note(made, "graph")
    scale = made.quantization_annotation.add(tensor_name="squared")
    scale.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="six")
    return made


def everything() -> ModelProto:
    """Opset 23, file format 11."""
    domains = {"": 23, "com.acme": 3, "local": 1, "unused.domain": 7}
    model = helper.make_model(
        graph(),
        producer_name="producer",
        producer_version="9",
        opset_imports=[helper.make_opsetid(*domain) for domain in domains.items()],
        functions=[function()],
        ir_version=11,
    )
    model.domain, model.model_version, model.doc_string = "org.example", 42, "model"
    note(model, "model")
    start = helper.make_graph(
        [helper.make_node("Constant", [], ["start"], value_float=1.0)],
        "initialization",
        [],
        [value("start", shape=())],
    )
    training = model.training_info.add()
    training.initialization.CopyFrom(start)
    training.initialization_binding.add(key="w", value="start")
    model.configuration.add(name="two", num_devices=2)
    return model


def test_a_round_trip_loses_nothing() -> None:
    model = everything()
    onnx.checker.check_model(model)
    written = convgraph.optimize(model, passes=[], verify=False).proto
    for proto in (model, written):  # a file need not say which types are constants' before the others'
        proto.graph.initializer.sort(key=lambda t: t.name)
    assert written == model


def test_optimizing_leaves_what_it_does_not_touch() -> None:
    model = everything()
    written = convgraph.optimize(model, skip=["inline-local-function"], verify=False).proto
    onnx.checker.check_model(written)
    for field in ("functions", "training_info", "configuration", "metadata_props", "opset_import"):
        assert getattr(written, field) == getattr(model, field), field
    for field in ("input", "output", "sparse_initializer", "quantization_annotation", "metadata_props"):
        assert getattr(written.graph, field) == getattr(model.graph, field), field
    kept = {node.name: node for node in written.graph.node}
    assert kept["conv"].doc_string == "node"
    assert kept["conv"].device_configurations == model.graph.node[0].device_configurations
    assert kept["custom"] == next(node for node in model.graph.node if node.name == "custom")
    assert next(t for t in written.graph.initializer if t.name == "w").doc_string == "weights"
