"""Tables for lower-conv-transpose-to-sub-pixel."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from laws.check import encoded
from laws.draw import Draw
from laws.meaning import in_onnxruntime
from laws.transposes import random_setting
from laws.weighted import Weight, convolved

from convgraph.analysis.cost import graph_cost, parameters
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Activation, Clip, ConvTranspose, LeakyRelu, PRelu
from convgraph.numerics.evaluate import evaluate
from convgraph.passes import Pipeline
from convgraph.passes.lowering.lower_conv_transpose_to_sub_pixel import (
    Form,
    LowerConvTransposeToSubPixel,
)


def drawn(*shape: int) -> Weight:
    """Any weight of a shape."""
    return lambda draw: draw.weight(*shape)


def transpose(rank: int, *, output_padding: tuple[int, ...] = (), **options: object) -> ConvTranspose:
    return replace(ConvTranspose.of(rank, **options), output_padding=output_padding)  # type: ignore[arg-type]


def activated(
    activation: Activation, *parameters: Callable[[Draw], np.ndarray], kernel: tuple[int, int] = (4, 3)
) -> Callable[[Draw], Graph]:
    """A transposed convolution without a bias that has an activation fused into it."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=("N", 4, "H", "W"))
        op = replace(ConvTranspose.of(2, strides=2, pads=1), activation=activation)
        values = [b.constant(parameter(draw)) for parameter in parameters]
        weight = b.constant(draw.weight(4, 3, *kernel), name="weight")
        b.output(b.add(op, x, weight, None, *values), name="y")
        return b.build()

    return build


def scalar(number: float) -> Callable[[Draw], np.ndarray]:
    return lambda _: np.asarray(number, np.float32)


def other_bias(*, supplied: bool = False) -> Callable[[Draw], Graph]:
    """A bias that a caller may override, or must supply."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=("N", 4, "H", "W"))
        bias = b.input("bias", shape=(3,)) if supplied else b.overridable("bias", draw.weight(3))
        b.output(b.add(ConvTranspose.of(2, strides=2), x, draw.weight(4, 3, 4, 3), bias), name="y")
        return b.build()

    return build


def shared_weight(kernel: tuple[int, int]) -> Callable[[Draw], Graph]:
    """Two transposed convolutions of other strides, one weight; before DepthToSpace had modes."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=10)
        x = b.input("x", shape=("N", 4, "H", "W"))
        weight = b.constant(draw.weight(4, 3, *kernel), name="shared")
        for strides, name in ((2, "left"), ((1, 3), "right")):
            b.output(b.add(ConvTranspose.of(2, strides=strides, pads=1), x, weight), name=name)
        return b.build()

    return build


