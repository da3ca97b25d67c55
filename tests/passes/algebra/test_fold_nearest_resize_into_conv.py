"""Tables for fold-nearest-resize-into-conv."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from laws.draw import Draw
from laws.enlarged import COPY, enlarged_conv
from laws.meaning import difference

from convgraph.ir.ops import Conv, LeakyRelu, Resize
from convgraph.passes import Pipeline
from convgraph.passes.algebra.fold_nearest_resize_into_conv import FoldNearestResizeIntoConv

THREE = Conv.of(2, pads=1)
HALF = Resize(coordinate_transformation_mode="half_pixel", nearest_mode="round_prefer_floor")

OPTIONS: dict[str, Any] = {"size_limit": 2_000}

EXAMPLES = {
    "by two": enlarged_conv(THREE, 3, 3),
    "beyond the limit, less than twice": enlarged_conv(THREE, 3, 3, outside=31),
    "no bias": enlarged_conv(THREE, 3, 3, bias=False),
    "by three and two": enlarged_conv(THREE, 3, 3, scales=(1, 1, 3, 2)),
    "one axis": enlarged_conv(THREE, 3, 3, scales=(1, 1, 1, 4)),
    "odd pads": enlarged_conv(Conv.of(2, pads=(2, 0, 1, 3)), 3, 4),
    "even kernel": enlarged_conv(Conv.of(2, pads=(0, 1, 1, 0)), 2, 2),
    "a row": enlarged_conv(Conv.of(2, pads=(0, 1, 0, 1)), 1, 3),
    "groups": enlarged_conv(replace(THREE, group=2), 3, 3),
    "half_pixel, by three": enlarged_conv(THREE, 3, 3, scales=(1, 1, 3, 3), resize=HALF),
    "half_pixel, ceil": enlarged_conv(THREE, 3, 3, resize=replace(HALF, nearest_mode="round_prefer_ceil")),
    "pytorch_half_pixel": enlarged_conv(
        THREE, 3, 3, resize=replace(HALF, coordinate_transformation_mode="pytorch_half_pixel")
    ),
    "half_pixel_symmetric": enlarged_conv(
        THREE, 3, 3, resize=replace(HALF, coordinate_transformation_mode="half_pixel_symmetric")
    ),
    "asymmetric, rounded": enlarged_conv(
        THREE, 3, 3, resize=replace(COPY, nearest_mode="round_prefer_floor")
    ),
    "to sizes": enlarged_conv(THREE, 3, 3, sizes=(10, 21), spatial=(5, 7), resize=replace(COPY, axes=(2, 3))),
    "spatial axes alone": enlarged_conv(THREE, 3, 3, scales=(2, 3), resize=replace(COPY, axes=(2, 3))),
    "SAME at known sizes": enlarged_conv(replace(Conv.of(2), auto_pad="SAME_LOWER"), 2, 3, spatial=(5, 7)),
    "fused activation": enlarged_conv(replace(THREE, activation=LeakyRelu()), 3, 3),
    "one spatial axis": enlarged_conv(Conv.of(1, pads=1), 3, scales=(1, 1, 2), spatial=("L",)),
    "three spatial axes": enlarged_conv(
        Conv.of(3, pads=1), 3, 2, 2, scales=(1, 1, 2, 1, 2), spatial=("H", "W", 3)
    ),
    "double": enlarged_conv(THREE, 3, 3, dtype=np.float64),
    "half": enlarged_conv(THREE, 3, 3, dtype=np.float16),
}

NEAR_MISSES = {
    "the_weight_is_constant": [enlarged_conv(THREE, 3, 3, overridable="weight")],
    "the_kernel_moves_pixel_by_pixel": [
        enlarged_conv(Conv.of(2, pads=1, strides=(2, 1)), 3, 3),
        enlarged_conv(Conv.of(2, pads=2, dilations=(1, 2)), 3, 3),
    ],
    "every_window_meets_the_image": [
        enlarged_conv(Conv.of(2, pads=(0, 0, 3, 0)), 3, 3),
        enlarged_conv(Conv.of(2, pads=(0, 1, 0, 0)), 3, 1),
    ],
    "the_model_grows_within_the_limit": [enlarged_conv(THREE, 3, 3, scales=(1, 1, 4, 4))],
    "the_new_weights_are_finite": [enlarged_conv(THREE, 3, 3, dtype=np.float16, fill=40000)],
    "it_is_cheaper_on_the_target": [
        enlarged_conv(Conv.of(2), 1, 2, returned=True, scales=(1, 1, 4, 1), outside=1),
    ],
}


MODES = product(
    ("asymmetric", "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners"),
    ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"),
    (2, 3, 4),
)


def test_every_way_of_sampling_is_right_or_left_alone() -> None:
    folded = 0
    for coordinates, rounding, scale in MODES:
        resize = Resize(coordinate_transformation_mode=coordinates, nearest_mode=rounding)
        graph = enlarged_conv(THREE, 3, 3, scales=(1, 1, scale, 1), resize=resize)(Draw(dyadic=True))
        result, trace = Pipeline([FoldNearestResizeIntoConv()]).run(graph)
        folded += len(trace.applications)
        assert not difference(graph, result, dyadic=True), (coordinates, rounding, scale)
    assert folded == 22


@pytest.mark.parametrize(
    "graph",
    [
        enlarged_conv(Conv.of(2), 1, 1),
        enlarged_conv(THREE, 3, 3, resize=replace(COPY, mode="linear")),
        enlarged_conv(THREE, 3, 3, overridable="scales"),
        enlarged_conv(THREE, 3, 3, scales=(2, 1, 2, 2)),
        enlarged_conv(THREE, 3, 3, scales=(1, 1, 1, 1)),
        enlarged_conv(THREE, 3, 3, scales=(1, 1, 2.5, 2), spatial=(4, 6)),
        enlarged_conv(THREE, 3, 3, sizes=(11, 14), spatial=(5, 7), resize=replace(COPY, axes=(2, 3))),
    ],
)
def test_what_repeats_no_pixels_is_left_alone(graph: Any) -> None:
    _, trace = Pipeline([FoldNearestResizeIntoConv()]).run(graph(Draw(dyadic=True)))
    assert not trace.applications
