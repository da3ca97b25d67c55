"""Tables for remove-zero-bias."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from laws.draw import Draw
from laws.nets import after_conv

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Abs, Clip, Conv, ConvTranspose, Relu
from convgraph.passes.cleanup.remove_zero_bias import RemoveZeroBias
from convgraph.passes.pipeline import Pipeline


def read(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """Something that reads the convolution."""
    del draw
    return b.add(Abs(), x)


def clipped(draw: Draw) -> Graph:
    """A convolution with a Clip of its own, whose bounds come after the bias."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", 2, "H"))
    bounds = [np.array(number, np.float32) for number in (-1, 2)]
    op = replace(Conv.of(1, pads=1), activation=Clip())
    y = b.add(op, x, draw.weight(4, 2, 3), np.zeros(4, np.float32), *bounds)
    b.output(y, name="y")
    return b.build()


EXAMPLES = {
    "a convolution": after_conv(read, bias=0.0),
    "it has an activation": after_conv(read, bias=0.0, activation=Relu()),
    "it has a Clip with bounds": clipped,
    "it is returned": after_conv(read, bias=0.0, returned=True),
    "negative zeros": after_conv(read, bias=-0.0),
    "1-D": after_conv(read, rank=1, bias=0.0),
    "transposed": after_conv(read, kind=ConvTranspose, bias=0.0),
    "half": after_conv(read, bias=0.0, dtype=np.float16),
}

NEAR_MISSES: dict[str, list[Callable[[Draw], Graph]]] = {}


@pytest.mark.parametrize(
    "example",
    [
        after_conv(read),
        after_conv(read, bias=False),
        after_conv(read, bias=float("nan")),
        after_conv(read, bias=0.0, overridable="bias"),
        after_conv(read, bias=0.0, computed="bias"),
    ],
    ids=["other numbers", "none", "not a number", "a caller may override it", "an input"],
)
def test_another_bias_stays(example: Callable[[Draw], Graph]) -> None:
    _, trace = Pipeline([RemoveZeroBias()]).run(example(Draw(dyadic=True)))
    assert not trace.applications
