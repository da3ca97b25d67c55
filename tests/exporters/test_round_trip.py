"""Models of many opsets come back as they went in: same form, same function, bit for bit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from convgraph.exporters.onnx_model import to_onnx
from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.graph import Graph
from convgraph.ir.ops.opaque import Opaque

RoundTrip = Callable[..., Graph]


def weights(*shape: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def tensors(**arrays: Any) -> list[TensorProto]:
    return [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]


def node(op_type: str, inputs: str, outputs: str, **attributes: Any) -> NodeProto:
    names = ["" if name == "_" else name for name in inputs.split()]
    results = outputs.split()
    return helper.make_node(op_type, names, results, name=f"{op_type}_{results[0]}", **attributes)


def model(
    nodes: list[NodeProto],
    *,
    opset: int,
    inputs: dict[str, list[int | str]] | None = None,
    outputs: dict[str, int] | None = None,
    **constants: Any,
) -> ModelProto:
    """Inputs are float32, outputs of a known rank only; everything else is inferred."""
    shapes: dict[str, Any] = inputs or {"x": ["N", 6, 10, 8]}
    ins = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()]
    ranks = outputs or {nodes[-1].output[0]: 4}
    outs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None] * r) for n, r in ranks.items()]
    graph = helper.make_graph(nodes, "net", ins, outs, tensors(**constants))
    ir_version = 3 if opset < 9 else 4 if opset < 10 else 7 if opset < 14 else 8 if opset < 21 else 10
    if ir_version < 4:
        graph.input.extend(
            helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in graph.initializer
        )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


def ints(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


def old_net(opset: int) -> ModelProto:
    """Opsets 7 to 9: bounds, pads, sizes and axes are attributes."""
    scaled = (
        node("Upsample", "p", "u", mode="nearest", scales=[1.0, 1.0, 2.0, 3.0])
        if opset < 9
        else node("Upsample", "p k", "u", mode="nearest")
    )
    constants = {
        "w": weights(4, 3, 3, 2),
        "s": weights(4),
        "b": weights(4),
        "m": weights(4),
        "v": weights(4) ** 2,
    }
    if opset == 9:
        constants["k"] = np.array([1, 1, 2, 3], dtype=np.float32)
    return model(
        [
            node("Conv", "x w", "c", group=2, strides=[2, 1], pads=[1, 0, 1, 1], kernel_shape=[3, 2]),
            node("BatchNormalization", "c s b m v", "n", epsilon=0.01, momentum=0.8),
            node("Clip", "n", "r", min=0.0, max=6.0),
            node("Dropout", "r", "d", ratio=0.3),
            node("Pad", "d", "p", pads=[0, 0, 1, 2, 0, 0, 0, 1], mode="constant", value=-1.5),
            scaled,
            node("Slice", "u", "l", starts=[1, 0], ends=[9, -2], axes=[2, 3]),
            node("Split", "l", "a1 a2", axis=1, split=[1, 3]),
            node("ReduceMean", "a2", "e", axes=[2, 3], keepdims=0),
            node("Unsqueeze", "e", "q", axes=[2]),
            node("Squeeze", "q", "z", axes=[2]),
            node("Softmax", "z", "y", axis=1),
            node("ReduceSum", "a1", "t", axes=[1], keepdims=1),
        ],
        opset=opset,
        outputs={"y": 2, "t": 4},
        **constants,
    )


def resize_net(opset: int) -> ModelProto:
    """Opsets 10 to 12: Resize gains its modes, Slice, Clip and Pad their operands."""
    constants = {"w": weights(4, 6, 3, 3), "k": np.array([1, 1, 1.5, 2], dtype=np.float32)}
    if opset >= 11:
        constants |= {"lo": np.float32(-1), "hi": np.float32(2), "roi": np.zeros(0, np.float32)}
        constants |= {"pads": ints(0, 0, 1, 0, 0, 0, 2, 1)}
    constants |= {"st": ints(1), "en": ints(2**31), "ax": ints(2), "sp": ints(2)}
    clip = node("Clip", "c lo hi", "r") if opset >= 11 else node("Clip", "c", "r", min=-1.0, max=2.0)
    pads = [0, 0, 1, 0, 0, 0, 2, 1]
    pad = (
        node("Pad", "r pads", "p", mode="edge")
        if opset >= 11
        else node("Pad", "r", "p", mode="edge", pads=pads)
    )
    if opset >= 11:
        resize = node("Resize", "p roi k", "u", mode="linear", coordinate_transformation_mode="half_pixel")
    else:
        resize = node("Resize", "p k", "u", mode="linear")
    return model(
        [
            node("Conv", "x w", "c", auto_pad="SAME_UPPER", strides=[2, 2]),
            clip,
            pad,
            resize,
            node("Slice", "u st en ax sp", "l"),
            node("Split", "l", "a1 a2", axis=1),
            node("MaxPool", "a1", "y i", kernel_shape=[2, 3], dilations=[1, 2], ceil_mode=1),
            node("ReduceMax", "a2", "t", axes=[-1]),
        ],
        opset=opset,
        outputs={"y": 4, "t": 4},
        **constants,
    )


def new_net(opset: int) -> ModelProto:
    """Opset 13 on: what can be an operand is one."""
    late = opset >= 18
    mean = node("ReduceMean", "l hw", "e", keepdims=1) if late else node("ReduceMean", "l", "e", axes=[2, 3])
    pad = node("Pad", "c p2 _ hw", "p", mode="reflect") if late else node("Pad", "c p4", "p", mode="reflect")
    split = node("Split", "p", "a1 a2", axis=1, num_outputs=2)
    sizes = {"axes": [2, 3]} if late else {}
    constants = {
        "w": weights(6, 4, 3, 2),
        "b": weights(4),
        "hw": ints(2, 3),
        "p2": ints(1, 0, 2, 1),
        "p4": ints(0, 0, 1, 0, 0, 0, 2, 1),
        "sz": ints(13, 9) if late else ints(2, 2, 13, 9),
        "sp": ints(3, 1),
        "lo": np.float32(-0.5),
    }
    return model(
        [
            node("ConvTranspose", "x w", "c", strides=[2, 1], output_padding=[1, 0], pads=[0, 1, 1, 0]),
            node("Clip", "c lo", "k"),
            pad,
            split if late else node("Split", "p sp", "a1 a2", axis=1),
            node("Resize", f"{'a2' if late else 'a1'} _ _ sz", "l", mode="cubic", cubic_coeff_a=-0.5, **sizes)
            if late
            else node("Resize", "p _ k4", "l", mode="nearest", nearest_mode="ceil"),
            mean,
            node("Squeeze", "e hw", "q"),
            node("Softmax", "q", "y"),
            node("ReduceSum", "k hw", "t", keepdims=0, noop_with_empty_axes=1),
            node("Unsqueeze", "t hw", "z"),
        ],
        opset=opset,
        inputs={"x": [2, 6, 10, 8]},
        outputs={"y": 2, "z": 4},
        **(constants | ({} if late else {"k4": np.array([1, 1, 2, 1.5], dtype=np.float32)})),
    )


NETS = {
    **{f"old-{v}": old_net(v) for v in (7, 8, 9)},
    **{f"resize-{v}": resize_net(v) for v in (10, 11, 12)},
    **{f"new-{v}": new_net(v) for v in (13, 17, 18, 19, 21, 24, 26)},
}


@pytest.mark.parametrize("net", NETS)
def test_a_model_keeps_its_opset_form_and_function(net: str, round_trip: RoundTrip) -> None:
    graph = round_trip(NETS[net])
    assert not any(isinstance(graph.op(n), Opaque) for n in graph.compute_nodes())
    written = to_onnx(graph).graph
    assert [n.op_type for n in written.node] == [n.op_type for n in NETS[net].graph.node]
    assert [n.name for n in written.node] == [n.name for n in NETS[net].graph.node]
    initialised = {t.name for t in NETS[net].graph.initializer}
    assert [t.name for t in written.initializer] == [t.name for t in NETS[net].graph.initializer]
    assert [v.name for v in written.input] == [
        v.name for v in NETS[net].graph.input if v.name not in initialised
    ] or (NETS[net].ir_version >= 4)


ALONE: dict[str, tuple[int, NodeProto, dict[str, Any]]] = {
    "relu 6": (7, node("Relu", "x", "y"), {}),
    "leaky relu": (16, node("LeakyRelu", "x", "y", alpha=0.3), {}),
    "selu": (22, node("Selu", "x", "y", alpha=1.5), {}),
    "hard sigmoid": (17, node("HardSigmoid", "x", "y", alpha=0.25, beta=0.4), {}),
    "prelu": (9, node("PRelu", "x s", "y"), {"s": weights(6, 1, 1)}),
    "gelu": (20, node("Gelu", "x", "y", approximate="tanh"), {}),
    "mish": (18, node("Mish", "x", "y"), {}),
    "hard swish": (14, node("HardSwish", "x", "y"), {}),
    "clip without bounds": (13, node("Clip", "x", "y"), {}),
    "clip high only": (13, node("Clip", "x _ h", "y"), {"h": np.float32(0.5)}),
    "clip 6 low only": (9, node("Clip", "x", "y", min=-0.5), {}),
    "average pool": (
        19,
        node(
            "AveragePool",
            "x",
            "y",
            kernel_shape=[3, 2],
            count_include_pad=1,
            pads=[1, 0, 1, 1],
            dilations=[2, 1],
        ),
        {},
    ),
    "same lower pool": (
        11,
        node("AveragePool", "x", "y", kernel_shape=[3, 2], auto_pad="SAME_LOWER", strides=[2, 2]),
        {},
    ),
    "global pool": (7, node("GlobalAveragePool", "x", "y"), {}),
    "instance norm": (
        17,
        node("InstanceNormalization", "x s b", "y"),
        {"s": weights(6), "b": weights(6, seed=2)},
    ),
    "group norm": (
        21,
        node("GroupNormalization", "x s b", "y", num_groups=2, epsilon=0.25),
        {"s": weights(6), "b": weights(6, seed=2)},
    ),
    "layer norm": (
        17,
        node("LayerNormalization", "x s b", "y", axis=1, epsilon=0.25),
        {"s": weights(1), "b": weights(1, seed=2)},
    ),
    "layer norm without a bias": (17, node("LayerNormalization", "x s", "y m"), {"s": weights(1)}),
    "mean square norm": (23, node("RMSNormalization", "x s", "y", axis=-2), {"s": weights(1)}),
    "depth to space": (13, node("DepthToSpace", "d", "y", blocksize=2, mode="CRD"), {}),
    "space to depth": (13, node("SpaceToDepth", "x", "y", blocksize=2), {}),
    "transpose": (13, node("Transpose", "x", "y", perm=[0, 2, 3, 1]), {}),
    "softmax 11 over one axis": (11, node("Softmax", "p", "y", axis=1), {}),
    "log softmax": (13, node("LogSoftmax", "x", "y", axis=1), {}),
    "resize align corners": (
        11,
        node("Resize", "x r k", "y", mode="linear", coordinate_transformation_mode="align_corners"),
        {"r": np.zeros(0, np.float32), "k": np.array([1, 1, 2, 1.5], np.float32)},
    ),
    "resize to sizes 11": (
        11,
        node("Resize", "x r r s", "y", mode="nearest"),
        {"r": np.zeros(0, np.float32), "s": ints(2, 6, 7, 11)},
    ),
    "upsample linear": (7, node("Upsample", "x", "y", mode="linear", scales=[1.0, 1.0, 1.5, 2.0]), {}),
    "cast": (13, node("Cast", "x", "y", to=TensorProto.FLOAT), {}),
    "conv same": (
        11,
        node("Conv", "x w", "y", auto_pad="SAME_LOWER", strides=[3, 2]),
        {"w": weights(4, 6, 4, 3)},
    ),
    "conv transpose to a shape": (
        11,
        node("ConvTranspose", "x w", "y", output_shape=[21, 17], strides=[2, 2]),
        {"w": weights(6, 4, 3, 4)},
    ),
    "conv transpose same": (
        13,
        node("ConvTranspose", "x w", "y", auto_pad="SAME_UPPER", strides=[2, 3]),
        {"w": weights(6, 4, 3, 4)},
    ),
}


@pytest.mark.parametrize("case", ALONE)
@pytest.mark.parametrize("sizes", ["numbers", "symbols"])
def test_an_operation_comes_back(case: str, sizes: str, round_trip: RoundTrip) -> None:
    opset, written, constants = ALONE[case]
    shapes: dict[str, list[int]] = {"x": [2, 6, 10, 8], "d": [2, 8, 4, 6], "p": [2, 6, 1, 1]}
    name = written.input[0]
    shape: list[int | str] = [*shapes[name]]
    if sizes == "symbols":
        shape[0], shape[2:] = "N", [s if s == 1 else axis for s, axis in zip(shape[2:], "HW", strict=True)]
    net = model([written], opset=opset, inputs={name: shape}, **constants)
    feed = {name: np.random.default_rng(3).standard_normal(shapes[name]).astype(np.float32)}
    graph = round_trip(net, feeds=feed)
    assert not any(isinstance(graph.op(n), Opaque) for n in graph.compute_nodes())


def test_tensors_of_every_type_survive() -> None:
    dtypes = [
        t for t in TensorProto.DataType.values() if t not in (TensorProto.UNDEFINED, TensorProto.STRING)
    ]
    constants = []
    for dtype in dtypes:
        array = np.array([[1, 0, 1], [0, 1, 1]]).astype(helper.tensor_dtype_to_np_dtype(dtype))
        constants.append(numpy_helper.from_array(array, f"c{dtype}"))
    constants.append(helper.make_tensor("strings", TensorProto.STRING, [2], ["é", "b"]))
    constants.append(helper.make_tensor("listed", TensorProto.FLOAT16, [3], [0.5, -2, 3]))
    outputs = [helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in constants]
    graph = helper.make_graph([], "data", [], outputs, constants)
    net = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 26)], ir_version=13)
    result = to_onnx(from_onnx(net))
    onnx.checker.check_model(result, full_check=True)
    assert len(result.graph.initializer) == len(constants)
    for old, new in zip(constants, result.graph.initializer, strict=True):
        left, right = numpy_helper.to_array(old), numpy_helper.to_array(new)
        assert (new.name, new.data_type) == (old.name, old.data_type)
        assert left.tolist() == right.tolist() or left.tobytes() == right.tobytes()


def test_what_is_said_of_an_initializer_and_of_its_value_stays_apart() -> None:
    net = model([node("Conv", "x w", "y", kernel_shape=[3, 3])], opset=21, w=weights(4, 6, 3, 3))
    (tensor,) = net.graph.initializer
    tensor.doc_string = "the tensor"
    tensor.metadata_props.add(key="made", value="by training")
    told = helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 6, 3, 3], doc_string="the value")
    told.metadata_props.add(key="kind", value="parameter")
    net.graph.value_info.append(told)
    result = to_onnx(from_onnx(net))
    assert result.graph.initializer[0].doc_string == "the tensor"
    assert list(result.graph.initializer[0].metadata_props) == list(tensor.metadata_props)
    assert list(result.graph.value_info) == [told]
