"""Rewrites that other optimizers are known to get wrong: here the model keeps meaning what it meant.

Each model invites one such rewrite. It is optimised, and its outputs are those of the original in onnxruntime
with optimisations off; the operations that are left say that the invitation was declined, or taken rightly.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from convgraph.compiler.optimize import optimize
from convgraph.compiler.selection import Level
from convgraph.ir.tensor import Array

RNG = np.random.default_rng(11)
WEIGHT = RNG.normal(size=(6, 4, 3, 2)).astype(np.float32)
BIAS = RNG.normal(size=6).astype(np.float32)
NORM = {
    "gamma": RNG.uniform(0.5, 2, 6).astype(np.float32),
    "beta": RNG.normal(size=6).astype(np.float32),
    "mean": RNG.normal(size=6).astype(np.float32),
    "var": RNG.uniform(0.3, 2, 6).astype(np.float32),
}


def node(op_type: str, inputs: str, outputs: str, **attributes: Any) -> NodeProto:
    """A node; operands and results are separated by spaces, "_" stands for an omitted one."""
    names = ["" if name == "_" else name for name in inputs.split()]
    return helper.make_node(op_type, names, outputs.split(), **attributes)


def model(
    nodes: Sequence[NodeProto],
    *,
    shape: Sequence[int | str] = (2, 4, 9, 7),
    outputs: Sequence[str] = ("y",),
    opset: int = 18,
    overridable: str = "",
    **constants: Array,
) -> onnx.ModelProto:
    """A model of x and constants; ``overridable`` is one of these that is a graph input as well."""
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))]
    if overridable:
        given = constants[overridable]
        inputs.append(helper.make_tensor_value_info(overridable, TensorProto.FLOAT, given.shape))
    returned = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(list(nodes), "g", inputs, returned, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def session_of(proto: onnx.ModelProto) -> ort.InferenceSession:
    """A session of onnxruntime, optimisations off."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(proto: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    """The outputs in onnxruntime, optimisations off."""
    return list(session_of(proto).run(None, dict(feeds)))


def ints(*numbers: int) -> Array:
    """A constant of int64."""
    return np.array(numbers, np.int64)


def pad_then(then: NodeProto, *amounts: int, **constants: Array) -> onnx.ModelProto:
    """A Pad of height and width by (top, left, bottom, right) with ``value``, then a node from p to y."""
    operands = "x pads value" if "value" in constants else "x pads"
    top, left, bottom, right = amounts
    pads = ints(0, 0, top, left, 0, 0, bottom, right)
    return model([node("Pad", operands, "p"), then], pads=pads, **constants)


def conv(inputs: str = "p w b", outputs: str = "y", **attributes: Any) -> NodeProto:
    """A convolution."""
    return node("Conv", inputs, outputs, **attributes)


def norm(x: str, y: str, **attributes: Any) -> NodeProto:
    """A batch normalisation with the parameters NORM."""
    return node("BatchNormalization", f"{x} gamma beta mean var", y, **attributes)


W = {"w": WEIGHT, "b": BIAS}
POOL = {"kernel_shape": [3, 2], "strides": [2, 1]}

PADS = {
    "zeros into MaxPool": (pad_then(node("MaxPool", "p", "y", **POOL), 1, 1, 0, 1), ["Pad", "MaxPool"]),
    "minus infinity into MaxPool": (
        pad_then(node("MaxPool", "p", "y", **POOL), 1, 1, 0, 1, value=np.float32(-np.inf)),
        ["MaxPool"],
    ),
    "minus infinity where Indices are read": (
        model(
            [
                node("Pad", "x pads value", "p"),
                node("MaxPool", "p", "y i", **POOL),
                node("Cast", "i", "j", to=TensorProto.FLOAT),
            ],
            outputs=("y", "j"),
            pads=ints(0, 0, 1, 1, 0, 0, 0, 1),
            value=np.float32(-np.inf),
        ),
        ["Pad", "MaxPool", "Cast"],
    ),
    "into AveragePool with pads of its own": (
        pad_then(node("AveragePool", "p", "y", **POOL, pads=[1, 0, 0, 1]), 1, 1, 0, 0),
        ["Pad", "AveragePool"],
    ),
    "into AveragePool": (pad_then(node("AveragePool", "p", "y", **POOL), 1, 1, 0, 0), ["AveragePool"]),
    "into AveragePool that rounds up": (
        pad_then(node("AveragePool", "p", "y", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1), 0, 0, 2, 0),
        ["Pad", "AveragePool"],
    ),
    "ones into Conv": (pad_then(conv(pads=[1] * 4), 1, 0, 2, 1, **W, value=np.float32(1)), ["Pad", "Conv"]),
    "copies into Conv": (
        model([node("Pad", "x pads", "p", mode="reflect"), conv()], pads=ints(0, 0, 1, 1, 0, 0, 1, 1), **W),
        ["Pad", "Conv"],
    ),
    "negative into Conv with pads": (pad_then(conv(pads=[1] * 4), -1, 1, 0, -1, **W), ["Pad", "Conv"]),
    "negative into Conv without": (pad_then(conv(), -1, -2, 0, 0, **W), ["Pad", "Conv"]),
    "channels into Conv": (
        model(
            [node("Pad", "x pads", "p"), conv()],
            shape=(2, 3, 9, 7),
            pads=ints(0, 1, 1, 1, 0, 0, 1, 1),
            **W,
        ),
        ["Pad", "Conv"],
    ),
    "into ConvTranspose": (
        pad_then(node("ConvTranspose", "p w", "y"), 1, 0, 2, 1, w=WEIGHT.swapaxes(0, 1)),
        ["Pad", "ConvTranspose"],
    ),
    "zeros into Conv": (pad_then(conv(pads=[1] * 4), 1, 0, 2, 1, **W), ["Conv"]),
}

CHANNELS = {
    "width-wise Mul": (
        model([conv("x w b", "c"), node("Mul", "c s", "y")], **W, s=NORM["gamma"]),  # 6 columns
        ["Conv", "Mul"],
    ),
    "height-wise Mul": (
        model(
            [conv("x w b", "c"), node("Mul", "c s", "y")],
            **W,
            s=NORM["gamma"].reshape(6, 1),
            shape=(2, 4, 8, 5),
        ),
        ["Conv", "Mul"],
    ),
    "width-wise Mul before": (
        model([node("Mul", "x s", "m"), conv("m w b")], **W, s=NORM["gamma"][:4], shape=(2, 4, 9, 4)),
        ["Mul", "Conv"],
    ),
    "constant over conv": (
        model([conv("x w b", "c"), node("Div", "s c", "y")], **W, s=NORM["gamma"].reshape(6, 1, 1)),
        ["Conv", "Div"],
    ),
    "Mul that makes channels": (
        model(
            [node("Mul", "x s", "m"), conv("m w b")],
            **W,
            s=NORM["gamma"][:4].reshape(4, 1, 1),
            shape=(2, 1, 9, 7),
        ),
        ["Mul", "Conv"],
    ),
}

NORMS = {
    "training mode": (
        model(
            [conv("x w b", "c"), norm("c", "y m v", training_mode=1)],
            outputs=("y", "m", "v"),
            **W,
            **NORM,
        ),
        ["Conv", "BatchNormalization"],
    ),
    "parameters that can be overridden": (
        model([conv("x w b", "c"), norm("c", "y")], overridable="var", **W, **NORM),
        ["Conv", "BatchNormalization"],
    ),
    "parameters that are computed": (
        model(
            [
                node("ReduceMean", "x axes", "r", keepdims=0),
                node("Exp", "r", "var"),
                conv("x w b", "c"),
                norm("c", "y"),
            ],
            shape=(2, 4, 9, 6),
            axes=ints(0, 1, 2),
            **W,
            **{name: array for name, array in NORM.items() if name != "var"},
        ),
        ["ReduceMean", "Exp", "Conv", "BatchNormalization"],
    ),
    "shared parameters": (
        model(
            [conv("x w b", "c"), norm("c", "n"), node("Relu", "n", "r"), conv("r v", "d"), norm("d", "y")],
            **W,
            **NORM,
            v=RNG.normal(size=(6, 6, 1, 1)).astype(np.float32),
        ),
        ["Conv", "Relu", "Conv"],
    ),
    "one weight, two scales": (
        model(
            [
                conv("x w b", "c"),
                node("Mul", "c s", "y"),
                conv("x w", "d"),
                node("Mul", "d t", "z"),
            ],
            outputs=("y", "z"),
            **W,
            s=NORM["gamma"].reshape(6, 1, 1),
            t=NORM["var"].reshape(6, 1, 1),
        ),
        ["Conv", "Conv"],
    ),
    "conv that something else reads": (
        model([conv("x w b", "c"), norm("c", "n"), node("Mul", "c n", "y")], **W, **NORM),
        ["Conv", "BatchNormalization", "Mul"],
    ),
    "shift before padding": (
        model(
            [norm("x", "n"), conv("n v", pads=[1, 0, 0, 1])],
            shape=(2, 6, 9, 7),
            v=RNG.normal(size=(5, 6, 3, 2)).astype(np.float32),
            **NORM,
        ),
        ["BatchNormalization", "Conv"],
    ),
    "Gemm with beta": (
        model(
            [node("Gemm", "x w c", "g", alpha=0.5, beta=3.0, transB=1), norm("g", "y")],
            shape=(3, 4),
            w=WEIGHT[:, :, 0, 0],
            c=BIAS,
            **NORM,
        ),
        ["Gemm"],
    ),
}


SHARED_KERNEL = RNG.normal(size=(4, 4, 3, 2)).astype(np.float32)  # square in channels: fits both kinds
LEAST, MOST = -(2**63), 2**63 - 1

SHARING = {
    "one weight for Conv and ConvTranspose, two scales": (
        model(
            [
                conv("x w", "c"),
                node("Mul", "c s", "y"),
                node("ConvTranspose", "x w", "d"),
                node("Mul", "d t", "z"),
            ],
            outputs=("y", "z"),
            w=SHARED_KERNEL,
            s=NORM["gamma"][:4].reshape(4, 1, 1),
            t=NORM["var"][:4].reshape(4, 1, 1),
        ),
        ["Conv", "ConvTranspose"],
    ),
    "one weight for Conv and ConvTranspose, one normalised": (
        model(
            [
                conv("x w", "c"),
                node("BatchNormalization", "c gamma beta mean var", "y"),
                node("ConvTranspose", "x w", "z"),
            ],
            outputs=("y", "z"),
            w=SHARED_KERNEL,
            **{name: array[:4] for name, array in NORM.items()},
        ),
        ["Conv", "ConvTranspose"],
    ),
    "one scale before Conv and ConvTranspose of one weight": (
        model(
            [node("Mul", "x s", "m"), conv("m w", "y"), node("ConvTranspose", "m w", "z")],
            outputs=("y", "z"),
            w=SHARED_KERNEL,
            s=NORM["gamma"][:4].reshape(4, 1, 1),
        ),
        ["Conv", "ConvTranspose"],
    ),
    "one bias, two shifts": (
        model(
            [conv("x w b", "c"), node("Add", "c s", "y"), conv("x v b", "d"), node("Sub", "d t", "z")],
            outputs=("y", "z"),
            **W,
            v=W["w"][::-1].copy(),
            s=NORM["beta"].reshape(6, 1, 1),
            t=NORM["mean"].reshape(6, 1, 1),
        ),
        ["Conv", "Conv"],
    ),
    "a weight that is returned": (
        model(
            [conv("x w b", "c"), norm("c", "y"), node("Identity", "w", "z")], outputs=("y", "z"), **W, **NORM
        ),
        ["Conv"],
    ),
}


def cut(axis: int, start: int, end: int, step: int, **given: Any) -> onnx.ModelProto:
    """A Relu of a Slice of x along one axis."""
    numbers = {"starts": ints(start), "ends": ints(end), "axes": ints(axis), "steps": ints(step)}
    return model([node("Slice", "x starts ends axes steps", "s"), node("Relu", "s", "y")], **numbers, **given)


SLICES = {
    "backwards through everything": (cut(2, MOST, LEAST, -1), ["Slice", "Relu"]),
    "backwards from the last": (cut(3, -1, LEAST, -1), ["Slice", "Relu"]),
    "backwards to the end: nothing": (cut(2, 0, MOST, -1), ["Slice", "Relu"]),
    "every second": (cut(2, 0, MOST, 2), ["Slice", "Relu"]),
    "all but the last": (cut(-1, 0, -1, 1), ["Slice", "Relu"]),
    "an end that other sizes have": (cut(3, 0, 4, 1), ["Slice", "Relu"]),
    "open size, an end it may have": (cut(2, 0, 9, 1, shape=(2, 4, "H", 7)), ["Slice", "Relu"]),
    "open size, all but none": (cut(2, 0, -1, 1, shape=(2, 4, "H", 7)), ["Slice", "Relu"]),
    "after a conv, backwards": (
        model(
            [conv("x w b", "c", pads=[1] * 4), node("Slice", "c i j k l", "y")],
            **W,
            i=ints(-1),
            j=ints(LEAST),
            k=ints(2),
            l=ints(-1),
        ),
        ["Conv", "Slice"],
    ),
    "after a conv, more than its pads": (
        model(
            [conv("x w b", "c", pads=[1] * 4), node("Slice", "c i j k", "y")],
            **W,
            i=ints(0),
            j=ints(-2),
            k=ints(2),
        ),
        ["Slice", "Conv"],
    ),
}

RANDOM = {
    "RandomNormal": (node("RandomNormal", "", "r", shape=[2, 4, 9, 7]), {}),
    "RandomUniform": (node("RandomUniform", "", "r", shape=[2, 4, 9, 7]), {}),
    "RandomNormal with a seed": (node("RandomNormal", "", "r", shape=[2, 4, 9, 7], seed=1.0), {}),
    "RandomNormalLike": (node("RandomNormalLike", "k", "r"), {"k": WEIGHT[:2]}),
    "RandomUniformLike": (node("RandomUniformLike", "k", "r"), {"k": WEIGHT[:2]}),
    "Bernoulli": (node("Bernoulli", "k", "r"), {"k": np.full((9, 7), 0.5, np.float32)}),
    "Multinomial": (node("Multinomial", "k", "i", sample_size=7), {"k": np.zeros((9, 3), np.float32)}),
    "Dropout in training mode": (
        node("Dropout", "k ratio training", "r"),
        {"k": np.ones((9, 7), np.float32), "ratio": np.float32(0.5), "training": np.array(True)},
    ),
}


def random_model(source: NodeProto, constants: Mapping[str, Array]) -> onnx.ModelProto:
    """X times something random that nothing but constants decides."""
    shaped = [node("Cast", "i", "r", to=TensorProto.FLOAT)] if source.op_type == "Multinomial" else []
    if source.op_type.endswith("Like"):  # any shape will do; one number is drawn from it
        shaped = [node("ReduceMax", "r", "m", keepdims=0)]
    last = "m" if source.op_type.endswith("Like") else "r"
    return model([source, *shaped, node("Mul", f"x {last}", "y")], **constants)


@pytest.mark.parametrize(("source", "constants"), [pytest.param(*case, id=n) for n, case in RANDOM.items()])
def test_what_is_random_stays(source: NodeProto, constants: Mapping[str, Array]) -> None:
    """What reads constants only, or nothing, is no constant when every run draws it anew."""
    proto = random_model(source, constants)
    result = optimize(proto, verify=False)
    assert [n.op_type for n in result.proto.graph.node] == [n.op_type for n in proto.graph.node]
    session = session_of(result.proto)
    feeds = {"x": np.ones((2, 4, 9, 7), np.float32)}
    (first,), (second,) = session.run(None, feeds), session.run(None, feeds)
    assert not np.array_equal(first, second)


CASES = PADS | CHANNELS | NORMS | SHARING | SLICES


@pytest.mark.parametrize("level", ["clean", "exact"])
@pytest.mark.parametrize(("proto", "left"), [pytest.param(*case, id=name) for name, case in CASES.items()])
def test_the_function_stays(proto: onnx.ModelProto, left: list[str], *, level: Level) -> None:
    result = optimize(proto, level=level)
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    if level == "clean":  # what algebra then makes of it is for the target's prices
        assert [n.op_type for n in result.proto.graph.node] == left
    shape = [dim.dim_value or 11 for dim in proto.graph.input[0].type.tensor_type.shape.dim]
    feeds = {"x": np.random.default_rng(3).normal(size=shape).astype(np.float32)}
    for expected, found in zip(run(proto, feeds), run(result.proto, feeds), strict=True):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max(initial=0))


def test_the_models_are_no_longer_the_same_when_the_rewrite_is_wrong() -> None:
    """The comparison can tell: a zero Pad taken over into MaxPool."""
    feeds = {"x": -1 - np.random.default_rng(3).random((2, 4, 9, 7)).astype(np.float32)}
    taken_over = model([node("MaxPool", "x", "y", **POOL, pads=[1, 1, 0, 1])])
    (expected,), (wrong,) = run(PADS["zeros into MaxPool"][0], feeds), run(taken_over, feeds)
    assert np.abs(wrong - expected).max() > 1