EXAMPLES = {
    "2-D": convolved(transpose(2, strides=2, pads=1), drawn(4, 6, 4, 4)),
    "oblong static": convolved(transpose(2, strides=2, pads=(1, 0, 2, 1)), drawn(4, 6, 4, 3), spatial=(7, 6)),
    "output padding": convolved(transpose(2, strides=2, pads=1, output_padding=(1, 0)), drawn(4, 6, 3, 3)),
    "kernel is the stride": convolved(transpose(2, strides=3), drawn(4, 6, 3, 3), bias=False),
    "kernel below the stride": convolved(transpose(2, strides=3), drawn(4, 6, 2, 1)),
    "padding beyond the kernel": convolved(transpose(2, strides=2, pads=(3, 0, 1, 4)), drawn(4, 6, 2, 3)),
    "stride 1": convolved(transpose(2, pads=(1, 0, 0, 1)), drawn(4, 6, 3, 4)),
    "stride 1, cropping": convolved(transpose(2, pads=(2, 0, 0, 1)), drawn(4, 6, 2, 1)),
    "unequal strides": convolved(transpose(2, strides=(1, 3), pads=1), drawn(4, 6, 4, 5)),
    "unequal strides, static": convolved(transpose(2, strides=(3, 2)), drawn(4, 6, 4, 3), spatial=(5, 4)),
    "dilations": convolved(transpose(2, strides=2, dilations=(2, 3), pads=1), drawn(4, 6, 3, 2)),
    "dilation, stride 1": convolved(transpose(2, dilations=2, pads=1), drawn(4, 6, 3, 2)),
    "groups": convolved(transpose(2, strides=2, pads=1, group=2), drawn(4, 3, 4, 3)),
    "depthwise": convolved(transpose(2, strides=2, pads=1, group=4), drawn(4, 1, 4, 4)),
    "depthwise, unequal": convolved(transpose(2, strides=(2, 1), group=4), drawn(4, 1, 3, 3)),
    "1-D": convolved(transpose(1, strides=2, pads=1, output_padding=(1,)), drawn(4, 6, 5), spatial=("L",)),
    "3-D": convolved(transpose(3, strides=2, pads=1), drawn(4, 6, 3, 2, 4)),
    "3-D, static, groups": convolved(
        transpose(3, strides=(1, 2, 3), group=2), drawn(4, 2, 2, 3, 4), spatial=(4, 3, 5)
    ),
    "VALID": convolved(replace(transpose(2, strides=2), auto_pad="VALID"), drawn(4, 6, 4, 3)),
    "SAME": convolved(replace(transpose(2, strides=2), auto_pad="SAME_UPPER"), drawn(4, 6, 3, 5)),
    "SAME, odd pixel first": convolved(
        replace(transpose(2, strides=2), auto_pad="SAME_LOWER"), drawn(4, 6, 3, 5), spatial=(7, 6)
    ),
    "SAME, stride beyond the kernel": convolved(
        replace(transpose(2, strides=(2, 3)), auto_pad="SAME_UPPER"), drawn(4, 6, 1, 2), spatial=(7, 6)
    ),
    "a phase without taps": convolved(transpose(2, strides=2, pads=(0, 1, 0, 0)), drawn(4, 6, 1, 5)),
    "dilation by the stride": convolved(
        transpose(2, strides=2, dilations=(2, 4), pads=(1, 2, 3, 1)), drawn(4, 6, 3, 2)
    ),
    "one pixel": convolved(transpose(2, strides=2, pads=1), drawn(4, 6, 4, 5), spatial=(1, 1)),
    "odd kernel, fused": activated(LeakyRelu(alpha=0.25), kernel=(3, 5)),
    "odd kernel, a slope for each channel": activated(
        PRelu(), lambda draw: draw.factor(3, 1, 1), kernel=(3, 3)
    ),
    "odd kernel, old opset": shared_weight((3, 5)),
    "output shape": convolved(
        replace(transpose(2, strides=2), output_shape=(13, 12)), drawn(4, 6, 3, 4), spatial=(7, 6)
    ),
    "output shape beyond the last pixel": convolved(
        replace(transpose(2, strides=(3, 2)), output_shape=(22, 14)), drawn(4, 6, 2, 3), spatial=(7, 6)
    ),
    "LeakyRelu": activated(LeakyRelu(alpha=0.25)),
    "Clip": activated(Clip(), scalar(-2), scalar(6)),
    "PRelu, one slope": activated(PRelu(), scalar(0.5)),
    "PRelu, a slope for each channel": activated(PRelu(), lambda draw: draw.factor(3, 1, 1)),
    "double": convolved(transpose(2, strides=2, pads=1), drawn(4, 6, 4, 4), dtype=np.float64),
    "half": convolved(transpose(2, strides=2, pads=1), drawn(4, 6, 4, 4), dtype=np.float16),
    "shared weight, old opset": shared_weight((4, 4)),
}

NEAR_MISSES = {
    "the_weights_are_constant": [
        convolved(transpose(2, strides=2), drawn(4, 6, 4, 4), given="overridable"),
        convolved(transpose(2, strides=2), drawn(4, 6, 4, 4), given="computed"),
        other_bias(),
        other_bias(supplied=True),
    ],
    "the_pads_are_known": [
        convolved(replace(transpose(2, strides=2), output_shape=(13, 12)), drawn(4, 6, 3, 4)),
    ],
}

