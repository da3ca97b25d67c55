"""Tables for lower-resize-to-expand."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Relu, Resize
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import LowerResizeToExpand, Pipeline

NEAREST = Resize(coordinate_transformation_mode="asymmetric", nearest_mode="floor")
HALVES = {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_floor"}


def resized(
    *numbers: float,
    op: Resize = NEAREST,
    shape: tuple[Dim, ...] = ("N", 3, "H", "W"),
    dtype: type = np.float32,
    sizes: bool = False,
    opset: int = 17,
) -> Callable[[Draw], Graph]:
    """A Resize of x by scales, or to ``sizes``, and a Relu of it."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=opset)
        x = b.input("x", shape=shape, dtype=DataType.of(np.dtype(dtype)))
        to = (None, np.array(numbers, np.int64)) if sizes else (np.array(numbers, np.float32),)
        b.output(b.add(Relu(), b.add(op, x, None, *to, name="resized")), name="y")
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
    "half pixels": resized(1, 1, 3, 2, op=replace(NEAREST, **HALVES)),
    "PyTorch's name for half pixels": resized(
        1, 1, 4, 2, op=replace(NEAREST, **HALVES | {"coordinate_transformation_mode": "pytorch_half_pixel"})
    ),
    "twice, rounded down": resized(1, 1, 2, 2, op=replace(NEAREST, nearest_mode="round_prefer_floor")),
    "axes by number": resized(2, 3, op=replace(NEAREST, axes=(3, 2)), opset=18),
    "to a size": resized(2, 3, 10, 14, shape=(2, 3, 5, 7), sizes=True),
    "double": resized(1, 1, 2, 2, dtype=np.float64),
}

NEAR_MISSES = {
    "it_repeats_pixels": [
        resized(1, 1, 3, 2, op=replace(NEAREST, nearest_mode="round_prefer_ceil")),
        resized(1, 1, 3, 2, op=replace(NEAREST, coordinate_transformation_mode="half_pixel")),
        resized(1, 1, 2.5, 2, shape=("N", 3, 5, 7)),
        resized(1, 2, 2, 2),
        resized(2, 3, 10, 14, shape=(2, 3, "H", 7), sizes=True),
    ],
}


def test_one_that_interpolates_is_not_spoken_of() -> None:
    graph = resized(1, 1, 2, 2, op=replace(NEAREST, mode="linear"))(Draw(dyadic=True))
    _, trace = Pipeline([LowerResizeToExpand()]).run(graph)
    assert not trace.applications
    assert not trace.refusals
