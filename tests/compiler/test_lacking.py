"""Models for devices that lack an operator."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from laws.draw import Draw
from onnx import TensorProto, helper, numpy_helper

import convgraph as cg
from convgraph.ir.ops import BatchNormalization, ConvTranspose, LeakyRelu


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
        (("ConvTranspose",), ["Conv", "LeakyRelu", "DepthToSpace", "Resize", "Conv"]),
        (
            ("ConvTranspose", "DepthToSpace"),
            [
                *("Conv", "LeakyRelu"),
                *("Unsqueeze", "Reshape", "Transpose", "Reshape", "Reshape", "Squeeze"),
                *("Resize", "Conv"),
            ],
        ),
        (
            ("ConvTranspose", "Resize"),
            [
                *("Conv", "LeakyRelu", "DepthToSpace"),
                *("Unsqueeze", "Expand", "Reshape"),
                *("Reshape", "Squeeze", "Conv"),
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
    count = len(whole.trace.applications)
    assert count >= 3
    shorter = cg.optimize(decoder(), without=["ConvTranspose"], stop_after=count - 1, verify=False)
    assert op_types(shorter.proto).count("ConvTranspose") == 1


def test_bodies_of_control_flow_count() -> None:
    weight = numpy_helper.from_array(np.ones((3, 2, 2, 2), np.float32), "w")
    result = helper.make_tensor_value_info("r", TensorProto.FLOAT, None)
    bodies = [
        helper.make_graph([helper.make_node(kind, inputs, ["r"], name=kind.lower())], kind, [], [result])
        for kind, inputs in (("ConvTranspose", ["x", "w"]), ("Identity", ["x"]))
    ]
    graph = helper.make_graph(
        [helper.make_node("If", ["c"], ["y"], then_branch=bodies[0], else_branch=bodies[1])],
        "g",
        [
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 5, 4]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(cg.NotLowered, match=r"ConvTranspose convtranspose \(it stands in a body or function"):
        cg.optimize(model, without=["ConvTranspose"])
