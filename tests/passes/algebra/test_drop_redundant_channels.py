"""Tables for drop-redundant-channels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from laws.draw import Draw
from laws.orders import Step, also_returned

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    AveragePool,
    Clip,
    Conv,
    Convolution,
    ConvTranspose,
    GlobalAveragePool,
    MaxPool,
    Relu,
    Sigmoid,
)
from convgraph.ir.tensor import Array, DataType, Dim
from convgraph.passes import Pipeline
from convgraph.passes.algebra.drop_redundant_channels import DropRedundantChannels

Network = Callable[[Draw], Graph]
MANY = 12


@dataclass(frozen=True, kw_only=True)
class Made:
    """What is known of the channels between the convolutions: their filters, biases, and who reads them.

    ``dead`` channels have a filter of zeros and are the number given; ``same`` repeat another one;
    ``unread`` ones meet zeros only.
    """

    dead: Mapping[int, float]
    same: Mapping[int, int]
    unread: Sequence[int] = ()

    def filters(self, draw: Draw, op: Convolution, *kernel: int, inside: int = 3) -> tuple[Array, Array]:
        """The first convolution's weight and bias."""
        array, bias = draw.factor(MANY, inside // op.group, *kernel), draw.factor(MANY)
        for channel, number in self.dead.items():
            array[channel], bias[channel] = 0, number
        for channel, first in self.same.items():
            array[channel], bias[channel] = array[first], bias[first]
        return (np.moveaxis(array, 1, 0).copy() if isinstance(op, ConvTranspose) else array), bias

    def reading(self, draw: Draw, op: Convolution, *kernel: int) -> Array:
        """The second convolution's weight."""
        array = draw.factor(5, MANY, *kernel)
        array[:, list(self.unread)] = 0
        return np.moveaxis(array, 1, 0).copy() if isinstance(op, ConvTranspose) else array


DEAD = Made(dead={1: 0.0, 4: 0.0, 5: 0.0, 8: 0.0}, same={})
NEGATIVE = Made(dead={1: -3.0, 4: -1.0, 5: -2.0, 8: -0.5, 11: 0.0}, same={})
SHIFTED = Made(dead={0: 2.0, 4: -1.0, 5: 3.0, 11: 0.5}, same={})
TWICE = Made(dead={}, same={3: 1, 4: 1, 11: 2, 7: 6})
UNREAD = Made(dead={}, same={}, unread=(0, 3, 10, 11))
MIXED = Made(dead={1: 0.0, 2: 2.0}, same={4: 3, 9: 3, 10: 0}, unread=(5, 6, 11))


def network(
    made: Made,
    *between: Step,
    first: Convolution | None = None,
    second: Convolution | None = None,
    biases: tuple[bool, bool] = (True, True),
    readers: int = 1,
    spatial: Sequence[Dim] = ("H", "W"),
    dtype: type = np.float32,
    given: Mapping[str, str] | None = None,
    also: str = "",
) -> Network:
    """A convolution of x (N, 3, …) to 12 channels, what they pass through, and ``readers`` of them to 5.

    ``given`` makes "weight", "bias", "reading" or "shift" a parameter that is "overridable" or "computed";
    ``also`` says what else becomes of the channels: they are "returned", or "read" by a Sigmoid.
    """
    one, two = first or Conv.of(2), second or Conv.of(2)

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)

        def parameter(name: str, array: Array) -> Operand:
            how, data = (given or {}).get(name, ""), array.astype(dtype)
            if how == "computed":
                return b.input(name, shape=data.shape, dtype=DataType.of(data.dtype))
            return b.overridable(name, data) if how else b.constant(data, name=name)

        kernel = (3, 2, 2)[: one.spatial_rank]
        weight, bias = made.filters(draw, one, *kernel)
        x = b.input("x", shape=("N", 3, *spatial), dtype=DataType.of(np.dtype(dtype)))
        shifts = [parameter("bias", bias)] if biases[0] else []
        y = b.add(one, x, parameter("weight", weight), *shifts, name="made", node="conv")
        for step in between:
            y = step(b, draw, y)
        for number in range(readers):
            array = parameter(
                "reading" if not number else f"reading{number}", made.reading(draw, two, *kernel[::-1])
            )
            rest = (
                [parameter("shift" if not number else f"shift{number}", draw.weight(5))] if biases[1] else []
            )
            b.output(b.add(two, y, array, *rest, name=f"y{number}"))
        if also == "returned":
            b.output(y)
        if also == "read":
            b.output(b.add(Sigmoid(), y), name="other")
        return b.build()

    return build


