"""Tables for move-pointwise-conv-before-resize."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Abs, Conv, Relu, Resize
from convgraph.ir.tensor import DataType, Dim
from convgraph.numerics.evaluate import evaluate
from convgraph.passes import Pipeline
from convgraph.passes.algebra.move_pointwise_conv_before_resize import MovePointwiseConvBeforeResize

NEAREST = Resize(coordinate_transformation_mode="asymmetric", nearest_mode="floor")
LINEAR = Resize(mode="linear")


def enlarged(
    resize: Resize = LINEAR,
    extents: Sequence[float] = (1, 1, 2, 2),
    *,
    conv: Conv | None = None,
    sizes: bool = False,
    overridable: bool = False,
    spatial: Sequence[Dim] = ("H", "W"),
    kernel: int = 1,
    inside: int = 4,
    outside: int = 6,
    bias: bool = True,
    dtype: type = np.float32,
    roi: Sequence[float] | None = None,
    batch: Dim = "N",
) -> Callable[[Draw], Graph]:
    """A convolution of x (N, 4, …), resized by scales or to sizes."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=19)
        x = b.input("x", shape=(batch, inside, *spatial), dtype=DataType.of(np.dtype(dtype)))
        numbers = np.asarray(extents, np.int64 if sizes else np.float32)
        given = b.overridable("extents", numbers) if overridable else b.constant(numbers)
        corners = None if roi is None else np.asarray(roi, np.float32)
        operands: list[Operand] = [corners, None, given] if sizes else [corners, given]
        op = conv or Conv.of(len(spatial))
        rest: list[Operand] = [draw.weight(outside, dtype=dtype)] if bias else []
        weight = draw.weight(outside, 4 // op.group, *(kernel,) * len(spatial), dtype=dtype)
        y = b.add(op, b.add(resize, x, *operands, name="large"), weight, *rest, node="head")
        b.output(y, name="y")
        return b.build()

    return build


def computed_parameters(draw: Draw) -> Graph:
    """Weight and bias are computed; something else reads the enlarged map as well."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", 4, "H", "W"))
    weight, bias = b.input("weight", shape=(6, 4, 1, 1)), b.input("bias", shape=(6,))
    large = b.add(LINEAR, x, None, np.asarray([1, 1, 2, 2], np.float32))
    b.output(b.add(Relu(), large), name="other")
    b.output(b.add(Conv.of(2), large, weight, bias), name="y")
    del draw
    return b.build()


RELU = replace(Conv.of(2), activation=Relu())

EXAMPLES = {
    "linear": enlarged(),
    "nearest": enlarged(NEAREST, (1, 1, 3, 2)),
    "nearest, activation": enlarged(NEAREST, (1, 1, 2, 2), conv=RELU),
    "cubic": enlarged(Resize(mode="cubic", cubic_coeff_a=-0.5), bias=False),
    "corners aligned": enlarged(
        Resize(mode="linear", coordinate_transformation_mode="align_corners"), (1, 1, 2, 1), spatial=(1, 5)
    ),
    "sizes": enlarged(LINEAR, (2, 4, 8, 12), sizes=True, spatial=(4, 3), batch=2),
    "sizes of named axes": enlarged(replace(LINEAR, axes=(2, 3)), (8, 12), sizes=True, spatial=(4, 3)),
    "scales of named axes": enlarged(replace(NEAREST, axes=(-1, 2)), (4, 2)),
    "more samples, too": enlarged(NEAREST, (2, 1, 2, 2)),
    "groups": enlarged(conv=Conv.of(2, group=2)),
    "1-D": enlarged(LINEAR, (1, 1, 4), spatial=("L",)),
    "3-D": enlarged(NEAREST, (1, 1, 2, 1, 2), spatial=("H", "W", 3)),
    "half": enlarged(NEAREST, dtype=np.float16),
    "double": enlarged(dtype=np.float64),
    "computed parameters, another reader": computed_parameters,
}

NEAR_MISSES = {
    "the_convolution_is_pointwise": [
        enlarged(kernel=2),
        enlarged(conv=Conv.of(2, strides=2)),
        enlarged(conv=replace(Conv.of(2, strides=2), auto_pad="SAME_UPPER")),
        enlarged(conv=Conv.of(2, pads=1)),
    ],
    "the_channels_stay": [
        enlarged(NEAREST, (1, 0.5, 4, 4), inside=8, spatial=(4, 3)),
        enlarged(replace(NEAREST, axes=(1, 2)), (1.2, 2)),  # four channels, not 4.8
        enlarged(overridable=True, spatial=(4, 3)),
        enlarged(LINEAR, (2, 4, 8, 12), sizes=True, overridable=True, spatial=(4, 3), batch=2),
        enlarged(LINEAR, (2, 4, 8, 12), sizes=True, inside=5, spatial=(4, 3), batch=2),
        enlarged(  # every axis is scaled by 1.05
            Resize(nearest_mode="floor", keep_aspect_ratio_policy="not_smaller"),
            (2, 4, 21, 30),
            sizes=True,
            spatial=(20, 30),
            batch=2,
        ),
    ],
    "sampling_weights_add_up_to_one": [
        enlarged(
            Resize(
                mode="linear", coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=2.0
            ),
            roi=(0, 0, -0.5, 0, 1, 1, 1.5, 1),
        )
    ],
    "no_activation_stands_between": [enlarged(conv=RELU)],
    "it_is_cheaper_on_the_target": [
        enlarged(LINEAR, (1, 1, 0.5, 0.5), spatial=(8, 6)),
        enlarged(LINEAR, (1, 1, 1, 1)),
    ],
}


@pytest.mark.parametrize("mode", ["half_pixel_symmetric", "pytorch_half_pixel", "asymmetric"])
def test_every_other_sampling_moves(mode: str) -> None:
    resize = Resize(mode="linear", coordinate_transformation_mode=mode)
    _, trace = Pipeline([MovePointwiseConvBeforeResize()]).run(enlarged(resize)(Draw(dyadic=False)))
    assert len(trace.applications) == 1


def stated(graph: Graph, name: str, shape: Sequence[Dim]) -> Graph:
    """The graph with the shape of a value known, as a model's file may state it."""
    value = graph.value(name)
    info = graph.value_info(value)
    graph.set_value_info(value, replace(info, type=info.type.with_shape(tuple(shape))))
    return graph


def test_sizes_that_are_computed_name_the_new_channels() -> None:
    draw, b = Draw(dyadic=True), GraphBuilder("g", opset=19)
    x, sizes = b.input("x", shape=("N", 4, 3, 5)), b.input("sizes", shape=(4,), dtype=DataType.INT64)
    large = b.add(LINEAR, x, None, None, b.add(Abs(), sizes), name="large")
    b.output(b.add(Conv.of(2), large, draw.weight(7, 4, 1, 1), draw.weight(7)), name="y")
    graph = stated(b.build(), "large", ("N", 4, 6, 20))
    result, trace = Pipeline([MovePointwiseConvBeforeResize()]).run(graph)
    assert len(trace.applications) == 1
    feeds = {"x": draw.weight(2, 4, 3, 5), "sizes": np.asarray([2, 4, 6, 20])}
    (expected,), (found,) = (evaluate(g, feeds).values() for g in (graph, result))
    assert np.array_equal(expected, found)
