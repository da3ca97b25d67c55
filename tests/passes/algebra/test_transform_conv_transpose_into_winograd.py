"""Tables for transform-conv-transpose-into-winograd."""

from dataclasses import replace

import numpy as np
import pytest
from laws.draw import Draw
from laws.forced import forced
from laws.meaning import in_onnxruntime
from laws.weighted import Weight, convolved

from convgraph.analysis.cost import graph_cost, node_cost, parameters
from convgraph.analysis.target import GenericTarget, OnnxruntimeCpu
from convgraph.compiler.optimize import optimize
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, ConvTranspose, DepthToSpace, LeakyRelu, Resize
from convgraph.numerics.evaluate import evaluate
from convgraph.passes import EXACT, Pipeline
from convgraph.passes.algebra.tiles import Tile
from convgraph.passes.algebra.transform_conv_transpose_into_winograd import TransformConvTransposeIntoWinograd

ONE = OnnxruntimeCpu(threads=1)
OPTIONS = {"target": ONE}
BOUND = 2.0**-18
"""Of an output's largest value: what it rounds more than a convolution does."""


def drawn(*shape: int, scale: float = 1.0) -> Weight:
    """Any weight of a shape, times a number."""
    return lambda draw: scale * draw.weight(*shape)


def with_taps(*numbers: float) -> Weight:
    """Any weight whose rows are multiplied by these numbers."""
    return lambda draw: draw.weight(64, 64, 4, 4) * np.array(numbers)[:, None]


def doubling(**options: int | tuple[int, ...]) -> ConvTranspose:
    """Of stride 2, such that the image gets twice as large with a 4×4 kernel unless told otherwise."""
    return ConvTranspose.of(2, **{"strides": 2, "pads": 1, **options})  # type: ignore[arg-type]


EXAMPLES = {
    "whole tiles": convolved(doubling(), drawn(128, 96, 4, 4), spatial=(20, 20)),
    "parts of tiles": convolved(doubling(), drawn(128, 96, 4, 4), spatial=(21, 18)),
    "no bias": convolved(doubling(), drawn(128, 96, 4, 4), bias=False, spatial=(20, 20)),
    "no pads": convolved(doubling(pads=0), drawn(128, 96, 4, 4), spatial=(20, 20)),
    "unequal pads": convolved(doubling(pads=(0, 2, 3, 1)), drawn(128, 96, 4, 4), spatial=(20, 22)),
    "more outputs": convolved(
        replace(doubling(), output_padding=(1, 0)), drawn(128, 96, 4, 4), spatial=(20, 20)
    ),
    "6×6": convolved(doubling(pads=2), drawn(64, 64, 6, 6), spatial=(20, 20)),
    "4×6": convolved(doubling(pads=(1, 2, 1, 2)), drawn(64, 64, 4, 6), spatial=(20, 20)),
    "fused activation": convolved(
        replace(doubling(), activation=LeakyRelu(alpha=0.25)), drawn(128, 96, 4, 4), spatial=(20, 20)
    ),
    "output shape": convolved(
        replace(doubling(pads=0), output_shape=(41, 40)), drawn(128, 96, 4, 4), spatial=(20, 20)
    ),
}

NEAR_MISSES = {
    "the_weights_are_constant": [
        convolved(doubling(), drawn(64, 64, 4, 4), spatial=(20, 20), given="overridable"),
        convolved(doubling(), drawn(64, 64, 4, 4), spatial=(20, 20), given="computed"),
    ],
    "the_image_is_of_known_size": [
        convolved(doubling(), drawn(64, 64, 4, 4)),
        convolved(doubling(), drawn(64, 64, 4, 4), spatial=("H", 20)),
    ],
    "the_taps_are_of_one_scale": [
        convolved(doubling(), with_taps(2.0**30, 1.0, 1.0, 1.0), spatial=(1, 400)),
        convolved(doubling(), with_taps(0.0, 0.0, 0.0, 0.0), spatial=(4, 4)),
    ],
    "the_new_weights_are_finite": [
        convolved(doubling(), drawn(64, 64, 4, 4, scale=1e38), spatial=(20, 20)),
    ],
    "less_is_cropped_than_a_kernel": [
        convolved(doubling(pads=(5, 0, 0, 0)), drawn(128, 96, 4, 4), spatial=(20, 20)),
        convolved(doubling(pads=(0, 6, 0, 0)), drawn(128, 96, 4, 4), spatial=(20, 20)),
    ],
    "it_is_cheaper_on_the_target": [
        convolved(doubling(), drawn(8, 8, 4, 4), spatial=(20, 20)),
    ],
}


@pytest.mark.parametrize("kernel", [(4, 4), (6, 6), (6, 4)])
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (7, 5), (12, 8)])
@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 1, 1, 1), (2, 0, 1, 3), (3, 3, 2, 3)])
@pytest.mark.parametrize("more", [(0, 0), (1, 1)])
def test_images_of_any_size_and_padding(
    kernel: tuple[int, int], size: tuple[int, int], pads: tuple[int, ...], more: tuple[int, int]
) -> None:
    spatial = [max(n, 3) if max(pads) > 1 else n for n in size]
    draw = Draw(dyadic=False)
    op = replace(doubling(pads=pads), output_padding=more)
    graph = convolved(op, drawn(5, 3, *kernel), spatial=spatial)(draw)
    feed = {"x": draw.rng.normal(size=(2, 5, *spatial)).astype(np.float32)}
    for run, bound in ((evaluate, 1e-6), (in_onnxruntime, 1e-5)):
        want = run(graph, feed)["y"]
        for tile in ((4, 4), (2, 2), (2, 4)):
            got = run(forced(TransformConvTransposeIntoWinograd(tile=tile), graph), feed)["y"]
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, rtol=0, atol=bound * np.abs(want).max())


