"""Tables for split-nearly-boxed-conv-transpose."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from laws.draw import Draw
from laws.weighted import Weight, convolved

from convgraph.analysis.checkerboard import amplitude
from convgraph.ir.graph import Graph
from convgraph.ir.ops import ConvTranspose
from convgraph.ir.tensor import Array
from convgraph.passes import Pipeline
from convgraph.passes.approximate.split_nearly_boxed_conv_transpose import SplitNearlyBoxedConvTranspose

OPTIONS = {"tolerance": 0.1}
# A pseudo-inverse is not dyadic. Rounding the nearest kernel and the quotient, which adds up along the
# kernel, and the longer sums of the convolution: 32 roundings of float32.
BOUND = 2.0**-19


def nearly(*shape: int, strides: tuple[int, ...]) -> Weight:
    """box ∗ K, but for a twentieth."""

    def weight(draw: Draw) -> Array:
        inside = [size - stride + 1 for size, stride in zip(shape[2:], strides, strict=True)]
        whole = draw.factor(*shape[:2], *inside, dtype=np.float64)
        for place, stride in enumerate(strides, start=2):
            lines = np.moveaxis(whole, place, -1)
            boxed = np.apply_along_axis(np.convolve, -1, lines, np.ones(stride))
            whole = np.moveaxis(boxed, -1, place)
        noise = draw.rng.normal(size=shape)
        return whole + 0.05 * np.linalg.norm(whole) / np.linalg.norm(noise) * noise

    return weight


def transposed(op: ConvTranspose, *shape: int, **options: object) -> Callable[[Draw], Graph]:
    return convolved(op, nearly(*shape, strides=op.strides), **options)  # type: ignore[arg-type]


def far(draw: Draw) -> Array:
    """Phases of opposite signs: no box comes near."""
    return draw.factor(4, 6, 4, 4) * np.tile([[1, -1], [-1, 1]], (2, 2))


EXAMPLES = {
    "2-D": transposed(ConvTranspose.of(2, strides=2, pads=1), 4, 6, 4, 4),
    "oblong static": transposed(
        ConvTranspose.of(2, strides=2, pads=(1, 0, 2, 1)), 4, 6, 4, 3, spatial=(7, 6)
    ),
    "kernel is the stride": transposed(ConvTranspose.of(2, strides=3), 4, 6, 3, 3, bias=False),
    "unequal strides": transposed(ConvTranspose.of(2, strides=(3, 2), pads=1), 4, 6, 5, 4),
    "one axis grows": transposed(ConvTranspose.of(2, strides=(1, 2), pads=1), 4, 6, 3, 4),
    "output padding": transposed(
        replace(ConvTranspose.of(2, strides=2, pads=1), output_padding=(1, 0)), 4, 6, 3, 3
    ),
    "groups": transposed(ConvTranspose.of(2, strides=2, pads=1, group=2), 4, 3, 4, 4),
    "1-D": transposed(ConvTranspose.of(1, strides=3, pads=1), 4, 6, 6, spatial=("L",)),
    "3-D": transposed(ConvTranspose.of(3, strides=2, pads=1), 4, 3, 3, 2, 4),
    "SAME": transposed(replace(ConvTranspose.of(2, strides=2), auto_pad="SAME_UPPER"), 4, 6, 3, 4),
    "double": transposed(ConvTranspose.of(2, strides=2, pads=1), 4, 6, 4, 4, dtype=np.float64),
}

NEAR_MISSES = {
    "the_weights_are_constant": [
        transposed(ConvTranspose.of(2, strides=2), 4, 6, 4, 4, given="overridable"),
    ],
    "the_pads_are_known": [
        transposed(replace(ConvTranspose.of(2, strides=2), output_shape=(13, 12)), 4, 6, 3, 4),
    ],
    "the_weight_changes_within_the_tolerance": [
        convolved(ConvTranspose.of(2, strides=2, pads=1), far),
        convolved(ConvTranspose.of(1, strides=2), lambda draw: draw.factor(4, 6, 3), spatial=("L",)),
    ],
}


def the_node(graph: Graph) -> int:
    (node,) = (n for n in graph.nodes() if isinstance(graph.op(n), ConvTranspose))
    return node


def test_the_nearest_kernel_is_the_least_squares_solution_over_all_axes_at_once() -> None:
    graph = transposed(ConvTranspose.of(2, strides=(3, 2), pads=1), 2, 3, 5, 4)(Draw(dyadic=False))
    node, rewrite = the_node(graph), SplitNearlyBoxedConvTranspose(tolerance=0.1)
    weight = graph.constant(graph.operand(node, 1))
    match = rewrite.find(graph, node)
    assert weight is not None
    assert match is not None
    columns = []
    for y, x in np.ndindex(3, 3):
        box = np.zeros((5, 4))
        box[y : y + 3, x : x + 2] = 1
        columns.append(box.reshape(-1))
    boxes = np.stack(columns, axis=1)
    target = weight.numpy().reshape(6, 20).T.astype(np.float64)
    solution = np.linalg.lstsq(boxes, target, rcond=None)[0]
    expected = (boxes @ solution).T.reshape(2, 3, 5, 4)
    np.testing.assert_allclose(rewrite.nearest(graph, match), expected, atol=1e-5)
    (setting,) = rewrite.settings(graph, node)
    np.testing.assert_allclose(
        setting.error, np.linalg.norm(boxes @ solution - target) / np.linalg.norm(target)
    )


def test_what_is_refused_at_any_distance_has_no_setting() -> None:
    op = replace(ConvTranspose.of(2, strides=2), output_shape=(13, 12))
    graph = convolved(op, lambda draw: draw.weight(4, 6, 4, 4))(Draw(dyadic=False))
    node, rewrite = the_node(graph), SplitNearlyBoxedConvTranspose(tolerance=1.0)
    assert rewrite.closest(graph, node) is not None
    assert not rewrite.settings(graph, node)


def test_the_checkerboard_is_gone() -> None:
    graph = convolved(ConvTranspose.of(2, strides=2, pads=1), lambda draw: draw.weight(4, 6, 4, 4))(
        Draw(dyadic=False)
    )
    node, rewrite = the_node(graph), SplitNearlyBoxedConvTranspose(tolerance=1.0)
    op, weight, match = graph.op(node), graph.constant(graph.operand(node, 1)), rewrite.find(graph, node)
    assert isinstance(op, ConvTranspose)
    assert weight is not None
    assert match is not None
    assert amplitude(op, weight.numpy()) > 0.5
    assert amplitude(op, rewrite.nearest(graph, match)) < 1e-6


@pytest.mark.parametrize(
    ("op", "shape"),
    [
        (ConvTranspose.of(2, strides=1, pads=1), (4, 6, 4, 4)),
        (ConvTranspose.of(2, strides=2, dilations=2), (4, 6, 4, 4)),
        (ConvTranspose.of(2, strides=(2, 3)), (4, 6, 4, 2)),
    ],
)
def test_what_no_box_fits_is_left_alone(op: ConvTranspose, shape: tuple[int, ...]) -> None:
    graph = convolved(op, lambda draw: draw.weight(*shape))(Draw(dyadic=False))
    rewrite = SplitNearlyBoxedConvTranspose(tolerance=1.0)
    assert not rewrite.settings(graph, the_node(graph))
    _, trace = Pipeline([rewrite]).run(graph)
    assert not trace.applications
    assert not trace.refusals
