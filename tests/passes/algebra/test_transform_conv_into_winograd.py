"""Tables for transform-conv-into-winograd."""

from dataclasses import replace

import numpy as np
import pytest
from laws.draw import Draw
from laws.forced import forced
from laws.meaning import in_onnxruntime
from laws.weighted import Weight, convolved

from convgraph.analysis.cost import graph_cost, node_cost, parameters
from convgraph.analysis.target import GenericTarget, OnnxruntimeCpu
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.ops import Conv, LeakyRelu
from convgraph.numerics.evaluate import evaluate
from convgraph.passes import EXACT, Pipeline
from convgraph.passes.algebra.transform_conv_into_winograd import TILES, Tile, TransformConvIntoWinograd

ONE = OnnxruntimeCpu(threads=1)
OPTIONS = {"target": ONE}
BOUND = 2.0**-18
"""Of an output's largest value: what it rounds more than a convolution does."""


def drawn(*shape: int, scale: float = 1.0) -> Weight:
    """Any weight of a shape, times a number."""
    return lambda draw: scale * draw.weight(*shape)


def with_taps(*numbers: float, kernel: tuple[int, ...] = (128, 128, 3, 3)) -> Weight:
    """Any weight whose rows are multiplied by these numbers."""
    return lambda draw: draw.weight(*kernel) * np.array(numbers)[:, None]


def square(**options: int | tuple[int, ...]) -> Conv:
    """Of images, padded all round unless told otherwise."""
    return Conv.of(2, **{"pads": 1, **options})  # type: ignore[arg-type]


EXAMPLES = {
    "whole tiles": convolved(square(), drawn(128, 128, 3, 3), spatial=(20, 20)),
    "parts of tiles": convolved(square(), drawn(128, 128, 3, 3), spatial=(21, 18)),
    "no bias": convolved(square(), drawn(128, 128, 3, 3), bias=False, spatial=(20, 20)),
    "unequal pads": convolved(square(pads=(0, 2, 1, 0)), drawn(128, 128, 3, 3), spatial=(20, 22)),
    "unequal channels": convolved(square(), drawn(96, 160, 3, 3), spatial=(22, 20)),
    "fused activation": convolved(
        replace(square(), activation=LeakyRelu(alpha=0.25)), drawn(128, 128, 3, 3), spatial=(20, 20)
    ),
    "auto_pad": convolved(
        replace(square(pads=0), auto_pad="SAME_UPPER"), drawn(128, 128, 3, 3), spatial=(20, 20)
    ),
}

WIDE = convolved(square(), drawn(256, 256, 3, 3), spatial=(27, 28))
"""Enough channels that it pays on any number of threads."""

NARROW = convolved(square(), drawn(64, 64, 3, 3), spatial=(56, 56))
"""So few that it pays on a single one."""

NEAR_MISSES = {
    "the_weights_are_constant": [
        convolved(square(), drawn(128, 128, 3, 3), spatial=(20, 20), given="overridable"),
        convolved(square(), drawn(128, 128, 3, 3), spatial=(20, 20), given="computed"),
    ],
    "the_image_is_of_known_size": [
        convolved(square(), drawn(128, 128, 3, 3)),
        convolved(square(), drawn(128, 128, 3, 3), spatial=("H", 20)),
    ],
    "the_taps_are_of_one_scale": [
        convolved(square(), with_taps(2.0**30, 1.0, 1.0), spatial=(1, 400)),
        convolved(square(), with_taps(0.0, 0.0, 0.0), spatial=(4, 4)),
    ],
    "the_new_weights_are_finite": [
        convolved(square(), drawn(128, 128, 3, 3, scale=1e38), spatial=(20, 20)),
    ],
    "it_is_cheaper_on_the_target": [
        convolved(square(), drawn(16, 16, 3, 3), spatial=(20, 20)),
        convolved(square(), drawn(128, 128, 3, 3), spatial=(3, 3)),
    ],
}


@pytest.mark.parametrize("tile", [*TILES, (1, 4), (2, 4)])
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (7, 5), (12, 8)])
@pytest.mark.parametrize("pads", [0, 1, (2, 0, 1, 3)])
def test_images_of_any_size_and_padding(
    tile: Tile, size: tuple[int, int], pads: int | tuple[int, ...]
) -> None:
    if pads == 0 and min(size) < 3:
        size = (size[0] + 2, size[1] + 2)
    draw = Draw(dyadic=False)
    graph = convolved(square(pads=pads), drawn(3, 5, 3, 3), spatial=size)(draw)
    feed = {"x": draw.rng.normal(size=(2, 5, *size)).astype(np.float32)}
    for run, bound in ((evaluate, 1e-6), (in_onnxruntime, 1e-5)):
        want, got = run(graph, feed)["y"], run(forced(TransformConvIntoWinograd(tile=tile), graph), feed)["y"]
        np.testing.assert_allclose(got, want, rtol=0, atol=bound * np.abs(want).max())