@pytest.mark.parametrize("size", [4, 6])
def test_the_error_stays_far_below_what_is_allowed(size: int) -> None:
    """With many channels, in float32, a fifth of the 1e-4 of the largest output that nothing may exceed."""
    draw = Draw(dyadic=False)
    graph = convolved(doubling(), drawn(256, 16, size, size), spatial=(17, 18))(draw)
    feed = {"x": draw.rng.normal(size=(1, 256, 17, 18)).astype(np.float32)}
    want = in_onnxruntime(graph, feed)["y"]
    for tile in ((4, 4), (2, 2)):
        got = in_onnxruntime(forced(TransformConvTransposeIntoWinograd(tile=tile), graph), feed)["y"]
        assert np.abs(got - want).max() <= 2e-5 * np.abs(want).max()


@pytest.mark.parametrize(
    ("size", "tile", "multiplied"), [(4, (4, 4), (100, 256)), (4, (2, 2), (36, 64)), (6, (4, 4), (144, 576))]
)
def test_as_many_multiplications_as_points(size: int, tile: Tile, multiplied: tuple[int, int]) -> None:
    pads = size // 2 - 1
    graph = convolved(doubling(pads=pads), drawn(64, 64, size, size), spatial=(31, 31), batch=1)(
        Draw(dyadic=False)
    )
    after = forced(TransformConvTransposeIntoWinograd(tile=tile), graph)
    (node,) = [n for n in after.compute_nodes() if _multiplies_channels(after, n)]
    assert node_cost(after, node).macs * multiplied[1] == _of_whole_phases(graph) * multiplied[0]


def _multiplies_channels(graph: Graph, node: int) -> bool:
    op, weight = graph.op(node), graph.operand(node, 1)
    return isinstance(op, Conv) and weight is not None and graph.type(weight).dim(1) != 1


def _of_whole_phases(graph: Graph) -> int:
    """Multiplications of 32 × 32 outputs in each phase: one more than the image has pixels, along an axis."""
    return int(graph_cost(graph).macs * 32**2 / 31**2)


@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        ((3, 3), {}),
        ((2, 2), {"pads": 0}),
        ((5, 5), {"pads": 2}),
        ((4, 4), {"strides": 1}),
        ((4, 4), {"strides": (2, 1)}),
        ((6, 6), {"strides": 3}),
        ((8, 8), {}),
        ((4, 4), {"dilations": 2}),
    ],
)
def test_other_kernels_are_left_alone(kernel: tuple[int, int], options: dict[str, int]) -> None:
    graph = convolved(doubling(**options), drawn(8, 8, *kernel), spatial=(16, 20))(Draw(dyadic=False))
    rewrite = TransformConvTransposeIntoWinograd(target=ONE)
    nodes = [node for node in graph.compute_nodes() if isinstance(graph.op(node), ConvTranspose)]
    assert [rewrite.find(graph, node) for node in nodes] == [None]


def test_a_target_that_only_counts_has_no_say_in_it() -> None:
    graph = EXAMPLES["whole tiles"](Draw(dyadic=False))
    _, trace = Pipeline([TransformConvTransposeIntoWinograd(target=GenericTarget())]).run(graph)
    assert not trace.applications


def enlarged(channels: int, *, size: int) -> Graph:
    """A 3×3 convolution of an image whose pixels are repeated."""
    b, draw = GraphBuilder("g", opset=17), Draw(dyadic=False)
    x = b.input("x", shape=("N", channels, size, size))
    scales = b.constant(np.array([1, 1, 2, 2], dtype=np.float32))
    nearest = Resize(mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    y = b.add(nearest, x, None, scales)
    b.output(
        b.add(Conv.of(2, pads=1), y, draw.weight(channels, channels, 3, 3), draw.weight(channels)), name="y"
    )
    return b.build()


def test_a_convolution_of_repeated_pixels_is_transformed_and_stored_as_its_own_taps() -> None:
    """Not in phases, which would be interleaved; and nine taps are stored, not the sixteen of their sums."""
    graph = enlarged(128, size=24)
    result = optimize(to_onnx(graph), threads=1)
    assert result.verification is not None
    assert result.verification.equal
    assert "transform-conv-transpose-into-winograd" in {done.rewrite for done in result.trace.applications}
    kinds = {type(result.graph.op(node)) for node in result.graph.compute_nodes()}
    assert not kinds & {ConvTranspose, DepthToSpace, Resize}
    assert parameters(result.graph) < 1.02 * parameters(graph)
    assert result.proto.ByteSize() < 1.04 * to_onnx(graph).ByteSize()
    assert not optimize(result.proto, threads=1, verify=False).changed


def test_what_it_spells_is_left_alone() -> None:
    graph = convolved(doubling(), drawn(128, 128, 4, 4), spatial=(20, 20))(Draw(dyadic=False))
    pipeline = Pipeline(EXACT)
    result, trace = pipeline.run(graph)
    if "transform-conv-transpose-into-winograd" not in {done.rewrite for done in trace.applications}:
        result = forced(TransformConvTransposeIntoWinograd(tile=(4, 4)), graph)
    again, more = pipeline.run(result)
    assert not [done for done in more.applications if "winograd" in done.rewrite]
    feed = {"x": np.random.default_rng(0).normal(size=(1, 128, 20, 20)).astype(np.float32)}
    want, got = (in_onnxruntime(one, feed)["y"] for one in (graph, again))
    np.testing.assert_allclose(got, want, atol=BOUND * np.abs(want).max())
