"""Tables for fuse-sigmoid-mul-into-swish, and what becomes of a SiLU network in a file.

A sigmoid is no dyadic number, but the oracle and onnxruntime both compute the same product before and after.
"""

from collections.abc import Callable

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.compiler.optimize import optimize
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import BatchNormalization, Conv, Mul, Sigmoid, Swish
from convgraph.ir.tensor import DataType


def gated(
    *, sigmoid_first: bool = False, dtype: type = np.float32, other: str = "", opset: int = 17
) -> Callable[[Draw], Graph]:
    """X times its sigmoid; ``other`` says what else reads the sigmoid."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=opset)
        x = b.input("x", shape=("N", 4, "H", "W"), dtype=DataType.of(np.dtype(dtype)))
        gate = b.add(Sigmoid(), x, name="gate", node="act/sigmoid")
        y = b.add(Mul(), *((gate, x) if sigmoid_first else (x, gate)), name="product", node="act/mul")
        b.output(y, name="y")
        if other == "returned":
            b.output(gate)
        if other == "read":
            b.output(b.add(Mul(), gate, gate), name="square")
        return b.build()

    return build


EXAMPLES = {
    "x first": gated(),
    "sigmoid first": gated(sigmoid_first=True),
    "half": gated(dtype=np.float16),
    "double": gated(dtype=np.float64),
    "an opset that has it": gated(opset=24),
}

NEAR_MISSES = {"nothing_else_reads_the_sigmoid": [gated(other="returned"), gated(other="read")]}


def silu_network(opset: int) -> Graph:
    """Two convolutions, each normalised and gated by its own sigmoid."""
    b, draw = GraphBuilder("g", opset=opset), Draw(dyadic=False)
    y = b.input("x", shape=(2, 4, 9, 7))
    for number, channels in enumerate((6, 5)):
        inside = b.type(y).dim(1)
        assert isinstance(inside, int)
        y = b.add(Conv.of(2, pads=1), y, draw.weight(channels, inside, 3, 3), node=f"conv{number}")
        statistics = (draw.factor(channels), draw.weight(channels), draw.weight(channels))
        y = b.add(BatchNormalization(), y, *statistics, draw.variance(channels), node=f"norm{number}")
        gate = b.add(Sigmoid(), y, name=f"gate{number}", node=f"sigmoid{number}")
        y = b.add(Mul(), y, gate, name=f"silu{number}", node=f"mul{number}")
    b.output(y, name="y")
    return b.build()


@pytest.mark.parametrize("opset", [13, 17, 24])
def test_a_silu_network_goes_into_its_convolutions_and_comes_to_rest(opset: int) -> None:
    first = optimize(to_onnx(silu_network(opset)))
    assert first.verification is not None
    assert first.verification.equal, first.verification.reason
    applied = [application.rewrite for application in first.trace.applications]
    assert applied.count("fuse-sigmoid-mul-into-swish") == 2
    assert applied.count("fuse-activation-into-conv") == 2
    again = optimize(first.proto)
    assert again.proto.SerializeToString(deterministic=True) == first.proto.SerializeToString(
        deterministic=True
    )


@pytest.mark.parametrize("opset", [17, 24])
def test_the_two_nodes_are_written_again_under_their_names(opset: int) -> None:
    """In opset 24 too: onnxruntime fuses Sigmoid and Mul, and runs Swish as Cast, Mul, Sigmoid and Mul."""
    written = optimize(to_onnx(silu_network(opset))).proto.graph.node
    assert [node.op_type for node in written] == ["Conv", "Sigmoid", "Mul"] * 2
    assert [node.name for node in written] == [
        f"{kind}{number}" for number in range(2) for kind in ("conv", "sigmoid", "mul")
    ]
    assert [node.output[0] for node in written if node.op_type == "Sigmoid"] == ["gate0", "gate1"]


def test_a_swish_that_came_as_one_node_leaves_as_one() -> None:
    b, draw = GraphBuilder("g", opset=24), Draw(dyadic=False)
    x = b.input("x", shape=(2, 4, 9, 7))
    y = b.add(Swish(), b.add(Conv.of(2), x, draw.weight(6, 4, 3, 2)), node="swish")
    b.output(b.add(Swish(alpha=0.5), y), name="y")
    written = optimize(to_onnx(b.build())).proto.graph.node
    assert [node.op_type for node in written] == ["Conv", "Swish", "Swish"]
