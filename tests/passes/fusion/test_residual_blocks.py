"""What onnxruntime fuses in residual blocks it still fuses after the rewrites, and as much of it."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from convgraph.compiler.optimize import optimize
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Value
from convgraph.ir.ops import Add, BatchNormalization, Clip, Conv, Relu, Sigmoid

RNG = np.random.default_rng(7)
LEVELS = {
    "layout": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "no layout": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
}


def norm(b: GraphBuilder, x: Value) -> Value:
    """A batch normalisation."""
    channels = b.type(x).dim(1)
    assert isinstance(channels, int)
    statistics = [*RNG.normal(size=(3, channels)), RNG.uniform(0.3, 2, channels)]
    return b.add(BatchNormalization(), x, *(array.astype(np.float32) for array in statistics))


def conv(b: GraphBuilder, x: Value, outside: int, *, size: int = 3, stride: int = 1, group: int = 1) -> Value:
    """A normalised convolution that keeps the image's size, or halves it."""
    inside = b.type(x).dim(1)
    assert isinstance(inside, int)
    weight = RNG.normal(size=(outside, inside // group, size, size)).astype(np.float32)
    return norm(b, b.add(Conv.of(2, pads=size // 2, strides=stride, group=group), x, weight))


def basic(b: GraphBuilder, x: Value, *, left: bool = False) -> Value:
    """ResNet's: two convolutions, the sum with x, on the left or on the right, and a Relu."""
    y = conv(b, b.add(Relu(), conv(b, x, 16)), 16)
    return b.add(Relu(), b.add(Add(), *((x, y) if left else (y, x))))


def halving(b: GraphBuilder, x: Value) -> Value:
    """ResNet's where the image shrinks: a convolution on both sides of the sum."""
    y = conv(b, b.add(Relu(), conv(b, x, 32, stride=2)), 32)
    return b.add(Relu(), b.add(Add(), y, conv(b, x, 32, size=1, stride=2)))


def activated_before(b: GraphBuilder, x: Value) -> Value:
    """ResNet v2's: normalised and activated before each convolution, nothing after the sum."""
    y = conv(b, b.add(Relu(), norm(b, x)), 16)
    return b.add(Add(), conv(b, b.add(Relu(), y), 16), x)


def inverted(b: GraphBuilder, x: Value) -> Value:
    """MobileNet's: wide inside, depthwise, no activation after the sum."""
    y = b.add(Clip(), conv(b, x, 64, size=1), 0.0, 6.0)
    y = b.add(Clip(), conv(b, y, 64, group=64), 0.0, 6.0)
    return b.add(Add(), conv(b, y, 16, size=1), x)


def model(block: Callable[[GraphBuilder, Value], Value], *, batch: str | int) -> onnx.ModelProto:
    """A first convolution, two blocks, and a convolution after them."""
    b = GraphBuilder("g", opset=17)
    y = b.add(Relu(), conv(b, b.input("x", shape=(batch, 3, 20, 24)), 16))
    y = block(b, basic(b, y))
    b.output(b.add(Sigmoid(), conv(b, y, 8)), name="y")
    return to_onnx(b.build())


def fused(proto: onnx.ModelProto, *, level: str, folder: Path) -> Counter[str]:
    """What onnxruntime makes of a model: operations, with "+" for a sum and an activation inside."""
    options = ort.SessionOptions()
    options.graph_optimization_level = LEVELS[level]
    options.optimized_model_filepath = str(folder / "fused.onnx")
    options.log_severity_level = 4
    ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(folder / "fused.onnx").graph.node
    return Counter(described(node) for node in nodes)


def described(node: onnx.NodeProto) -> str:
    """Conv+Add+Relu, say; FusedConv counts as Conv."""
    activation = [a.s.decode() for a in node.attribute if a.name == "activation"]
    is_conv = node.op_type.endswith("Conv")
    added = ["Add"] if is_conv and len(node.input) > 3 and node.input[3] else []
    return "+".join(["Conv" if is_conv else node.op_type, *added, *activation])


BLOCKS = {
    "basic": basic,
    "x on the left": lambda b, x: basic(b, x, left=True),
    "halving": halving,
    "activated before": activated_before,
    "inverted": inverted,
}


@pytest.mark.parametrize("batch", [1, "N"], ids=["one", "open batch"])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("block", BLOCKS)
def test_as_much_is_fused(block: str, level: str, batch: str | int, tmp_path: Path) -> None:
    proto = model(BLOCKS[block], batch=batch)
    result = optimize(proto)
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    before, after = (fused(p, level=level, folder=tmp_path) for p in (proto, result.proto))
    assert after == before
    assert after["Conv+Relu"] >= 2


@pytest.mark.parametrize("block", BLOCKS)
def test_every_sum_is_fused_where_the_layout_is_blocked(block: str, tmp_path: Path) -> None:
    """Where onnxruntime has a blocked layout: on processors without one it writes FusedConv instead."""
    after = fused(optimize(model(BLOCKS[block], batch=1)).proto, level="layout", folder=tmp_path)
    blocked = after["ReorderOutput"] > 0
    assert sum(number for name, number in after.items() if "+Add" in name) == (2 if blocked else 0)
    assert after["Add"] == (0 if blocked else 2)
    assert not after["BatchNormalization"]
