"""Tables for respell-enlarging-resize, and what it makes of a convolution's neighbour."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, Resize
from convgraph.passes import Pipeline, RespellEnlargingResize

SHAPE = (1, 16, 7, 5)


def nearest(counts: str, rounds: str = "round_prefer_floor") -> Resize:
    """One that takes the nearest pixel."""
    return Resize(coordinate_transformation_mode=counts, nearest_mode=rounds)


def linear(counts: str) -> Resize:
    """One that weighs neighbours."""
    return Resize(mode="linear", coordinate_transformation_mode=counts)


def between(
    resize: Resize, *, scales: Sequence[float] = (2, 2), sizes: Sequence[int] = (), opset: int = 19
) -> Callable[[Draw], Graph]:
    """A Resize between two convolutions, by ``scales`` or to ``sizes``."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=opset)
        x = b.add(Conv.of(2, pads=1), b.input("x", shape=SHAPE), draw.weight(16, 16, 3, 3))
        factors = None if sizes else np.asarray([1, 1, *scales], np.float32)
        wanted = (np.asarray([1, 16, *sizes], np.int64),) if sizes else ()
        y = b.add(resize, x, None, factors, *wanted, node="resize")
        b.output(b.add(Conv.of(2), y, draw.weight(8, 16, 1, 1)), name="y")
        return b.build()

    return build


def alone(resize: Resize) -> Callable[[Draw], Graph]:
    """A Resize of the image that is given."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=19)
        x = b.input("x", shape=SHAPE)
        b.output(b.add(resize, x, None, np.asarray([1, 1, 2, 2], np.float32), node="resize"), name="y")
        return b.build()

    return build


EXAMPLES = {
    **{
        f"nearest, {counts}, {rounds}": between(nearest(counts, rounds))
        for counts in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric")
        for rounds in ("round_prefer_floor", "round_prefer_ceil")
    },
    "nearest, three times": between(nearest("half_pixel"), scales=(3, 3)),
    "nearest, another factor for each axis": between(nearest("half_pixel"), scales=(4, 1)),
    "nearest, twice from the corner": between(nearest("asymmetric")),
    "nearest, to sizes": between(nearest("half_pixel"), sizes=(14, 10)),
    "nearest, old opset": between(nearest("half_pixel"), opset=11),
    "linear": between(linear("pytorch_half_pixel")),
    "linear, another factor for each axis": between(linear("pytorch_half_pixel"), scales=(1, 4)),
    "linear, symmetric": between(linear("half_pixel_symmetric"), scales=(4, 2)),
}

NEAR_MISSES = {
    "each_axis_grows_by_a_whole_factor": [
        between(nearest("half_pixel"), scales=(1.5, 2)),
        between(nearest("half_pixel"), sizes=(7, 13)),
        between(nearest("pytorch_half_pixel"), scales=(0.5, 0.5)),
    ],
    "it_repeats_each_pixel": [
        between(nearest("half_pixel", "floor")),
        between(nearest("asymmetric", "ceil")),
        between(nearest("asymmetric"), scales=(3, 3)),
        between(nearest("align_corners"), scales=(3, 3)),
    ],
    "it_is_cheaper_on_the_target": [alone(linear("pytorch_half_pixel"))],
}


@pytest.mark.parametrize(
    "resize", [nearest("asymmetric", "floor"), linear("half_pixel"), linear("asymmetric")]
)
def test_what_is_fast_already_is_left_alone(resize: Resize) -> None:
    graph = between(resize)(Draw(dyadic=True))
    _, trace = Pipeline([RespellEnlargingResize()]).run(graph)
    assert not trace.applications
    assert not trace.refusals
