"""Tables for crop-interior-taps."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from laws.draw import Draw
from laws.weighted import Weight, convolved

from convgraph.ir.ops import Conv, Convolution, ConvTranspose, LeakyRelu
from convgraph.passes import Pipeline
from convgraph.passes.algebra.crop_interior_taps import CropInteriorTaps


def spread(*shape: int, steps: Sequence[int], stray: tuple[int, ...] = ()) -> Weight:
    """A weight of a shape that is zero but at every so many taps of each axis, and at one ``stray`` place."""

    def weight(draw: Draw) -> np.ndarray:
        dense, array = draw.factor(*shape), np.zeros(shape, np.float32)
        grid = (slice(None), slice(None), *(slice(None, None, step) for step in steps))
        array[grid] = dense[grid]
        if stray:
            array[stray] = 1e-30
        return array

    return weight


def ends_in_zeros(draw: Draw) -> np.ndarray:
    """Only the middle one of seven rows, and every second of five columns."""
    array = spread(6, 4, 7, 5, steps=(3, 2))(draw)
    array[:, :, [0, 6]] = 0
    return array


EXAMPLES = {
    "every second": convolved(Conv.of(2, pads=2), spread(6, 4, 5, 5, steps=(2, 2))),
    "one axis": convolved(Conv.of(2, pads=(1, 2, 0, 3)), spread(6, 4, 3, 5, steps=(1, 4))),
    "every third, strides, dilations": convolved(
        Conv.of(2, strides=(2, 1), dilations=(1, 2), pads=3), spread(6, 4, 7, 3, steps=(3, 2)), spatial=(9, 8)
    ),
    "no padding": convolved(Conv.of(2), spread(6, 4, 3, 3, steps=(2, 2)), bias=False),
    "rule for the pads": convolved(
        replace(Conv.of(2, strides=2), auto_pad="SAME_LOWER"),
        spread(6, 4, 5, 3, steps=(2, 2)),
        spatial=(8, 7),
    ),
    "groups": convolved(Conv.of(2, pads=1, group=2), spread(6, 2, 3, 5, steps=(2, 2))),
    "depthwise": convolved(Conv.of(2, pads=2, group=4), spread(4, 1, 5, 5, steps=(4, 2))),
    "1-D": convolved(Conv.of(1, pads=4), spread(6, 4, 9, steps=(4,)), spatial=("L",)),
    "3-D": convolved(Conv.of(3, pads=1), spread(6, 4, 3, 1, 3, steps=(2, 1, 2))),
    "zeros at the ends too": convolved(Conv.of(2, pads=3), ends_in_zeros, spatial=(9, 8)),
    "nothing but zeros": convolved(Conv.of(2, pads=1), lambda _: np.zeros((6, 4, 3, 4), np.float32)),
    "fused activation": convolved(
        replace(Conv.of(2, pads=1), activation=LeakyRelu(alpha=0.5)), spread(6, 4, 3, 3, steps=(2, 2))
    ),
    "half": convolved(Conv.of(2, pads=1), spread(6, 4, 3, 3, steps=(2, 2)), dtype=np.float16),
    "double": convolved(Conv.of(2, pads=1), spread(6, 4, 3, 3, steps=(2, 2)), dtype=np.float64),
    "transposed": convolved(ConvTranspose.of(2, strides=2, pads=1), spread(4, 6, 3, 5, steps=(2, 4))),
    "transposed to a size": convolved(
        replace(ConvTranspose.of(2, strides=2), output_shape=(15, 13)),
        spread(4, 6, 3, 3, steps=(2, 2)),
        spatial=(7, 6),
    ),
}

NEAR_MISSES = {
    "the_weight_is_constant": [
        convolved(Conv.of(2, pads=1), spread(6, 4, 3, 3, steps=(2, 2)), given="overridable"),
        convolved(ConvTranspose.of(2), spread(6, 4, 3, 3, steps=(2, 2)), given="overridable"),
    ],
    "the_pads_are_known": [
        convolved(replace(Conv.of(2, strides=2), auto_pad="SAME_UPPER"), spread(6, 4, 5, 3, steps=(2, 2))),
    ],
}


@pytest.mark.parametrize("op", [Conv.of(2, pads=1), ConvTranspose.of(2)])
def test_one_number_off_the_grid_keeps_it_whole(op: Convolution) -> None:
    graph = convolved(op, spread(6, 4, 3, 3, steps=(2, 2), stray=(5, 1, 1, 1)))(Draw(dyadic=True))
    assert not Pipeline([CropInteriorTaps()]).run(graph)[1].applications


def test_the_kernel_reaches_as_far_as_before() -> None:
    """Of four taps the second is zero: without it the last tap would be off the grid."""
    graph = convolved(Conv.of(1), lambda draw: draw.factor(6, 4, 4) * np.array([1, 0, 1, 0]))(
        Draw(dyadic=True)
    )
    assert not Pipeline([CropInteriorTaps()]).run(graph)[1].applications


def test_a_weight_that_is_computed_stays() -> None:
    graph = convolved(Conv.of(2, pads=1), spread(6, 4, 3, 3, steps=(2, 2)), given="computed")
    _, trace = Pipeline([CropInteriorTaps()]).run(graph(Draw(dyadic=True)))
    assert not trace.applications


def test_what_is_cropped_to_a_size_needs_no_pads() -> None:
    op = replace(ConvTranspose.of(2, strides=2), output_shape=(15, 13))
    graph = convolved(op, spread(4, 6, 3, 5, steps=(2, 4)))(Draw(dyadic=True))
    _, trace = Pipeline([CropInteriorTaps()]).run(graph)
    assert [application.at for application in trace.applications] == ["conv"]


def test_a_weight_without_filters_has_no_taps() -> None:
    graph = convolved(Conv.of(2), lambda _: np.zeros((0, 4, 3, 3), np.float32), bias=False)(Draw(dyadic=True))
    assert not Pipeline([CropInteriorTaps()]).run(graph)[1].applications
