"""Tables for split-low-rank-conv."""

from dataclasses import replace

import numpy as np
from laws.draw import Draw
from laws.weighted import Weight, convolved

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Clip, Conv
from convgraph.ir.tensor import Array

OPTIONS = {"tolerance": 0.1}
# Singular vectors are not dyadic; 16 roundings of float32, as for the exact splits.
BOUND = 2.0**-20


def nearly(*shape: int, rank: int = 1, group: int = 1) -> Weight:
    """Σᵣ M[o, r] · F[r, i, …] in each group, but for a twentieth."""

    def weight(draw: Draw) -> Array:
        outside, *filters = shape
        mixing = draw.factor(group, outside // group, rank, dtype=np.float64)
        kernels = draw.factor(group, rank, *filters, dtype=np.float64)
        whole = np.einsum("gor,gr...->go...", mixing, kernels).reshape(shape)
        noise = draw.rng.normal(size=shape)
        return whole + 0.05 * np.linalg.norm(whole) / np.linalg.norm(noise) * noise

    return weight


def three_of_four(draw: Draw) -> Array:
    """A pointwise weight of rank 3, all three of them needed."""
    del draw
    return np.eye(5, 4)[:, :, None, None] * [[[[1]], [[2]], [[2]], [[0]]]]


def activated(draw: Draw) -> Graph:
    """A convolution that has a Clip fused into it."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", 4, "H", "W"))
    op = replace(Conv.of(2, pads=1), activation=Clip())
    low, high = (b.constant(np.asarray(number, np.float32)) for number in (-2, 6))
    weight, bias = b.constant(nearly(6, 4, 3, 3)(draw).astype(np.float32)), b.constant(draw.weight(6))
    b.output(b.add(op, x, weight, bias, low, high), name="y")
    return b.build()


EXAMPLES = {
    "one filter": convolved(Conv.of(2, pads=1), nearly(6, 4, 3, 3)),
    "three filters": convolved(Conv.of(2, pads=(1, 0, 2, 1)), nearly(9, 4, 3, 5, rank=3)),
    "pointwise, no bias": convolved(Conv.of(2), nearly(9, 7, 1, 1, rank=2), bias=False),
    "strides, dilations": convolved(
        Conv.of(2, strides=(2, 1), dilations=(1, 2), pads=(1, 2, 0, 3)), nearly(6, 4, 3, 3)
    ),
    "groups": convolved(Conv.of(2, pads=1, group=2), nearly(8, 3, 3, 3, group=2)),
    "1-D": convolved(Conv.of(1, pads=2), nearly(6, 4, 5), spatial=("L",)),
    "3-D": convolved(Conv.of(3, pads=1), nearly(6, 4, 3, 2, 2)),
    "SAME": convolved(replace(Conv.of(2, strides=2), auto_pad="SAME_LOWER"), nearly(6, 4, 3, 3)),
    "fused activation": activated,
    "double": convolved(Conv.of(2, pads=1), nearly(6, 4, 3, 3), dtype=np.float64),
}

NEAR_MISSES = {
    "the_weight_is_constant": [convolved(Conv.of(2, pads=1), nearly(6, 4, 3, 3), given="overridable")],
    "it_is_cheaper_on_the_target": [convolved(Conv.of(2), three_of_four)],  # 3·(5 + 4) > 5·4
}
