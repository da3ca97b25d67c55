"""Tables for compose-average-pool-into-conv."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import AveragePool, Conv, Relu
from convgraph.ir.tensor import DataType, Dim

HALVING = AveragePool.of((2, 2), strides=2)
COUNTED = replace(AveragePool.of((2, 4), strides=(3, 4), pads=(1, 1, 0, 2)), count_include_pad=1)
ONE = Conv.of(2)
OPTIONS: dict[str, Any] = {"size_limit": 2_000}


def averaged(
    pool: AveragePool = HALVING,
    conv: Conv | None = None,
    *,
    kernel: Sequence[int] = (3, 3),
    spatial: Sequence[Dim] = (8, 7),
    bias: bool = True,
    given: str = "",
    dtype: type = np.float32,
    returned: bool = False,
    opset: int = 19,
    channels: tuple[int, int] = (4, 6),
) -> Callable[[Draw], Graph]:
    """A pool of a convolution of x; a caller may override what is ``given``."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=opset)
        x = b.input("x", shape=("N", channels[0], *spatial), dtype=DataType.of(np.dtype(dtype)))
        op = conv or Conv.of(len(kernel), pads=1)
        weight = draw.weight(channels[1], channels[0] // op.group, *kernel, dtype=dtype)
        operands = [b.overridable("weight", weight) if given == "weight" else b.constant(weight)]
        if bias:
            drawn = draw.weight(channels[1], dtype=dtype)
            operands.append(b.overridable("bias", drawn) if given == "bias" else b.constant(drawn))
        y = b.add(op, x, *operands, node="conv")
        b.output(b.add(pool, y), name="y")
        if returned:
            b.output(y, name="whole")
        return b.build()

    return build


EXAMPLES = {
    "halving": averaged(),
    "no bias": averaged(bias=False),
    "bias from a caller": averaged(given="bias"),
    "windows that overlap": averaged(AveragePool.of((4, 2), strides=(3, 2))),
    "stride before": averaged(conv=Conv.of(2, strides=2, pads=(1, 0, 2, 1)), kernel=(3, 2)),
    "dilations": averaged(conv=Conv.of(2, dilations=2, pads=2), kernel=(3, 2)),
    "dilated pool": averaged(AveragePool.of((2, 2), strides=2, dilations=(1, 2)), spatial=(7, 6)),
    "one axis": averaged(
        AveragePool.of((1, 2), strides=(1, 2)), kernel=(1, 3), conv=Conv.of(2), spatial=("H", 7)
    ),
    "groups": averaged(conv=Conv.of(2, group=2)),
    "padding counted where there is none": averaged(replace(HALVING, count_include_pad=1)),
    "SAME, of known size": averaged(replace(HALVING, auto_pad="SAME_UPPER"), spatial=(8, 6)),
    "VALID": averaged(replace(HALVING, auto_pad="VALID")),
    "padding counted, no bias": averaged(COUNTED, ONE, kernel=(1, 1), bias=False),
    "padding counted": averaged(COUNTED, ONE, kernel=(1, 1)),
    "padding counted, strides and pads before": averaged(
        replace(COUNTED, pads=(1, 0, 1, 0)),
        Conv.of(2, strides=(1, 2), pads=(2, 0, 2, 1)),
        bias=False,
        spatial=(8, 12),
    ),
    "padding counted, open sizes": averaged(
        COUNTED, ONE, kernel=(1, 1), bias=False, spatial=("H", "W"), channels=(1, 9)
    ),
    "padding counted, groups": averaged(COUNTED, Conv.of(2, group=2), kernel=(1, 1)),
    "1-D": averaged(AveragePool.of((2,), strides=2), kernel=(3,), spatial=(9,)),
    "3-D": averaged(AveragePool.of((2, 2, 2), strides=2), kernel=(2, 3, 2), spatial=(5, 6, 4)),
    "half": averaged(dtype=np.float16),
    "double": averaged(dtype=np.float64),
}

NEAR_MISSES = {
    "the_weight_is_constant": [averaged(given="weight")],
    "no_activation_stands_between": [averaged(conv=replace(Conv.of(2, pads=1), activation=Relu()))],
    "every_mean_is_of_as_much": [
        averaged(AveragePool.of((2, 2), strides=2, pads=(1, 0, 1, 0))),
        averaged(AveragePool.of((2, 2), strides=2, ceil_mode=1), spatial=(7, 5)),
        averaged(replace(HALVING, auto_pad="SAME_UPPER"), spatial=("H", "W")),
    ],
    "a_window_fits_whatever_the_size": [
        averaged(AveragePool.of((3, 3), strides=3), conv=Conv.of(2), spatial=("H", "W")),
        averaged(AveragePool.of((1, 2), strides=(1, 2), dilations=(1, 4)), spatial=(6, "W")),
    ],
    "the_pads_are_known": [
        averaged(
            AveragePool.of((1, 1), strides=2),
            conv=replace(Conv.of(2, strides=2), auto_pad="SAME_UPPER"),
            spatial=("H", "W"),
        ),
    ],
    "no_window_beyond_the_border_meets_the_image": [
        averaged(COUNTED),
        averaged(COUNTED, Conv.of(2, pads=(1, 0, 2, 0)), kernel=(3, 1), bias=False),
    ],
    "the_bias_is_constant": [averaged(COUNTED, ONE, kernel=(1, 1), given="bias")],
    "the_sizes_are_known": [averaged(COUNTED, ONE, kernel=(1, 1), spatial=("H", 7))],
    "the_map_is_small": [averaged(COUNTED, ONE, kernel=(1, 1), spatial=(37, 36))],
    "it_is_cheaper_on_the_target": [
        averaged(replace(COUNTED, strides=(1, 1)), ONE, kernel=(1, 1)),
        averaged(AveragePool.of((2, 2))),
        averaged(returned=True),
    ],
}
