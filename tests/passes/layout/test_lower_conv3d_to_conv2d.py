"""Tables for lower-conv3d-to-conv2d, and what whole networks become by it."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from laws.check import encoded
from laws.draw import Draw
from laws.forced import forced
from laws.meaning import difference, in_onnxruntime
from laws.volumes import random_setting
from laws.weighted import Weight, convolved

from convgraph.analysis.cost import graph_cost
from convgraph.analysis.target import GenericTarget
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Activation,
    Add,
    BatchNormalization,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    LeakyRelu,
    MaxPool,
    PRelu,
    Relu,
    Transpose,
)
from convgraph.ir.tensor import Array, Dim
from convgraph.numerics.evaluate import evaluate
from convgraph.passes import EXACT, LowerConv3dToConv2d, Pipeline
from convgraph.passes.rewrite import PRICE

SIZE = (5, 12, 11)
OPEN = ("L", "H", "W")
DEPTHWISE: dict[str, Any] = {"channels": (32, 32), "group": 32}


def drawn(*shape: int) -> Weight:
    """Any weight of a shape."""
    return lambda draw: draw.weight(*shape)


def volumes(
    *kernel: int,
    channels: tuple[int, int] = (16, 32),
    spatial: Sequence[Dim] = SIZE,
    batch: Dim = "N",
    auto_pad: str = "NOTSET",
    given: str = "",
    bias: bool = True,
    dtype: type = np.float32,
    **options: int | tuple[int, ...],
) -> Callable[[Draw], Graph]:
    """A convolution along three axes, padded so that their sizes stay unless told otherwise."""
    half = tuple(taps // 2 for taps in kernel)
    op = replace(Conv.of(3, **{"pads": (*half, *half), **options}), auto_pad=auto_pad)  # type: ignore[arg-type]
    inside, outside = channels
    weight = drawn(outside, inside // op.group, *kernel)
    return convolved(op, weight, spatial=spatial, batch=batch, given=given, bias=bias, dtype=dtype)


def activated(
    activation: Activation,
    *parameters: Callable[[Draw], Array],
    kernel: tuple[int, int, int] = (3, 3, 3),
    bias: bool = True,
) -> Callable[[Draw], Graph]:
    """A convolution that has an activation fused into it."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        op = replace(Conv.of(3, pads=(1, 0, 0, 1, 0, 0)), activation=activation)
        values = [b.constant(parameter(draw)) for parameter in parameters]
        operands = (draw.weight(32, 16, *kernel), draw.weight(32) if bias else None, *values)
        b.output(b.add(op, b.input("x", shape=("N", 16, *SIZE)), *operands), name="y")
        return b.build()

    return build


def scalar(number: float) -> Callable[[Draw], Array]:
    """One number."""
    return lambda _: np.asarray(number, np.float32)


def slopes(*shape: int) -> Callable[[Draw], Array]:
    """Numbers on axes of their own."""
    return lambda draw: draw.factor(*shape)


