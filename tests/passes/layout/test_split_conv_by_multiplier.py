"""Tables for split-conv-by-multiplier, and what becomes of it in front of a pointwise convolution."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from laws.draw import Draw
from laws.weighted import Weight, convolved

from convgraph.compiler.optimize import optimize
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, Gather, PRelu, Relu
from convgraph.passes import Pipeline, SplitConvByMultiplier

SIZE = (28, 20)


def drawn(*shape: int) -> Weight:
    """Any weight of a shape."""
    return lambda draw: draw.weight(*shape)


def depthwise(times: int, channels: int = 16, kernel: int = 3, **options: object) -> tuple[Conv, Weight]:
    """``times`` filters for each of some channels."""
    op = Conv.of(2, group=channels, **{"pads": kernel // 2, **options})  # type: ignore[arg-type]
    return op, drawn(channels * times, 1, kernel, kernel)


def activated(*slopes: int) -> Callable[[Draw], Graph]:
    """With a slope of these sizes fused into the convolution, which makes twice as many channels."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        op, weight = depthwise(2)
        x, slope = b.input("x", shape=("N", 16, *SIZE)), b.constant(draw.factor(*slopes))
        y = b.add(replace(op, activation=PRelu()), x, weight(draw), None, slope, node="conv")
        b.output(y, name="y")
        return b.build()

    return build


def overridable_bias(draw: Draw) -> Graph:
    """A bias that a caller may override."""
    b = GraphBuilder("g", opset=17)
    op, weight = depthwise(2)
    x = b.input("x", shape=("N", 16, *SIZE))
    b.output(b.add(op, x, weight(draw), b.overridable("bias", draw.weight(32))), name="y")
    return b.build()


EXAMPLES = {
    "twice": convolved(*depthwise(2), spatial=SIZE),
    "three times, no bias": convolved(*depthwise(3), spatial=SIZE, bias=False),
    "four times, strides": convolved(*depthwise(4, 8, 5, strides=2), spatial=SIZE),
    "dilations": convolved(*depthwise(2, dilations=2, pads=2), spatial=SIZE),
    "one sample": convolved(*depthwise(2), spatial=SIZE, batch=1),
    "open size": convolved(*depthwise(2)),
    "SAME": convolved(replace(Conv.of(2, group=16), auto_pad="SAME_UPPER"), drawn(32, 1, 3, 3), spatial=SIZE),
    "one slope": activated(1),
}

NEAR_MISSES = {
    "the_weights_are_constant": [
        convolved(*depthwise(2), spatial=SIZE, given="overridable"),
        convolved(*depthwise(2), spatial=SIZE, given="computed"),
        overridable_bias,
    ],
    "it_is_cheaper_on_the_target": [
        convolved(*depthwise(2, 6), spatial=SIZE),
        convolved(Conv.of(1, group=16, pads=1), drawn(32, 1, 3), spatial=(28,)),
        convolved(*depthwise(2), spatial=SIZE, dtype=np.float64),
    ],
}


@pytest.mark.parametrize("other", [activated(32, 1, 1), convolved(*depthwise(1)), convolved(*depthwise(9))])
def test_anything_else_is_left_alone(other: Callable[[Draw], Graph]) -> None:
    _, trace = Pipeline([SplitConvByMultiplier()]).run(other(Draw(dyadic=True)))
    assert not trace.applications
    assert not trace.refusals


def test_what_reads_it_takes_the_order_over() -> None:
    draw = Draw(dyadic=False)
    b = GraphBuilder("g", opset=17)
    op, weight = depthwise(2, 64)
    y = b.add(Relu(), b.add(op, b.input("x", shape=(1, 64, 56, 56)), weight(draw), draw.weight(128)))
    b.output(b.add(Conv.of(2), y, draw.weight(64, 128, 1, 1), draw.weight(64)), name="y")
    result = optimize(to_onnx(b.build()))
    assert result.verification is not None
    assert result.verification.equal
    kinds = [type(result.graph.op(node)) for node in result.graph.compute_nodes()]
    assert Gather not in kinds
    assert kinds.count(Conv) == 3
    assert not optimize(result.proto, verify=False).changed
