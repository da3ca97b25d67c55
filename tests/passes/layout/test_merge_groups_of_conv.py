"""Tables for merge-groups-of-conv, and what it leaves in the file."""

from collections.abc import Callable

import numpy as np
import pytest
from laws.draw import Draw
from laws.weighted import Weight, convolved

from convgraph.analysis.onnxruntime_cpu.rates import committed
from convgraph.analysis.target import OnnxruntimeCpu
from convgraph.compiler.optimize import optimize
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv
from convgraph.ir.tensor import Array
from convgraph.passes import FoldConstants, MergeGroupsOfConv, Pipeline

SIZE = (28, 20)
OPTIONS = {"target": OnnxruntimeCpu(committed())}
"""As if the rates were of this machine, whose blocks then have 16 channels."""


def grouped(
    each: int, *, groups: int = 8, filters: int = 0, kernel: int = 3, **options: object
) -> tuple[Conv, Weight]:
    """A convolution of ``each`` channels in a group, that makes as many or ``filters`` in each."""
    op = Conv.of(2, group=groups, **{"pads": kernel // 2, **options})  # type: ignore[arg-type]
    return op, lambda draw: draw.weight((filters or each) * groups, each, kernel, kernel)


def infinite(draw: Draw) -> Array:
    """A weight with an infinite number in it."""
    weight = draw.weight(64, 8, 3, 3)
    weight[0, 0, 0, 0] = np.inf
    return weight


EXAMPLES = {
    "eight": convolved(*grouped(8), spatial=SIZE),
    "eight, no bias": convolved(*grouped(8), spatial=SIZE, bias=False),
    "strides": convolved(*grouped(8, groups=16, strides=2), spatial=SIZE),
    "dilations": convolved(*grouped(8, dilations=2, pads=2), spatial=SIZE),
    "five taps": convolved(*grouped(8, kernel=5), spatial=SIZE),
    "one sample": convolved(*grouped(8), spatial=SIZE, batch=1),
    "open size": convolved(*grouped(8)),
}

NEAR_MISSES = {
    "the_weights_are_constant": [
        convolved(*grouped(8), spatial=SIZE, given="overridable"),
        convolved(*grouped(8), spatial=SIZE, given="computed"),
    ],
    "the_weight_is_finite": [convolved(grouped(8)[0], infinite, spatial=SIZE)],
    "it_is_cheaper_on_the_target": [
        convolved(*grouped(4, filters=8), spatial=SIZE),
        convolved(*grouped(8), spatial=SIZE, dtype=np.float64),
    ],
}


@pytest.mark.parametrize("other", [convolved(*grouped(1)), convolved(*grouped(16)), convolved(*grouped(9))])
def test_anything_else_is_left_alone(other: Callable[[Draw], Graph]) -> None:
    _, trace = Pipeline([MergeGroupsOfConv(**OPTIONS)]).run(other(Draw(dyadic=True)))
    assert not trace.applications
    assert not trace.refusals


def test_by_the_rates_that_come_with_convgraph_none_is_looked_for() -> None:
    _, trace = Pipeline([MergeGroupsOfConv()]).run(EXAMPLES["eight"](Draw(dyadic=True)))
    assert not trace.applications
    assert not trace.refusals


def test_the_file_does_not_grow() -> None:
    draw = Draw(dyadic=False)
    b = GraphBuilder("g", opset=17)
    op, weight = grouped(8, groups=16)
    y = b.add(op, b.input("x", shape=(1, 128, 28, 28)), weight(draw), draw.weight(128))
    b.output(b.add(Conv.of(2), y, draw.weight(64, 128, 1, 1), draw.weight(64)), name="y")
    model = to_onnx(b.build())
    rewrites = [MergeGroupsOfConv(**OPTIONS), FoldConstants()]
    result = optimize(model, passes=rewrites)
    assert result.verification is not None
    assert result.verification.equal
    assert "merge-groups-of-conv" in {one.rewrite for one in result.trace.applications}
    assert result.proto.ByteSize() < 1.05 * model.ByteSize()
    assert not optimize(result.proto, passes=rewrites, verify=False).changed
