"""Models for devices that lack an operator."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from laws.draw import Draw
from onnx import TensorProto, helper, numpy_helper

import convgraph as cg
from convgraph.ir.ops import (
    BatchNormalization,
    Conv,
    ConvTranspose,
    DepthToSpace,
    GlobalAveragePool,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Relu,
    Resize,
    SpaceToDepth,
    Tanh,
)


def decoder(*, overridable: bool = False) -> cg.Graph:
    """Two transposed convolutions with what follows them in a decoder; the second is nearest times box."""
    draw = Draw(dyadic=False)
    b = cg.GraphBuilder("decoder", opset=17)
    x = b.input("x", shape=("N", 4, "H", "W"))
    drawn = draw.weight(4, 6, 4, 4)
    weight = b.overridable("w", drawn) if overridable else b.constant(drawn, name="w")
    y = b.add(ConvTranspose.of(2, strides=2, pads=1), x, weight, name="convolved", node="up")
    y = b.add(BatchNormalization(), y, *(np.abs(draw.factor(6)) for _ in range(4)), name="normed")
    y = b.add(LeakyRelu(), y, name="active")
    box = np.ones((6, 1, 3, 3), np.float32) * draw.factor(6, 1, 1, 1)
    b.output(b.add(ConvTranspose.of(2, strides=3, group=6), y, box, node="box"), name="y")
    return b.build()


def op_types(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize(
    ("without", "expected"),
    [
        (("ConvTranspose",), ["Conv", "LeakyRelu", "DepthToSpace", "Slice", "Conv", "Resize"]),
        (
            ("ConvTranspose", "DepthToSpace"),
            [
                *("Conv", "LeakyRelu"),
                *("Unsqueeze", "Reshape", "Transpose", "Reshape", "Reshape"),
                *("Slice", "Conv", "Resize"),
            ],
        ),
        (
            ("ConvTranspose", "Resize"),
            [
                *("Conv", "LeakyRelu", "DepthToSpace", "Slice"),
                *("Unsqueeze", "Expand", "Reshape"),
                *("Reshape", "Conv"),
            ],
        ),
        (("DepthToSpace",), ["ConvTranspose", "LeakyRelu", "ConvTranspose"]),
        ((), ["ConvTranspose", "LeakyRelu", "ConvTranspose"]),
    ],
)
def test_the_operators_are_gone_and_the_function_is_the_same(
    without: Sequence[str], expected: list[str]
) -> None:
    result = cg.optimize(decoder(), without=without)
    assert op_types(result.proto) == expected
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    onnx.checker.check_model(result.proto, full_check=True)


def classifier() -> cg.Graph:
    """One of each operation that can be spelled with others, none of which folds into its neighbours."""
    draw = Draw(dyadic=False)
    b = cg.GraphBuilder("classifier", opset=17)
    x = b.input("x", shape=("N", 4, 6, 5))
    y = b.add(BatchNormalization(), b.add(Relu(), x), *(np.abs(draw.factor(4)) for _ in range(4)))
    y = b.add(HardSwish(), y)
    y = b.add(Resize(mode="linear"), y, None, np.array([1, 1, 2, 4], np.float32))
    y = b.add(Tanh(), b.add(SpaceToDepth(blocksize=2), y))
    y = b.add(replace(Conv.of(2), activation=HardSwish()), y, draw.weight(8, 16, 3, 3))
    y = b.add(Resize(), b.add(HardSigmoid(), y), None, np.array([1, 1, 3, 2], np.float32))
    y = b.add(DepthToSpace(blocksize=2), b.add(Tanh(), y))
    b.output(b.add(GlobalAveragePool(), y), name="y")
    return b.build()


@pytest.mark.parametrize("target", ["onnxruntime-cpu", "generic"])
def test_every_operator_that_can_be_lowered_is_gone_at_once(target: str) -> None:
    lowered = sorted({op.__name__ for rewrite in cg.passes.LOWERING for op in rewrite.lowers})
    assert len(set(lowered) & set(op_types(cg.to_onnx(classifier())))) >= 7
    result = cg.optimize(classifier(), without=lowered, target=target)
    assert not set(lowered) & set(op_types(result.proto))
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason


@pytest.mark.parametrize("build", [decoder, classifier, lambda: cg.load("demo:unet")])
@pytest.mark.parametrize(
    "without", [["ConvTranspose"], ["ConvTranspose", "Resize", "DepthToSpace", "HardSigmoid"]]
)
def test_a_second_run_has_nothing_left_to_do(build: Callable[[], cg.Graph], without: list[str]) -> None:
    once = cg.optimize(build(), without=without, verify=False)
    assert once.trace.applications
    assert not cg.optimize(once.proto, without=without, verify=False).changed


def test_an_interpolation_becomes_a_resize_whatever_the_target() -> None:
    tent = np.array([1, 3, 3, 1], np.float32) / 4
    weight = np.zeros((3, 3, 4, 4), np.float32)
    weight[range(3), range(3)] = np.outer(tent, tent)
    b = cg.GraphBuilder("upsampling", opset=17)
    b.output(b.add(ConvTranspose.of(2, strides=2, pads=1), b.input("x", shape=("N", 3, 7, 5)), weight))
    result = cg.optimize(b.build(), without=["ConvTranspose"])
    assert op_types(result.proto) == ["Pad", "Resize", "Slice"]
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason


def test_what_cannot_be_lowered_is_named_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "decoder.onnx"
    cg.save(decoder(overridable=True), path)
    with pytest.raises(cg.NotLowered) as caught:
        cg.optimize(path, without=["ConvTranspose", "LeakyRelu"])
    text = str(caught.value)
    assert text.startswith(f"{path}: without: ConvTranspose up (")
    assert "needs this: the weight and the bias are constants that no caller can override" in text
    assert "LeakyRelu active (no rewrite spells it with other operators)" in text
    assert "ConvTranspose box" not in text
    assert "\n" not in text
    frozen = cg.optimize(path, without=["ConvTranspose"], freeze_defaults=True)
    assert "ConvTranspose" not in op_types(frozen.proto)


def test_a_run_cut_short_may_leave_some() -> None:
    whole = cg.optimize(decoder(), without=["ConvTranspose"], verify=False)
    done = [n for n, step in enumerate(whole.trace.applications) if "conv-transpose" in step.rewrite]
    assert len(done) == 2
    shorter = cg.optimize(decoder(), without=["ConvTranspose"], stop_after=done[-1], verify=False)
    assert op_types(shorter.proto).count("ConvTranspose") == 1


PATHS = {"If": "y", "Loop": "all/body/y", "Scan": "all/body/y"}


@pytest.mark.parametrize("kind", PATHS)
def test_what_stands_in_bodies_of_control_flow_is_spelled_out_too(kind: str) -> None:
    result = cg.optimize(upsampling_inside(kind), without=["ConvTranspose"])
    assert b"ConvTranspose" not in result.proto.SerializeToString()
    places = {a.at for a in result.trace.applications if a.rewrite != "drop-unread-values"}
    assert places == {f"{PATHS[kind]}/then_branch/up"}
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason


@pytest.mark.parametrize("kind", PATHS)
def test_what_cannot_be_lowered_inside_is_named_with_its_place(kind: str) -> None:
    named = rf"ConvTranspose {PATHS[kind]}/then_branch/up \(lower-.* needs this: the weight"
    with pytest.raises(cg.NotLowered, match=named):
        cg.optimize(upsampling_inside(kind, overridable=True), without=["ConvTranspose"])


def test_functions_are_rewritten_where_they_are_called_and_left_alone_otherwise() -> None:
    head = (
        '<ir_version: 8, opset_import: ["" : 17, "own" : 1]> g (float[2, 3, 5, 4] x) => (float[A, B, C, D] y)'
    )
    model = onnx.parser.parse_model(
        f"""{head} {{ y = own.half (x) }}
        <domain: "own", opset_import: ["" : 17]> half (x) => (y) {{ [turn] y = HardSigmoid (x) }}"""
    )
    assert "HardSigmoid" not in op_types(cg.optimize(model, without=["HardSigmoid"]).proto)
    with pytest.raises(cg.NotLowered, match=r"HardSigmoid turn \(it stands in a function"):
        cg.optimize(model, without=["HardSigmoid"], skip=["inline-local-function"])


def upsampling_inside(kind: str, *, overridable: bool = False) -> onnx.ModelProto:
    """A transposed convolution inside an If, by itself or inside a loop's body."""
    made = helper.make_tensor_value_info("made", TensorProto.FLOAT, None)
    bodies = [
        helper.make_graph([helper.make_node(inner, inputs, ["made"], name="up")], "branch", [], [made])
        for inner, inputs in (("ConvTranspose", ["x", "w"]), ("Identity", ["x"]))
    ]
    choice = helper.make_node("If", ["c"], ["y"], then_branch=bodies[0], else_branch=bodies[1])
    flag, image = (
        helper.make_tensor_value_info(name, elements, shape)
        for name, elements, shape in (("c", TensorProto.BOOL, []), ("x", TensorProto.FLOAT, [2, 3, 5, 4]))
    )
    node, outputs = (choice, "y") if kind == "If" else (_repeated(kind, choice), "all")
    weight = helper.make_tensor_value_info("w", TensorProto.FLOAT, [3, 2, 2, 2])
    return helper.make_model(
        helper.make_graph(
            [node],
            "g",
            [flag, image, weight] if overridable else [flag, image],
            [helper.make_tensor_value_info(outputs, TensorProto.FLOAT, None)],
            [
                numpy_helper.from_array(Draw(dyadic=False).weight(3, 2, 2, 2), "w"),
                numpy_helper.from_array(np.array(2), "times"),
            ],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


def _repeated(kind: str, choice: onnx.NodeProto) -> onnx.NodeProto:
    """A Loop or a Scan that makes the choice over and over."""
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    if kind == "Scan":
        number = helper.make_tensor_value_info("number", TensorProto.FLOAT, None)
        body = helper.make_graph([choice], "body", [number], [y])
        return helper.make_node("Scan", ["x"], ["all"], body=body, num_scan_inputs=1)
    count = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    go, on = (helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("go", "on"))
    nodes = [choice, helper.make_node("Identity", ["go"], ["on"])]
    body = helper.make_graph(nodes, "body", [count, go], [on, y])
    return helper.make_node("Loop", ["times", ""], ["all"], body=body)