@pytest.mark.parametrize(("tile", "multiplied"), [((2, 2), 16 / 36), ((4, 4), 36 / 144), ((4, 1), 18 / 36)])
def test_as_many_multiplications_as_points(tile: Tile, multiplied: float) -> None:
    graph = convolved(square(), drawn(64, 64, 3, 3), spatial=(16, 16), batch=1)(Draw(dyadic=False))
    after = forced(TransformConvIntoWinograd(tile=tile), graph)
    points = [n for n in after.compute_nodes() if isinstance(op := after.op(n), Conv) and op.group < 64]
    (node,) = points
    assert node_cost(after, node).macs == multiplied * graph_cost(graph).macs


def test_the_file_does_not_grow_with_the_points() -> None:
    graph = WIDE(Draw(dyadic=False))
    result, trace = Pipeline(EXACT).run(graph)
    assert "transform-conv-into-winograd" in {a.rewrite for a in trace.applications}
    assert len(to_onnx(result).SerializeToString()) < 1.05 * len(to_onnx(graph).SerializeToString())
    assert parameters(result) < 1.05 * parameters(graph)


def test_what_it_spells_is_left_alone() -> None:
    result, trace = Pipeline(EXACT).run(WIDE(Draw(dyadic=False)))
    assert "transform-conv-into-winograd" in {a.rewrite for a in trace.applications}
    again, more = Pipeline(EXACT).run(result)
    assert not more.applications
    assert to_onnx(again).SerializeToString() == to_onnx(result).SerializeToString()


def test_a_target_that_only_counts_has_no_say_in_it() -> None:
    graph = EXAMPLES["whole tiles"](Draw(dyadic=False))
    _, trace = Pipeline([TransformConvIntoWinograd(target=GenericTarget())]).run(graph)
    assert not trace.applications


def test_the_cheaper_tiles_are_taken() -> None:
    small = convolved(square(), drawn(256, 256, 3, 3), spatial=(14, 14))(Draw(dyadic=False))
    large = convolved(square(), drawn(256, 256, 3, 3), spatial=(28, 28))(Draw(dyadic=False))
    for graph, points in ((small, 16), (large, 36)):
        result, _ = Pipeline([TransformConvIntoWinograd(target=ONE)]).run(graph)
        assert points in {op.group for n in result.compute_nodes() if isinstance(op := result.op(n), Conv)}


@pytest.mark.parametrize(("threads", "times"), [(None, 1), (1, 2), (2, 1), (8, 1)])
def test_on_a_single_thread_less_has_to_be_saved(threads: int | None, times: int) -> None:
    rewrite = TransformConvIntoWinograd(target=OnnxruntimeCpu(threads=threads))
    graphs = [build(Draw(dyadic=False)) for build in (WIDE, NARROW)]
    assert sum(len(Pipeline([rewrite]).run(graph)[1].applications) for graph in graphs) == times


@pytest.mark.parametrize(("dtype", "found"), [(np.float16, 0), (np.float32, 1)])
def test_half_precision_has_no_digits_to_spare(dtype: type, found: int) -> None:
    graph = convolved(square(), drawn(128, 128, 3, 3), spatial=(20, 20), dtype=dtype)(Draw(dyadic=False))
    rewrite = TransformConvIntoWinograd(target=ONE)
    convs = [node for node in graph.compute_nodes() if isinstance(graph.op(node), Conv)]
    assert sum(rewrite.find(graph, node) is not None for node in convs) == found


def test_of_those_that_save_enough_the_cheapest_is_taken() -> None:
    """At 128 channels and two threads all that two axes would turn costs more than it saves."""
    graph = convolved(square(), drawn(128, 128, 3, 3), spatial=(28, 28))(Draw(dyadic=False))
    for threads, points in ((1, 36), (2, 6)):
        rewrite = TransformConvIntoWinograd(target=OnnxruntimeCpu(threads=threads))
        result, _ = Pipeline([rewrite]).run(graph)
        assert points in {op.group for n in result.compute_nodes() if isinstance(op := result.op(n), Conv)}


def test_the_weight_says_how_many_channels_there_are() -> None:
    b, draw = GraphBuilder("g", opset=17), Draw(dyadic=False)
    x = b.input("x", shape=("N", "C", 20, 20))
    b.output(b.add(square(), x, draw.weight(128, 128, 3, 3)), name="y")
    graph, feeds = b.build(), {"x": draw.weight(1, 128, 20, 20)}
    result, trace = Pipeline([TransformConvIntoWinograd(target=ONE)]).run(graph)
    assert trace.applications
    expected, found = (in_onnxruntime(one, feeds)["y"] for one in (graph, result))
    np.testing.assert_allclose(found, expected, atol=BOUND * np.abs(expected).max())