def other_bias(*, supplied: bool = False) -> Callable[[Draw], Graph]:
    """A bias that a caller may override, or must supply."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=("N", 16, *SIZE))
        bias = b.input("bias", shape=(32,)) if supplied else b.overridable("bias", draw.weight(32))
        b.output(b.add(Conv.of(3, pads=1), x, draw.weight(32, 16, 3, 3, 3), bias), name="y")
        return b.build()

    return build


EXAMPLES = {
    "three axes": volumes(3, 3, 3),
    "one volume": volumes(3, 3, 3, batch=1),
    "no bias": volumes(3, 3, 3, bias=False),
    "a bias that a caller may override": other_bias(),
    "a bias that a caller supplies": other_bias(supplied=True),
    "images": volumes(1, 3, 3),
    "images, one volume": volumes(1, 3, 3, batch=1),
    "images, every other": volumes(1, 3, 3, strides=(2, 1, 1)),
    "images, every other of one volume": volumes(1, 3, 3, strides=(2, 2, 1), batch=1),
    "images with planes of zeros": volumes(1, 3, 3, pads=(1, 1, 1, 0, 1, 1)),
    "along the depth": volumes(3, 1, 1),
    "along the depth, no bias": volumes(3, 1, 1, bias=False, batch=1),
    "along the depth, strides": volumes(3, 1, 1, strides=(2, 1, 1)),
    "along the depth, dilated": volumes(3, 1, 1, dilations=(2, 1, 1), pads=(1, 0, 0, 2, 0, 0)),
    "along the depth, groups": volumes(5, 1, 1, **DEPTHWISE),
    "along the depth, sizes open": volumes(3, 1, 1, spatial=("L", "H", 11)),
    "along the depth, other sizes open": volumes(3, 1, 1, spatial=("L", 12, "W"), channels=(128, 16)),
    "strides": volumes(3, 3, 3, strides=(2, 1, 2), channels=(32, 32)),
    "dilations": volumes(3, 3, 2, dilations=(2, 1, 3), pads=(2, 1, 1, 2, 1, 2)),
    "unequal pads": volumes(3, 2, 3, pads=(0, 1, 2, 1, 0, 0)),
    "no pads": volumes(2, 3, 3, pads=0),
    "even kernel": volumes(2, 4, 3, pads=(1, 2, 1, 0, 1, 1)),
    "groups": volumes(3, 3, 3, channels=(32, 64), group=2),
    "depthwise": volumes(3, 3, 3, **DEPTHWISE),
    "open batch and depth-first sizes": volumes(3, 3, 3, spatial=(5, "H", "W")),
    "open depth": volumes(3, 3, 3, batch=2, spatial=("L", 12, 11)),
    "open depth and planes": volumes(3, 3, 3, batch=2, spatial=OPEN),
    "one volume of open sizes": volumes(3, 3, 3, batch=1, spatial=OPEN),
    "one volume of open depth, strides": volumes(3, 3, 3, batch=1, spatial=("L", 12, 11), strides=(2, 1, 1)),
    "the depth ends as one": volumes(5, 3, 3, pads=(0, 1, 1, 0, 1, 1)),
    "SAME": volumes(3, 3, 4, pads=0, auto_pad="SAME_UPPER"),
    "SAME, odd pixel first": volumes(2, 4, 3, pads=0, auto_pad="SAME_LOWER", strides=(1, 1, 2)),
    "VALID": volumes(3, 3, 3, pads=0, auto_pad="VALID", strides=(1, 1, 1)),
    "LeakyRelu": activated(LeakyRelu(alpha=0.25)),
    "Clip": activated(Clip(), scalar(-2), scalar(6), bias=False),
    "Clip, along the depth": activated(Clip(), scalar(-2), scalar(6), kernel=(3, 1, 1)),
    "PRelu, one slope": activated(PRelu(), slopes(1)),
    "PRelu, one slope on five axes": activated(PRelu(), slopes(1, 1, 1, 1, 1)),
    "PRelu, a slope for each channel": activated(PRelu(), slopes(32, 1, 1, 1)),
    "PRelu, a slope for each channel, along the depth": activated(
        PRelu(), slopes(32, 1, 1, 1), kernel=(3, 1, 1)
    ),
}

NEAR_MISSES = {
    "the_weight_is_constant": [
        volumes(3, 3, 3, given="overridable"),
        volumes(3, 3, 3, given="computed"),
        volumes(3, 1, 1, given="overridable"),
    ],
    "the_pads_are_known": [
        volumes(3, 3, 3, pads=0, batch=1, spatial=OPEN, auto_pad="SAME_UPPER", strides=(2, 1, 1)),
        volumes(3, 1, 1, pads=0, spatial=("L", 12, 11), auto_pad="SAME_LOWER", strides=(2, 1, 1)),
    ],
    "the_volumes_can_be_told_apart": [
        volumes(3, 3, 3, spatial=OPEN),
        volumes(1, 3, 3, spatial=("L", 12, 11)),
        volumes(3, 1, 1, spatial=OPEN),
        volumes(3, 1, 1, spatial=("L", 12, 11), strides=(1, 2, 1)),
    ],
    "it_is_cheaper_on_the_target": [
        volumes(1, 1, 1, strides=2),
        volumes(3, 1, 1, strides=(1, 2, 1)),
        volumes(3, 1, 1, pads=(1, 1, 0, 1, 0, 0)),
        volumes(3, 1, 1, spatial=(5, "H", "W")),
        volumes(3, 3, 3, channels=(20, 20)),
        volumes(3, 3, 3, dtype=np.float64),
        volumes(1, 3, 3, dtype=np.float16),
    ],
}


def is_right_to_lower(graph: Graph) -> bool:
    """Whether there is something to find, and all that it requires but the price holds."""
    rewrite = LowerConv3dToConv2d()
    (node,) = [node for node in graph.compute_nodes() if isinstance(graph.op(node), Conv)]
    match = rewrite.find(graph, node)
    return match is not None and rewrite.refusal(graph, match, at="", but=PRICE) is None


@pytest.mark.parametrize("seed", range(8))
def test_any_setting_is_bit_for_bit_the_same(seed: int) -> None:
    rng, lowered = np.random.default_rng(seed), 0
    for number in range(50):
        setting = random_setting(rng)
        graph = setting.graph()
        if not is_right_to_lower(graph):
            continue
        result, lowered = forced(LowerConv3dToConv2d(), graph), lowered + 1
        ranks = {op.spatial_rank for n in result.compute_nodes() if isinstance(op := result.op(n), Conv)}
        assert ranks == {2}
        runs = (
            (evaluate, in_onnxruntime)
            if setting.weight.dtype == np.float32 and number % 3 == 0
            else (evaluate,)
        )
        for run in runs:
            expected, found = (run(one, setting.feed())["y"] for one in (graph, result))
            np.testing.assert_array_equal(found, expected, f"{setting.op} {setting.symbols}")
    assert lowered > 30


@pytest.mark.parametrize(
    "build",
    [
        volumes(3, 3, 3, spatial=SIZE, batch=2),
        volumes(3, 3, 3, spatial=SIZE, batch=2, strides=2, dilations=(2, 1, 2)),
        volumes(1, 3, 3, spatial=SIZE, batch=2, strides=(2, 1, 1)),
        volumes(5, 1, 1, spatial=SIZE, batch=2, **DEPTHWISE),
    ],
)
def test_it_multiplies_as_often(build: Callable[[Draw], Graph]) -> None:
    graph = build(Draw(dyadic=True))
    assert graph_cost(forced(LowerConv3dToConv2d(), graph)).macs == graph_cost(graph).macs


@pytest.mark.parametrize(
    "shape", [("N", "C", 5, "H", 11), (1, "C", "D", "H", "W"), (2, None, None, None, None)]
)
def test_the_weight_says_how_many_channels_there_are(shape: tuple[Dim, ...]) -> None:
    b, draw = GraphBuilder("g", opset=17), Draw(dyadic=True)
    b.output(b.add(Conv.of(3, pads=1), b.input("x", shape=shape), draw.weight(6, 4, 3, 3, 3)), name="y")
    graph = b.build()
    assert is_right_to_lower(graph)
    feed = {"x": draw.weight(shape[0] if isinstance(shape[0], int) else 3, 4, 5, 7, 11)}
    for run in (evaluate, in_onnxruntime):
        expected, found = (run(one, feed)["y"] for one in (graph, forced(LowerConv3dToConv2d(), graph)))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("kernel", "size"),
    [
        ((1, 1, 1), SIZE),
        ((33, 1, 1), (40, 12, 11)),
        ((2, 2, 3), (5, 0, 11)),
        ((3, 3), (12, 11)),
        ((5,), (12,)),
    ],
)
def test_what_is_no_volume_and_what_is_too_deep_is_left_alone(
    kernel: tuple[int, ...], size: tuple[int, ...]
) -> None:
    op = Conv.of(len(kernel), pads=1 if 0 in size else 0)
    graph = convolved(op, drawn(32, 16, *kernel), spatial=size)(Draw(dyadic=True))
    _, trace = Pipeline([LowerConv3dToConv2d()]).run(graph)
    assert not trace.applications
    assert not trace.refusals


def test_the_deepest_kernel_is_looked_at() -> None:
    assert is_right_to_lower(volumes(32, 1, 1, spatial=(40, 12, 11))(Draw(dyadic=True)))


def test_no_samples_are_no_volumes() -> None:
    for kernel in ((3, 3, 3), (3, 1, 1)):
        graph = volumes(*kernel)(Draw(dyadic=True))
        feed = {"x": np.zeros((0, 16, *SIZE), np.float32)}
        assert in_onnxruntime(forced(LowerConv3dToConv2d(), graph), feed)["y"].shape == (0, 32, *SIZE)


def test_planes_that_are_skipped_are_not_turned() -> None:
    graph = volumes(1, 3, 3, strides=(2, 1, 1), batch=1)(Draw(dyadic=True))
    result, _ = Pipeline(EXACT).run(graph)
    turned = [Value(n, 0) for n in result.compute_nodes() if isinstance(result.op(n), Transpose)]
    assert sorted(str(result.type(value)) for value in turned) == [
        "float32[1, 3, 16, 12, 11]",
        "float32[1, 32, 3, 12, 11]",
    ]


def test_a_target_that_only_counts_has_no_say_in_it() -> None:
    graph = EXAMPLES["three axes"](Draw(dyadic=True))
    _, trace = Pipeline([LowerConv3dToConv2d(target=GenericTarget())]).run(graph)
    assert not trace.applications
    assert not trace.refusals


Layers = Callable[[GraphBuilder, Draw, Value], Value]


def normal(b: GraphBuilder, draw: Draw, x: Value, *, channels: int) -> Value:
    """Each channel times a number, and another one added."""
    statistics = (
        draw.factor(channels),
        draw.weight(channels),
        draw.weight(channels),
        draw.variance(channels),
    )
    return b.add(BatchNormalization(epsilon=draw.epsilon), x, *statistics)


def filtered(b: GraphBuilder, draw: Draw, x: Value, *kernel: int, channels: tuple[int, int]) -> Value:
    """A convolution that keeps sizes."""
    half = tuple(taps // 2 for taps in kernel)
    inside, outside = channels
    return b.add(
        Conv.of(3, pads=(*half, *half)), x, draw.weight(outside, inside, *kernel), draw.weight(outside)
    )


def two_in_a_row(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A convolution and a Relu, twice."""
    y = b.add(Relu(), filtered(b, draw, x, 3, 3, 3, channels=(16, 32)))
    return b.add(Relu(), filtered(b, draw, y, 3, 3, 3, channels=(32, 16)))


