"""Tables for fold-nearest-resize-through-concat-into-conv."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from laws.draw import Draw
from laws.enlarged import COPY, enlarged_conv

from convgraph.ir.ops import Conv, LeakyRelu
from convgraph.passes import Pipeline
from convgraph.passes.algebra.fold_nearest_resize_through_concat_into_conv import (
    FoldNearestResizeThroughConcatIntoConv,
)

THREE = Conv.of(2, pads=1)

OPTIONS: dict[str, Any] = {"size_limit": 4_000}

EXAMPLES = {
    "enlarged first": enlarged_conv(THREE, 3, 3, parts="up skip"),
    "channels counted from the end": enlarged_conv(THREE, 3, 3, parts="up skip", axis=-3),
    "enlarged last, no bias": enlarged_conv(THREE, 3, 3, parts="skip up", bias=False),
    "between two": enlarged_conv(THREE, 3, 3, parts="skip up skip"),
    "two enlarged": enlarged_conv(THREE, 3, 2, parts="up skip up", scales=(1, 1, 3, 2)),
    "nothing else": enlarged_conv(THREE, 3, 3, parts="up up"),
    "nothing else, no bias": enlarged_conv(THREE, 3, 3, parts="up up", bias=False),
    "odd pads": enlarged_conv(Conv.of(2, pads=(2, 0, 1, 3)), 3, 4, parts="up skip"),
    "SAME at known sizes": enlarged_conv(
        replace(Conv.of(2), auto_pad="SAME_UPPER"), 2, 3, parts="up skip", spatial=(5, 7)
    ),
    "one spatial axis": enlarged_conv(
        Conv.of(1, pads=1), 3, parts="up skip", scales=(1, 1, 2), spatial=("L",)
    ),
    "three spatial axes": enlarged_conv(
        Conv.of(3, pads=1), 3, 2, 2, parts="up skip", scales=(1, 1, 2, 1, 2), spatial=("H", "W", 3)
    ),
    "double": enlarged_conv(THREE, 3, 3, parts="up skip", dtype=np.float64),
    "half": enlarged_conv(THREE, 3, 3, parts="up skip", dtype=np.float16),
}

NEAR_MISSES = {
    "the_images_are_linear_apart": [
        enlarged_conv(replace(THREE, group=2), 3, 3, parts="up skip"),
        enlarged_conv(replace(THREE, activation=LeakyRelu()), 3, 3, parts="up skip"),
    ],
    "the_weight_is_constant": [enlarged_conv(THREE, 3, 3, parts="up skip", overridable="weight")],
    "the_kernel_moves_pixel_by_pixel": [
        enlarged_conv(Conv.of(2, pads=1, strides=(2, 1)), 3, 3, parts="up skip", spatial=(5, 7)),
        enlarged_conv(Conv.of(2, pads=2, dilations=(1, 2)), 3, 3, parts="up skip", spatial=(5, 7)),
    ],
    "every_window_meets_the_image": [enlarged_conv(Conv.of(2, pads=(0, 0, 3, 0)), 3, 3, parts="up skip")],
    "the_model_grows_within_the_limit": [
        enlarged_conv(THREE, 3, 3, parts="up skip", outside=12, scales=(1, 1, 4, 4))
    ],
    "the_new_weights_are_finite": [enlarged_conv(THREE, 3, 3, parts="up skip", dtype=np.float16, fill=40000)],
    "it_is_cheaper_on_the_target": [
        enlarged_conv(Conv.of(2), 1, 2, parts="up skip", returned=True, scales=(1, 1, 4, 1), outside=7),
    ],
}


@pytest.mark.parametrize(
    "graph",
    [
        enlarged_conv(Conv.of(2), 1, 1, parts="up skip"),
        enlarged_conv(THREE, 3, 3, parts="skip skip"),
        enlarged_conv(THREE, 3, 3, parts="up skip", resize=replace(COPY, mode="linear")),
    ],
)
def test_what_would_not_gain_is_left_alone(graph: Any) -> None:
    _, trace = Pipeline([FoldNearestResizeThroughConcatIntoConv()]).run(graph(Draw(dyadic=True)))
    assert not trace.applications
