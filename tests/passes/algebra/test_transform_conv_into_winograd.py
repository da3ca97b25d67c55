"""Tables for transform-conv-into-winograd."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from laws.draw import Draw
from laws.forced import forced
from laws.meaning import in_onnxruntime
from laws.weighted import Weight, convolved

from convgraph.analysis.at_load import weights_made_at_load
from convgraph.analysis.cost import graph_cost, node_cost, parameters
from convgraph.analysis.target import GenericTarget, OnnxruntimeCpu
from convgraph.compiler.optimize import optimize
from convgraph.compiler.selection import select
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, LeakyRelu
from convgraph.numerics.evaluate import evaluate
from convgraph.passes import EXACT, Pipeline
from convgraph.passes.algebra.tiles import Tile, tiles
from convgraph.passes.algebra.transform_conv_into_winograd import TransformConvIntoWinograd

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
    "columns alone": convolved(square(pads=(0, 1, 0, 1)), drawn(192, 160, 1, 3), spatial=(3, 201)),
    "blocks of taps": convolved(square(pads=(5, 0, 5, 0)), drawn(128, 160, 11, 1), spatial=(90, 3)),
    "long kernels": convolved(square(pads=2), drawn(96, 64, 5, 5), spatial=(21, 18)),
    "every other pixel": convolved(square(pads=2, strides=2), drawn(128, 160, 5, 5), spatial=(57, 58)),
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


def both_ways(kernel: tuple[int, int], strides: tuple[int, int]) -> list[Tile]:
    """The tiles that are weighed, and, where both axes can be turned, unequal ones."""
    more: list[Tile] = [] if 1 in kernel or strides == (2, 2) else [(1, 4), (2, 4)]
    return [*tiles(kernel, strides), *more]


WAYS = [
    ((3, 3), (1, 1)),
    ((1, 3), (1, 1)),
    ((5, 5), (1, 1)),
    ((7, 1), (1, 1)),
    ((1, 11), (1, 1)),
    ((4, 6), (1, 1)),
    ((5, 5), (2, 2)),
    ((7, 9), (2, 2)),
    ((3, 5), (1, 2)),
    ((1, 17), (2, 2)),
    ((3, 3), (2, 1)),
]
"""Kernels and strides."""


@pytest.mark.parametrize(("kernel", "strides"), WAYS)
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (7, 5), (12, 8)])
@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 1, 1, 1), (2, 0, 1, 3), (0, 1, 4, 0)])
def test_images_of_any_size_and_padding(
    kernel: tuple[int, int], strides: tuple[int, int], size: tuple[int, int], pads: tuple[int, ...]
) -> None:
    around = (pads[0] + pads[2], pads[1] + pads[3])
    spatial = [max(n, taps - zeros) for n, taps, zeros in zip(size, kernel, around, strict=True)]
    draw, op = Draw(dyadic=False), square(pads=pads, strides=strides)
    graph = convolved(op, drawn(3, 5, *kernel), spatial=spatial)(draw)
    feed = {"x": draw.rng.normal(size=(2, 5, *spatial)).astype(np.float32)}
    most = (1e-6, 1e-5) if max(kernel) == 3 and max(strides) == 1 else (4e-6, 2e-5)
    for run, bound in zip((evaluate, in_onnxruntime), most, strict=True):
        want = run(graph, feed)["y"]
        for tile in both_ways(kernel, strides):
            got = run(forced(TransformConvIntoWinograd(tile=tile), graph), feed)["y"]
            np.testing.assert_allclose(got, want, rtol=0, atol=bound * np.abs(want).max())


@pytest.mark.parametrize(("kernel", "strides"), WAYS)
def test_the_error_stays_far_below_what_is_allowed(kernel: tuple[int, int], strides: tuple[int, int]) -> None:
    """With many channels, in float32, a fifth of the 1e-4 of the largest output that nothing may exceed."""
    draw, op = Draw(dyadic=False), square(pads=2, strides=strides)
    graph = convolved(op, drawn(16, 256, *kernel), spatial=(17, 18))(draw)
    feed = {"x": draw.rng.normal(size=(1, 256, 17, 18)).astype(np.float32)}
    want = in_onnxruntime(graph, feed)["y"]
    for tile in both_ways(kernel, strides):
        got = in_onnxruntime(forced(TransformConvIntoWinograd(tile=tile), graph), feed)["y"]
        assert np.abs(got - want).max() <= 2e-5 * np.abs(want).max()


@pytest.mark.parametrize(
    ("kernel", "stride", "tile", "multiplied"),
    [
        ((3, 3), 1, (2, 2), (16, 36)),
        ((3, 3), 1, (4, 4), (36, 144)),
        ((3, 3), 1, (4, 1), (18, 36)),
        ((5, 5), 1, (4, 4), (64, 400)),
        ((1, 7), 1, (1, 4), (14, 28)),
        ((7, 7), 1, (4, 4), (14 * 14, 28**2)),
        ((1, 11), 1, (1, 4), (21, 44)),
        ((5, 5), 2, (4, 4), (121, 400)),
    ],
)
def test_as_many_multiplications_as_points(
    kernel: tuple[int, int], stride: int, tile: Tile, multiplied: tuple[int, int]
) -> None:
    pads = tuple(taps // 2 for taps in kernel)
    op = square(pads=(*pads, *pads), strides=stride)
    graph = convolved(op, drawn(64, 64, *kernel), spatial=(32, 32), batch=1)(Draw(dyadic=False))
    after = forced(TransformConvIntoWinograd(tile=tile), graph)
    points = [
        n for n in after.compute_nodes() if isinstance(after.op(n), Conv) and not _is_depthwise(after, n)
    ]
    (node,) = points
    assert node_cost(after, node).macs * multiplied[1] == graph_cost(graph).macs * multiplied[0]


def _is_depthwise(graph: Graph, conv: int) -> bool:
    """Whether it convolves each channel by itself, as what turns tiles does."""
    op, weight = graph.op(conv), graph.operand(conv, 1)
    assert isinstance(op, Conv)
    assert weight is not None
    return op.group == graph.type(weight).dim(0)


def test_what_lies_outside_a_row_of_the_transform_is_not_read() -> None:
    """Of six pixels the first and last point read every other one, the rest the four in the middle."""
    graph = convolved(square(), drawn(8, 64, 3, 3), spatial=(16, 16))(Draw(dyadic=False))
    after = forced(TransformConvIntoWinograd(tile=(4, 1)), graph)
    ops = [op for n in after.compute_nodes() if isinstance(op := after.op(n), Conv) and op.group == 64]
    assert [op.dilations for op in ops] == [(2, 1), *[(1, 1)] * 4, (2, 1)]
    assert [op.pads[0] for op in ops] == [1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("kernel", "strides"), [((3, 3), (2, 2)), ((2, 2), (1, 1)), ((1, 1), (1, 1)), ((5, 5), (3, 3))]
)
def test_kernels_without_enough_to_save_are_left_alone(
    kernel: tuple[int, int], strides: tuple[int, int]
) -> None:
    graph = convolved(square(strides=strides), drawn(8, 8, *kernel), spatial=(16, 20))(Draw(dyadic=False))
    rewrite = TransformConvIntoWinograd(target=ONE)
    convs = [node for node in graph.compute_nodes() if isinstance(graph.op(node), Conv)]
    assert [rewrite.find(graph, node) for node in convs] == [None]


LONG = {
    "1×3": (convolved(square(pads=(0, 1, 0, 1)), drawn(256, 256, 1, 3), spatial=(1, 1024)), (1, 8)),
    "1×7": (convolved(square(pads=(0, 3, 0, 3)), drawn(256, 256, 1, 7), spatial=(1, 1024)), (1, 7)),
    "1×11": (convolved(square(pads=(0, 5, 0, 5)), drawn(256, 256, 1, 11), spatial=(1, 1024)), (1, 7)),
    "5×5": (convolved(square(pads=2), drawn(128, 128, 5, 5), spatial=(28, 28)), (1, 64)),
    "7×7": (convolved(square(pads=3), drawn(64, 64, 7, 7), spatial=(28, 28)), (1, 49)),
    "5×5, stride 2": (
        convolved(square(pads=2, strides=2), drawn(256, 256, 5, 5), spatial=(56, 56)),
        (1, 121),
    ),
}
"""Kernels other than 3×3 where it was measured to pay, and the groups of the products."""


@pytest.mark.parametrize("name", LONG)
def test_long_kernels_are_transformed_where_that_pays(name: str) -> None:
    build, groups = LONG[name]
    result, trace = Pipeline([TransformConvIntoWinograd(target=ONE)]).run(build(Draw(dyadic=False)))
    assert trace.applications
    assert groups[1] in {op.group for n in result.compute_nodes() if isinstance(op := result.op(n), Conv)}


@pytest.mark.parametrize("name", ["1×7", "1×11", "7×7"])
def test_zeros_that_fill_a_last_block_are_not_stored(name: str) -> None:
    model = to_onnx(LONG[name][0](Draw(dyadic=False)))
    found = optimize(model, threads=1)
    assert "transform-conv-into-winograd" in {done.rewrite for done in found.trace.applications}
    assert found.verification is not None
    assert found.verification.equal
    assert found.proto.ByteSize() < 1.02 * model.ByteSize()
    assert not optimize(found.proto, threads=1, verify=False).changed


def test_transforms_can_be_stored() -> None:
    """As large as the points are many; nothing is left to compute at load, or for another run to change."""
    graph, pick = WIDE(Draw(dyadic=False)), partial(select, level="exact", passes=None, skip=())
    spelled, _ = pick(options={}).run(graph)
    stored, trace = pick(options={"store_transforms": True}).run(graph)
    assert "transform-conv-into-winograd" in {a.rewrite for a in trace.applications}
    assert weights_made_at_load(spelled, spelled.compute_nodes())
    assert not weights_made_at_load(stored, stored.compute_nodes())
    assert 3.9 * parameters(graph) < parameters(stored) < 4.1 * parameters(graph)
    feed = {"x": np.random.default_rng(0).normal(size=(2, 256, 27, 28)).astype(np.float32)}
    want, got = (in_onnxruntime(one, feed)["y"] for one in (graph, stored))
    np.testing.assert_allclose(got, want, atol=BOUND * np.abs(want).max())
    again, more = pick(options={"store_transforms": True}).run(stored)
    assert not more.applications
    assert to_onnx(again).SerializeToString() == to_onnx(stored).SerializeToString()


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
    for threads, points in ((1, 36), (2, 8)):
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
