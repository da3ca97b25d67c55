"""Tables for lower-resize-to-expand."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Relu, Resize
from convgraph.ir.tensor import DataType, Dim

NEAREST = Resize(coordinate_transformation_mode="asymmetric", nearest_mode="floor")


def resized(
    *scales: float,
    op: Resize = NEAREST,
    shape: tuple[Dim, ...] = ("N", 3, "H", "W"),
    dtype: type = np.float32,
) -> Callable[[Draw], Graph]:
    """A Resize of x, and a Relu of it."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=shape, dtype=DataType.of(np.dtype(dtype)))
        y = b.add(op, x, None, np.array(scales, np.float32), name="resized")
        b.output(b.add(Relu(), y), name="y")
        return b.build()

    return build


EXAMPLES = {
    "2-D": resized(1, 1, 2, 2),
    "unequal": resized(1, 1, 3, 2),
    "one axis": resized(1, 1, 1, 2),
    "static": resized(1, 1, 2, 3, shape=("N", 3, 5, 7)),
    "one symbol": resized(1, 1, 2, 3, shape=("N", 3, 5, "W")),
    "1-D": resized(1, 1, 3, shape=("N", 3, "L")),
    "3-D": resized(1, 1, 2, 1, 3, shape=("N", 3, "H", "W", 4)),
    "double": resized(1, 1, 2, 2, dtype=np.float64),
}

NEAR_MISSES = {
    "it_copies_the_pixel_before": [
        resized(1, 1, 2, 2, op=replace(NEAREST, mode="linear")),
        resized(1, 1, 3, 2, op=replace(NEAREST, nearest_mode="round_prefer_ceil")),
        resized(1, 1, 3, 2, op=replace(NEAREST, coordinate_transformation_mode="half_pixel")),
    ],
    "the_scales_are_whole": [resized(1, 1, 2.5, 2, shape=("N", 3, 5, 7))],
    "only_spatial_axes_grow": [resized(1, 2, 2, 2)],
}
