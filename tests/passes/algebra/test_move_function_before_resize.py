"""Tables for move-function-before-resize."""

from collections.abc import Callable, Sequence

import numpy as np
from laws.draw import Draw
from laws.enlarged import COPY

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph
from convgraph.ir.ops import (
    Add,
    BatchNormalization,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    Div,
    Exp,
    LeakyRelu,
    MaxPool,
    Mul,
    Neg,
    Op,
    PRelu,
    Relu,
    Resize,
    Sigmoid,
    Sub,
)
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import DEFAULT, Pipeline
from convgraph.passes.algebra.move_function_before_resize import MoveFunctionBeforeResize

LINEAR = Resize(mode="linear")
CROP = Resize(mode="nearest", nearest_mode="floor", coordinate_transformation_mode="tf_crop_and_resize")

Parameter = Callable[[GraphBuilder, Draw], Operand]


def enlarged(
    op: Op,
    *parameters: Parameter,
    resize: Resize = COPY,
    scales: Sequence[float] = (1, 1, 2, 2),
    images: str = "up",
    slot: int = 0,
    shape: Sequence[Dim] = ("N", 4, "H", "W"),
    dtype: type = np.float32,
    axis: int = 1,
) -> Callable[[Draw], Graph]:
    """``op`` of images side by side and of parameters, the images at ``slot`` among its operands.

    ``images`` are words: "up" is a Resize of an image, "skip" the largest of each of its pixels.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=19)
        parts, region = [], np.asarray([0] * len(shape) + [1, 1, 1.5, 1.5], np.float32)
        for number, word in enumerate(images.split()):
            x = b.input(f"x{number}", shape=shape, dtype=DataType.of(np.dtype(dtype)))
            roi = region if resize is CROP else None
            large = b.add(resize, x, roi, np.asarray(scales, np.float32), name="large")
            parts.append(large if word == "up" else b.add(MaxPool.of((1,) * (len(shape) - 2)), large))
        whole = parts[0] if len(parts) == 1 else b.add(Concat(axis=axis), *parts)
        operands: list[Operand] = [parameter(b, draw) for parameter in parameters]
        operands.insert(slot, whole)
        b.output(b.add(op, *operands), name="y")
        return b.build()

    return build


def numbers(*shape: int, dtype: type = np.float32) -> Parameter:
    """A constant."""
    return lambda b, draw: b.constant(draw.factor(*shape, dtype=dtype))


def gate(*shape: Dim) -> Parameter:
    """What the model is given."""
    return lambda b, _: b.input("gate", shape=shape)


def overridable(*shape: int) -> Parameter:
    """A constant that a caller may override."""
    return lambda b, draw: b.overridable("factor", draw.factor(*shape))


def scalar(number: float) -> Parameter:
    """A number."""
    return lambda b, _: b.constant(np.asarray(number, np.float32))


def statistics(channels: int) -> list[Parameter]:
    """What a batch normalisation has for each channel."""
    factors: list[Parameter] = [numbers(channels)] * 3
    return [*factors, lambda b, draw: b.constant(draw.variance(channels))]


def normalisation(*, training: int = 0) -> BatchNormalization:
    return BatchNormalization(epsilon=0.25, training_mode=training)


EXAMPLES = {
    "an activation": enlarged(Relu()),
    "a function": enlarged(Exp()),
    "with parameters": enlarged(Clip(), scalar(-2), scalar(3)),
    "a slope for each channel": enlarged(PRelu(), numbers(4, 1, 1)),
    "a factor for each channel": enlarged(Mul(), numbers(4, 1, 1)),
    "a number": enlarged(Add(), scalar(3)),
    "subtracted": enlarged(Sub(), numbers(1, 4, 1, 1), slot=1),
    "divided by": enlarged(Div(), numbers(1, 4, 1, 1), slot=1),
    "a gate for each sample": enlarged(Mul(), gate("N", 4, 1, 1)),
    "normalised": enlarged(normalisation(), *statistics(4)),
    "interpolated, shifted": enlarged(Add(), numbers(4, 1, 1), resize=LINEAR),
    "interpolated, divided": enlarged(Div(), numbers(4, 1, 1), resize=LINEAR),
    "interpolated, turned": enlarged(Neg(), resize=LINEAR),
    "interpolated, normalised": enlarged(normalisation(), *statistics(4), resize=LINEAR),
    "interpolated, gated": enlarged(Mul(), gate("N", 4, 1, 1), resize=LINEAR),
    "one axis": enlarged(LeakyRelu(alpha=0.25), scales=(1, 1, 1, 3)),
    "any way of sampling": enlarged(Relu(), resize=Resize(nearest_mode="ceil"), scales=(1, 1, 2.5, 1.5)),
    "next to another": enlarged(Relu(), images="up skip"),
    "any number of channels": enlarged(Relu(), images="up skip", shape=("N", "L", "H", "W")),
    "normalised next to others": enlarged(normalisation(), *statistics(12), images="skip up skip"),
    "both enlarged, scaled": enlarged(Mul(), numbers(8, 1, 1), images="up up", resize=LINEAR),
    "joined, one number": enlarged(Add(), numbers(1, 1, 1), images="up skip"),
    "joined, from the last axis": enlarged(Relu(), images="up skip", axis=-3),
    "1-D": enlarged(Relu(), scales=(1, 1, 2), shape=("N", 4, "L")),
    "3-D": enlarged(Relu(), scales=(1, 1, 2, 1, 2), shape=("N", 4, "H", "W", 3)),
    "double": enlarged(Relu(), dtype=np.float64),
    "half": enlarged(LeakyRelu(alpha=0.25), dtype=np.float16),
}

NEAR_MISSES = {
    "only_space_is_resized": [
        enlarged(Add(), numbers(8, 1, 1), scales=(1, 2, 1, 1)),
        enlarged(Mul(), gate(4, 4, 1, 1), scales=(2, 1, 2, 2), shape=(2, 4, "H", "W")),
    ],
    "sampling_weights_add_up_to_one": [enlarged(Exp(), resize=CROP)],
    "interpolation_lets_the_function_pass": [
        enlarged(Relu(), resize=LINEAR),
        enlarged(Div(), lambda b, _: b.constant(np.float32([[[4.0]]])), slot=1, resize=LINEAR),
        enlarged(PRelu(), numbers(4, 1, 1), resize=Resize(mode="cubic")),
    ],
    "what_else_goes_in_is_the_same_everywhere": [
        enlarged(Add(), numbers(1, 4, 4, 6), shape=("N", 4, 2, 3)),
        enlarged(Mul(), gate("N", 4, 4, 1), shape=("N", 4, 2, 3)),
        enlarged(Add(), numbers(2, 1, 1, 1, 1), resize=LINEAR),
    ],
    "what_belongs_to_each_image_is_known": [
        enlarged(Mul(), gate(1, 8, 1, 1), images="up skip"),
        enlarged(Mul(), overridable(8, 1, 1), images="up skip"),
    ],
    "it_is_cheaper_on_the_target": [
        enlarged(Relu(), scales=(1, 1, 0.5, 1), shape=(2, 4, 6, 5)),
        enlarged(Relu(), scales=(1, 1, 1, 1), shape=(2, 4, 6, 5)),
    ],
}


def test_statistics_of_a_batch_are_left_alone() -> None:
    graph = enlarged(normalisation(training=1), *statistics(4))(Draw(dyadic=True))
    assert not Pipeline([MoveFunctionBeforeResize()]).run(graph)[1].applications


def test_what_stands_between_an_enlargement_and_a_convolution_hides_it_no_longer() -> None:
    b = GraphBuilder("g", opset=19)
    draw, half = Draw(dyadic=True), np.asarray([1, 1, 2, 2], np.float32)
    x, skip = b.input("x", shape=(1, 4, 8, 8)), b.input("skip", shape=(1, 4, 16, 16))
    joined = b.add(Concat(axis=1), b.add(COPY, x, None, half), skip)
    normalised = b.add(normalisation(), joined, *(p(b, draw) for p in statistics(8)))
    active = b.add(Sigmoid(), normalised)
    b.output(b.add(Conv.of(2, pads=1), active, draw.weight(6, 8, 3, 3)))
    result, _ = Pipeline(DEFAULT).run(b.build())
    assert [n for n in result.compute_nodes() if isinstance(result.op(n), ConvTranspose)]
    assert not [n for n in result.compute_nodes() if isinstance(result.op(n), Resize)]


def test_what_shifts_stays_behind_a_cubic() -> None:
    graph = enlarged(Add(), numbers(4, 1, 1), resize=Resize(mode="cubic"))(Draw(dyadic=True))
    assert not Pipeline([MoveFunctionBeforeResize()]).run(graph)[1].applications