def relu(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """max(x, 0)."""
    del draw
    return b.add(Relu(), x)


def clipped(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """X between 0 and 1."""
    del draw
    return b.add(Clip(), x, 0.0, 1.0)


def activated_depthwise(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A filter for each channel, with a Relu fused into it."""
    op = replace(Conv.of(2, group=MANY), activation=Relu())
    return b.add(op, x, draw.factor(MANY, 1, 2, 3))


def bounded_by_a_caller(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """X up to a number that is given with it."""
    del draw
    return b.add(Clip(), x, None, b.input("top", shape=()))


def pooled(op: AveragePool | MaxPool | GlobalAveragePool) -> Step:
    """X by a pool."""
    return lambda b, _, x: b.add(op, x)


def depthwise(*, pads: int, same: bool = True, dead: Sequence[int] = ()) -> Step:
    """A filter for each channel, those of all channels the same one if asked, those of some zero."""

    def step(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        kernels = draw.factor(1 if same else MANY, 1, 2, 3) + np.zeros((MANY, 1, 1, 1), np.float32)
        kernels[list(dead)] = 0
        return b.add(Conv.of(2, pads=pads, group=MANY), x, kernels, np.ones(MANY, np.float32))

    return step


COUNTED = AveragePool(
    kernel_shape=(2, 2), strides=(1, 1), pads=(1, 1, 1, 1), dilations=(1, 1), count_include_pad=1
)
OTHERS = AveragePool.of((2, 2), pads=1)

EXAMPLES = {
    "zero": network(DEAD, second=Conv.of(2, pads=1)),
    "zero, without biases": network(DEAD, biases=(False, False)),
    "zero after Relu": network(NEGATIVE, relu, second=Conv.of(2, pads=(1, 0, 2, 1))),
    "a number": network(SHIFTED),
    "a number, no bias to take it": network(SHIFTED, biases=(True, False)),
    "a number after Relu, a pool and a bound": network(
        SHIFTED, relu, pooled(MaxPool.of((3, 2), strides=2)), clipped, spatial=(9, 8)
    ),
    "a number after a pool that counts what is there": network(SHIFTED, pooled(OTHERS)),
    "the average of a number": network(SHIFTED, relu, pooled(AveragePool.of((2, 2))), spatial=(9, 8)),
    "twice": network(TWICE, relu, second=Conv.of(2, pads=1)),
    "unread": network(UNREAD, relu),
    "some of everything": network(MIXED, relu),
    "through a depthwise convolution": network(TWICE, relu, depthwise(pads=1)),
    "a number through a depthwise convolution": network(
        SHIFTED, relu, depthwise(pads=0), relu, spatial=(9, 8)
    ),
    "zero through a padded depthwise convolution": network(
        DEAD, relu, depthwise(pads=1, same=False), spatial=(7, 8)
    ),
    "a depthwise filter of zeros": network(
        Made(dead={}, same={}), relu, depthwise(pads=1, same=False, dead=(0, 4, 5, 6, 11))
    ),
    "two readers": network(MIXED, relu, readers=2),
    "strides, dilations": network(
        SHIFTED, first=Conv.of(2, strides=(2, 1), pads=1), second=Conv.of(2, dilations=(1, 2)), spatial=(9, 8)
    ),
    "transposed": network(
        DEAD, relu, first=ConvTranspose.of(2, strides=2), second=ConvTranspose.of(2, pads=1)
    ),
    "a number, transposed first": network(SHIFTED, first=ConvTranspose.of(2, strides=2)),
    "1-D": network(MIXED, relu, first=Conv.of(1), second=Conv.of(1), spatial=("L",)),
    "3-D": network(MIXED, relu, first=Conv.of(3), second=Conv.of(3), spatial=("H", "W", 5)),
    "half": network(MIXED, relu, dtype=np.float16),
    "double": network(MIXED, relu, dtype=np.float64),
    "nothing but zeros": network(Made(dead=dict.fromkeys(range(MANY), 0.0), same={}), relu),
}

NEAR_MISSES = {
    "the_weight_is_constant": [network(DEAD, given={"weight": "overridable"})],
    "the_bias_is_constant": [
        network(DEAD, given={"bias": "overridable"}),
        network(UNREAD, given={"bias": "computed"}),
    ],
    "only_convolutions_read_the_channels": [
        network(DEAD, also="returned"),
        network(DEAD, relu, also="read"),
        network(DEAD, relu, also_returned),
    ],
    "the_weights_of_the_readers_are_constant": [
        network(DEAD, given={"reading": "overridable"}),
        network(DEAD, given={"reading": "computed"}),
    ],
}


def channels_left(graph: Network) -> int:
    """How many channels the first convolution makes after the rewrite."""
    result, _ = Pipeline([DropRedundantChannels()]).run(graph(Draw(dyadic=True)))
    conv = next(n for n in result.compute_nodes() if isinstance(result.op(n), Convolution))
    left = result.type(Value(conv, 0)).dim(1)
    assert isinstance(left, int)
    return left


@pytest.mark.parametrize(
    ("graph", "left"),
    [
        (network(DEAD), 8),
        (network(NEGATIVE, relu), 8),  # seven, made up to a multiple of four
        (network(NEGATIVE, relu, second=Conv.of(2, pads=1)), 8),
        (network(SHIFTED), 8),
        (network(SHIFTED, second=Conv.of(2, pads=1)), 12),  # the borders would show the number
        (network(SHIFTED, relu, second=Conv.of(2, pads=1)), 12),  # one of four is 0: too few
        (network(SHIFTED, second=ConvTranspose.of(2)), 12),
        (network(SHIFTED, pooled(COUNTED)), 12),
        (network(SHIFTED, given={"shift": "computed"}), 12),
        (network(SHIFTED, bounded_by_a_caller), 12),
        (network(DEAD, activated_depthwise), 12),
        (network(SHIFTED, relu, depthwise(pads=1)), 12),
        (network(TWICE), 8),
        (network(TWICE, depthwise(pads=0, same=False)), 12),
        (network(Made(dead={}, same={}), relu, depthwise(pads=0, dead=range(12))), 4),
        (network(Made(dead=dict.fromkeys(range(MANY), 0.0), same={})), 4),
        (network(DEAD, first=Conv.of(2, group=3)), 12),
        (network(DEAD, second=Conv.of(2, group=1), spatial=(9, 8)), 8),
    ],
)
def test_what_may_go_goes(graph: Network, left: int) -> None:
    assert channels_left(graph) == left


def test_a_limit_that_is_left_out_is_no_unknown_number() -> None:
    graph = network(NEGATIVE, lambda b, _, x: b.add(Clip(), x, None, 6.0))(Draw(dyadic=True))
    _, trace = Pipeline([DropRedundantChannels()]).run(graph)
    assert len(trace.applications) == 1
