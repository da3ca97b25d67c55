"""Tables for append-channels-to-conv, and what a second run makes of it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.compiler.optimize import optimize
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import AveragePool, Clip, Conv, ConvTranspose, Log, MaxPool, Op, PRelu, Relu, Sigmoid
from convgraph.ir.tensor import Array, DataType, Dim
from convgraph.passes import AppendChannelsToConv, Pipeline

SIZE = (28, 20)
Step = Callable[[GraphBuilder, Draw, Value], Value]


def plainly(op: Op, *numbers: float) -> Step:
    """An operation with parameters of a single number each."""
    return lambda b, _, x: b.add(op, x, *(np.asarray(number, np.float32) for number in numbers))


def depthwise(channels: int, given: str = "") -> Step:
    """A convolution of each channel by itself, with a Relu in it."""

    def step(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        op = replace(Conv.of(2, pads=1, group=channels), activation=Relu())
        bias = draw.weight(channels)
        shift = b.overridable("shift", bias) if given else b.constant(bias)
        return b.add(op, x, draw.weight(channels, 1, 3, 3), shift)

    return step


def sloped(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A slope for each channel."""
    channels = b.type(x).dim(1)
    assert isinstance(channels, int)
    return b.add(PRelu(), x, draw.factor(channels, 1, 1))


def network(
    *steps: Step,
    channels: int = 150,
    first: Conv | None = None,
    biases: bool = True,
    readers: int = 1,
    spatial: Sequence[Dim] = SIZE,
    dtype: type = np.float32,
    given: Sequence[str] = (),
    also: str = "",
    transposed: bool = False,
) -> Callable[[Draw], Graph]:
    """A convolution of x (N, 64, …) to some channels, what they pass through, and ``readers`` of them.

    A caller may override the parameters ``given``: "weight", "bias", "reading". ``also`` says what else
    becomes of the channels: they are "returned", or "read" by a Sigmoid.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)

        def parameter(name: str, array: Array) -> Value:
            return b.overridable(name, array) if name in given else b.constant(array, name=name)

        x = b.input("x", shape=("N", 64, *spatial), dtype=DataType.of(np.dtype(dtype)))
        rank = len(spatial)
        shifts = [parameter("bias", draw.weight(channels, dtype=dtype))] if biases else []
        kernel = (1,) * rank if first is None else (3,) * rank
        weight = parameter("weight", draw.weight(channels, 64, *kernel, dtype=dtype))
        y = b.add(first or Conv.of(rank), x, weight, *shifts, name="made", node="conv")
        for step in steps:
            y = step(b, draw, y)
        for place in range(readers):
            op = ConvTranspose.of(rank) if transposed else Conv.of(rank)
            shape = (channels, 60, *(1,) * rank) if transposed else (60, channels, *(1,) * rank)
            reading = parameter("reading", draw.weight(*shape, dtype=dtype)) if not place else None
            again = b.constant(draw.weight(*shape, dtype=dtype)) if reading is None else reading
            b.output(b.add(op, y, again, draw.weight(60, dtype=dtype), node=f"reader {place}"))
        if also == "returned":
            b.output(y)
        elif also:
            b.output(b.add(Sigmoid(), y))
        return b.build()

    return build


EXAMPLES = {
    "at once": network(),
    "Relu": network(plainly(Relu())),
    "Relu within": network(first=replace(Conv.of(2, pads=1), activation=Relu())),
    "what zero becomes is not zero": network(plainly(Clip(), 1, 6)),
    "depthwise": network(depthwise(150)),
    "pools": network(depthwise(150), plainly(MaxPool.of([2, 2])), plainly(AveragePool.of([2, 2]))),
    "no bias": network(biases=False),
    "two readers": network(plainly(Relu()), readers=2),
    "one channel is lacking": network(depthwise(99), channels=99),
    "three channels are lacking": network(depthwise(101), channels=101),
    "open size": network(depthwise(150), spatial=("H", "W")),
}

NEAR_MISSES = {
    "the_weights_are_constant": [network(depthwise(150), given=[name]) for name in ("weight", "bias")],
    "the_weights_of_the_readers_are_constant": [network(given=["reading"])],
    "only_convolutions_read_the_channels": [
        network(depthwise(150), also="returned"),
        network(depthwise(150), also="read"),
    ],
    "it_is_cheaper_on_the_target": [
        network(channels=17),
        network(spatial=(28,)),
        network(dtype=np.float64),
    ],
}


@pytest.mark.parametrize(
    "other",
    [
        network(channels=152),
        network(plainly(Log())),
        network(sloped),
        network(transposed=True),
        network(depthwise(150, "overridable")),
    ],
)
def test_anything_else_is_left_alone(other: Callable[[Draw], Graph]) -> None:
    _, trace = Pipeline([AppendChannelsToConv()]).run(other(Draw(dyadic=True)))
    assert not trace.applications
    assert not trace.refusals


def test_channels_that_were_appended_stay() -> None:
    result = optimize(to_onnx(network(depthwise(150))(Draw(dyadic=False))))
    assert result.verification is not None
    assert result.verification.equal
    sizes = [result.graph.type(Value(node, 0)).dim(1) for node in result.graph.compute_nodes()]
    assert sizes == [152, 152, 60]
    assert not optimize(result.proto, verify=False).changed
