"""Tables for lower-linear-resize-to-conv."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from laws.check import means_the_same, rewrites_and_stays_well_formed
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import ConvTranspose, Relu, Resize
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import Pipeline
from convgraph.passes.lowering.lower_linear_resize_to_conv import LowerLinearResizeToConv

LINEAR = Resize(mode="linear")
ASYMMETRIC = replace(LINEAR, coordinate_transformation_mode="asymmetric")


def resized(
    *numbers: float,
    op: Resize = LINEAR,
    shape: tuple[Dim, ...] = ("N", 3, "H", "W"),
    sizes: bool = False,
    dtype: type = np.float32,
) -> Callable[[Draw], Graph]:
    """A Resize of x by scales, or to ``sizes``, and a Relu of it."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=19)
        x = b.input("x", shape=shape, dtype=DataType.of(np.dtype(dtype)))
        to = (None, np.array(numbers, np.int64)) if sizes else (np.array(numbers, np.float32),)
        b.output(b.add(Relu(), b.add(op, x, None, *to, name="resized", node="resize")), name="y")
        return b.build()

    return build


EXAMPLES = {
    "half pixels": resized(1, 1, 2, 2),
    "asymmetric": resized(1, 1, 2, 2, op=ASYMMETRIC),
    "by 4": resized(1, 1, 4, 4),
    "unequal": resized(1, 1, 4, 2, op=ASYMMETRIC),
    "one axis": resized(1, 1, 1, 4),
    "the spatial axes by number": resized(2, 4, op=replace(LINEAR, axes=(2, 3)), shape=("N", 3, 5, "W")),
    "to a size": resized(2, 3, 10, 28, shape=(2, 3, 5, 7), sizes=True),
    "PyTorch's name for half pixels": resized(
        1, 1, 2, 2, op=replace(LINEAR, coordinate_transformation_mode="pytorch_half_pixel")
    ),
    "symmetric half pixels": resized(
        1, 1, 2, 4, op=replace(LINEAR, coordinate_transformation_mode="half_pixel_symmetric")
    ),
    "a single pixel": resized(1, 1, 2, 4, shape=("N", 3, 1, 1)),
    "1-D": resized(1, 1, 4, shape=("N", 3, "L")),
    "3-D": resized(1, 1, 2, 1, 2, shape=("N", 3, "H", "W", 4)),
    "half": resized(1, 1, 2, 2, dtype=np.float16),
}

NEAR_MISSES = {
    "only_spatial_axes_grow_by_whole_numbers": [
        resized(1, 1, 2.5, 2, shape=("N", 3, 5, 7)),
        resized(1, 1, 0.5, 2, shape=("N", 3, 6, 7)),
        resized(1, 3, 10, 28, shape=("N", 3, "H", 7), sizes=True),
    ],
    "its_grid_is_the_same_at_every_size": [
        resized(1, 1, 2, 2, op=replace(LINEAR, coordinate_transformation_mode="align_corners")),
    ],
    "the_number_of_channels_is_known": [resized(1, 1, 2, 2, shape=("L", "C", "H", "W"))],
}


@pytest.mark.parametrize("op", [LINEAR, ASYMMETRIC])
@pytest.mark.parametrize("scales", [(3, 5), (6, 1), (3, 3, 2)])
def test_scales_that_are_no_powers_of_two(op: Resize, scales: tuple[int, ...]) -> None:
    shape: tuple[Dim, ...] = ("N", 3, "H", "W", 3)[: 2 + len(scales)]
    graph = resized(1, 1, *scales, op=op, shape=shape)(Draw(dyadic=False))
    rewrites_and_stays_well_formed(LowerLinearResizeToConv(), graph)
    means_the_same(LowerLinearResizeToConv(), graph, dyadic=False)


def test_whole_numbers_are_left_alone() -> None:
    _, trace = Pipeline([LowerLinearResizeToConv()]).run(
        resized(1, 1, 2, 2, dtype=np.int32)(Draw(dyadic=True))
    )
    assert not trace.applications
    assert not trace.refusals


def test_no_transposed_convolution_is_left() -> None:
    result, _ = Pipeline([LowerLinearResizeToConv()]).run(resized(1, 1, 2, 4)(Draw(dyadic=True)))
    assert not any(isinstance(result.op(node), (ConvTranspose, Resize)) for node in result.nodes())
