"""Tables for distribute-pointwise-conv-over-concat."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Concat, Conv, Expand, GlobalAveragePool, Input, Relu, Resize
from convgraph.ir.tensor import Dim
from convgraph.passes import Pipeline
from convgraph.passes.algebra.distribute_pointwise_conv_over_concat import DistributePointwiseConvOverConcat

Part = Callable[[GraphBuilder, Draw], Value]

NEAREST = Resize(coordinate_transformation_mode="asymmetric", nearest_mode="floor")
LINEAR = Resize(mode="linear")
CROP = Resize(mode="linear", coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=3.0)


def whole(channels: int = 3, *, batch: Dim = 2) -> Part:
    """An image of full size, 8 × 12."""
    return lambda b, _: b.input(f"whole{channels}", shape=(batch, channels, 8, 12))


def enlarged(
    channels: int,
    by: int = 2,
    *,
    resize: Resize = LINEAR,
    sizes: Sequence[int] = (),
    batch: Dim = 2,
    roi: Sequence[float] | None = None,
    scales: Sequence[float] = (),
) -> Part:
    """A small image made 8 × 12, by a scale or to sizes."""

    def part(b: GraphBuilder, draw: Draw) -> Value:
        del draw
        x = b.input(f"small{channels}", shape=(batch, channels, 8 // by, 12 // by))
        corners = None if roi is None else np.asarray(roi, np.float32)
        if sizes:
            return b.add(resize, x, corners, None, np.asarray(sizes))
        return b.add(resize, x, corners, np.asarray(scales or (1, 1, by, by), np.float32))

    return part


def spread(channels: int, *, by: str = "resize", batch: Dim = 2) -> Part:
    """The mean of an image, over and over."""

    def part(b: GraphBuilder, draw: Draw) -> Value:
        del draw
        mean = b.add(GlobalAveragePool(), b.input(f"field{channels}", shape=(batch, channels, 4, 2)))
        if by == "expand":
            return b.add(Expand(), mean, np.asarray([1, 1, 8, 12]))
        if by == "expanded samples":
            return b.add(Expand(), mean, np.asarray([2, channels, 8, 12]))
        return b.add(LINEAR, mean, None, np.asarray([1, 1, 8, 12], np.float32))

    return part


def head(
    *parts: Part,
    conv: Conv | None = None,
    kernel: int = 1,
    outside: int = 4,
    bias: bool = True,
    axis: int = 1,
    given: str = "",
    twice: bool = False,
) -> Callable[[Draw], Graph]:
    """A convolution of the parts joined; ``twice`` joins the last part once more."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        values = [part(b, draw) for part in parts]
        joined = b.add(Concat(axis=axis), *values, *values[-1:] * twice)
        op, inside = conv or Conv.of(2), b.type(joined).dim(1)
        assert isinstance(inside, int)
        weight = draw.weight(outside, inside // op.group, kernel, kernel)
        operands = [b.overridable("weight", weight) if given else b.constant(weight, name="weight")]
        operands += [b.constant(draw.weight(outside))] if bias else []
        b.output(b.add(op, joined, *operands, node="head"), name="y")
        return b.build()

    return build


EXAMPLES = {
    "two sizes and a whole image": head(enlarged(5), enlarged(6, 4, resize=NEAREST), whole()),
    "whole image first, no bias": head(whole(), enlarged(5, 4), bias=False),
    "all enlarged": head(enlarged(5, 4), enlarged(6)),
    "sizes": head(enlarged(5, sizes=(2, 5, 8, 12)), whole()),
    "pixel": head(whole(), spread(5)),
    "pixel expanded": head(spread(6, by="expand"), whole()),
    "pixel, whole and enlarged": head(spread(7), enlarged(6), whole(5), whole()),
    "pixel and enlarged": head(spread(7), enlarged(6, 4)),
    "more samples, too": head(enlarged(6, resize=NEAREST, batch=1, scales=(2, 1, 2, 2)), whole()),
    "same part twice": head(whole(), enlarged(5), twice=True),
    "open batch": head(whole(batch="N"), spread(5, batch="N"), enlarged(6, batch="N")),
    "last axes counted from the end": head(whole(), enlarged(5), axis=-3),
}

NEAR_MISSES = {
    "the_weight_is_constant": [head(enlarged(5), whole(), given="overridable")],
    "the_convolution_is_pointwise": [
        head(enlarged(5), whole(), kernel=2),
        head(enlarged(5), whole(), conv=Conv.of(2, strides=2)),
        head(enlarged(5), whole(), conv=Conv.of(2, pads=1)),
    ],
    "the_convolution_is_a_plain_sum": [
        head(enlarged(5), whole(), conv=Conv.of(2, group=2)),
        head(enlarged(5), whole(), conv=replace(Conv.of(2), activation=Relu())),
    ],
    "known_numbers_of_channels_are_joined": [head(enlarged(3), whole(), axis=2)],
    "a_part_is_smaller_before": [
        head(
            enlarged(5, resize=CROP, roi=(0, 0, -0.5, 0, 1, 1, 1.5, 1)),
            whole(),
        ),
        head(enlarged(4, resize=NEAREST, scales=(1, 1.5, 2, 2)), whole()),
        head(spread(5), spread(6)),
        head(spread(5, by="expanded samples", batch=1), whole()),
    ],
    "it_is_cheaper_on_the_target": [head(whole(5), enlarged(3, 1))],
}


def test_the_bias_goes_with_a_whole_image() -> None:
    """A term of one pixel, which the sum broadcasts, has none."""
    graph = EXAMPLES["pixel and enlarged"](Draw(dyadic=True))
    result, _ = Pipeline([DistributePointwiseConvOverConcat()]).run(graph)
    convs = [result.operands(n) for n in result.compute_nodes() if isinstance(result.op(n), Conv)]
    biases = {type(result.producer(x)): len(rest) == 2 for x, *rest in convs if x is not None}
    assert biases == {Input: True, GlobalAveragePool: False}


def test_a_pixel_is_convolved_as_one() -> None:
    result, trace = Pipeline([DistributePointwiseConvOverConcat()]).run(EXAMPLES["pixel"](Draw(dyadic=True)))
    assert [result.op(n).label for n in result.compute_nodes()] == [
        "GlobalAveragePool",
        "Conv",
        "Conv",
        "Add",
    ]
    assert trace.applications[0].before.macs == 2 * 8 * 12 * 8 * 4