FORMS: tuple[Form, ...] = ("one", "crop", "phases")


@pytest.mark.parametrize("seed", range(10))
def test_any_setting_is_bit_for_bit_the_same_in_every_form(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for number in range(50):
        setting = random_setting(rng)
        graph = setting.graph()
        runs = (evaluate, in_onnxruntime)[: 2 if number % 5 == 0 else 1]
        expected = [run(graph, setting.feed())["y"] for run in runs]
        for form in FORMS:
            result, trace = Pipeline([LowerConvTransposeToSubPixel(form=form)]).run(graph)
            assert len(trace.applications) == 1
            assert not [n for n in result.nodes() if isinstance(result.op(n), ConvTranspose)]
            for run, y in zip(runs, expected, strict=True):
                np.testing.assert_array_equal(run(result, setting.feed())["y"], y, f"{form} {setting.op}")


@pytest.mark.parametrize(
    ("op", "kernel", "cheapest"),
    [
        (transpose(2, strides=2), (2, 2), "one"),
        (transpose(2, strides=2, pads=(2, 0, 1, 0)), (4, 4), "one"),
        (transpose(2, strides=2, pads=1), (4, 4), "crop"),
        (transpose(2, strides=16, pads=8), (32, 32), "crop"),
        (transpose(2, strides=2, pads=1), (3, 3), "phases"),
        (transpose(2, strides=(2, 3), pads=1), (4, 4), "phases"),
        (transpose(2, strides=4, pads=2), (7, 7), "phases"),
        (transpose(2, strides=8, pads=4), (15, 15), "crop"),  # 64 convolutions for one are too many
        (transpose(2, pads=1), (3, 3), "one"),
        (transpose(3, strides=2, pads=1), (3, 3, 3), "phases"),
        (transpose(1, strides=3, dilations=3, pads=1), (4,), "phases"),
        (transpose(1, strides=2, dilations=3, pads=1), (2,), "phases"),
    ],
)
def test_the_form_with_the_fewest_multiplications_is_taken(
    op: ConvTranspose, kernel: tuple[int, ...], cheapest: Form
) -> None:
    graph = convolved(op, drawn(4, 6, *kernel), spatial=(9, 7, 5)[: len(kernel)])(Draw(dyadic=True))
    chosen, _ = Pipeline([LowerConvTransposeToSubPixel()]).run(graph)
    other = {form: Pipeline([LowerConvTransposeToSubPixel(form=form)]).run(graph)[0] for form in FORMS}
    assert encoded(chosen) == encoded(other[cheapest])
    assert graph_cost(chosen) <= min(graph_cost(other[form]) for form in ("one", "crop"))


def test_a_convolution_for_each_phase_multiplies_as_often_as_the_original() -> None:
    op = transpose(2, strides=2, pads=1, output_padding=(1, 1))
    before = convolved(op, drawn(4, 6, 3, 3), spatial=(7, 5))(Draw(dyadic=True))
    after, _ = Pipeline([LowerConvTransposeToSubPixel(form="phases")]).run(before)
    assert graph_cost(after).macs == graph_cost(before).macs


def test_what_is_cropped_afterwards_takes_fewer_taps() -> None:
    graph = convolved(transpose(2, strides=2, pads=1), drawn(4, 6, 4, 4), spatial=(9, 7))(Draw(dyadic=True))
    one, crop = (Pipeline([LowerConvTransposeToSubPixel(form=form)]).run(graph)[0] for form in FORMS[:2])
    assert parameters(crop) < parameters(one)


def test_phases_by_the_thousand_are_not_spelled_out() -> None:
    graph = convolved(transpose(1, strides=5000), drawn(4, 6, 1), spatial=(2,))(Draw(dyadic=True))
    assert not Pipeline([LowerConvTransposeToSubPixel()]).run(graph)[1].applications