def in_two_steps(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A convolution of planes, then one along the depth, each normalised (Tran et al., 2018)."""
    y = normal(b, draw, filtered(b, draw, x, 1, 3, 3, channels=(16, 48)), channels=48)
    y = filtered(b, draw, b.add(Relu(), y), 3, 1, 1, channels=(48, 16))
    return b.add(Relu(), normal(b, draw, y, channels=16))


def residual(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """Two convolutions, and x added to what they make (Hara et al., 2018), twice."""
    for _ in range(2):
        y = b.add(Relu(), normal(b, draw, filtered(b, draw, x, 3, 3, 3, channels=(16, 16)), channels=16))
        y = normal(b, draw, filtered(b, draw, y, 3, 3, 3, channels=(16, 16)), channels=16)
        x = b.add(Relu(), b.add(Add(), x, y))
    return x


def u_shaped(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A step down, a step up again, and what was there before beside it (Çiçek et al., 2016)."""
    wide = b.add(Relu(), filtered(b, draw, x, 3, 3, 3, channels=(16, 16)))
    y = b.add(MaxPool.of((2, 2, 2), strides=2), wide)
    y = b.add(Relu(), filtered(b, draw, y, 3, 3, 3, channels=(16, 32)))
    y = b.add(ConvTranspose.of(3, strides=2), y, draw.weight(32, 16, 2, 2, 2), draw.weight(16))
    y = b.add(Concat(axis=1), wide, y)
    return b.add(Relu(), filtered(b, draw, y, 3, 3, 3, channels=(32, 16)))


@pytest.mark.parametrize("batch", [1, 2, "N"])
@pytest.mark.parametrize(
    ("layers", "lowered", "turned"),
    [(two_in_a_row, 2, 2), (in_two_steps, 2, 2), (residual, 4, 2), (u_shaped, 3, 6)],
)
def test_networks_come_to_rest_with_few_transposes(
    layers: Layers, lowered: int, turned: int, batch: Dim
) -> None:
    b, draw = GraphBuilder("g", opset=17), Draw(dyadic=False)
    b.output(layers(b, draw, b.input("x", shape=(batch, 16, 4, 14, 12))), name="y")
    graph = b.build()
    result, trace = Pipeline(EXACT).run(graph)
    assert Counter(a.rewrite for a in trace.applications)["lower-conv3d-to-conv2d"] == lowered
    assert sum(isinstance(result.op(node), Transpose) for node in result.compute_nodes()) == turned
    assert not difference(graph, result, dyadic=False)
    again, more = Pipeline(EXACT).run(result)
    assert not more.applications
    assert encoded(again) == encoded(result)
