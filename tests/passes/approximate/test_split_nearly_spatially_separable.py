"""Tables for split-nearly-spatially-separable."""

from dataclasses import replace

import numpy as np
from laws.draw import Draw
from laws.weighted import Weight, convolved

from convgraph.ir.ops import Conv
from convgraph.ir.tensor import Array
from convgraph.passes import Pipeline
from convgraph.passes.approximate.split_nearly_spatially_separable import SplitNearlySpatiallySeparable

OPTIONS = {"tolerance": 0.1}
# Singular vectors are not dyadic; 16 roundings of float32, as for the exact split.
BOUND = 2.0**-20


def nearly(*shape: int, rank: int = 1, group: int = 1) -> Weight:
    """Σᵣ V[r, i, y, …] · H[o, r, x], but for a twentieth."""

    def weight(draw: Draw) -> Array:
        outside, inside, *kernel = shape
        first = draw.factor(group, rank, inside, *kernel[:-1], dtype=np.float64)
        last = draw.factor(group, outside // group, rank, kernel[-1], dtype=np.float64)
        whole = np.einsum("gri...,gorx->goi...x", first, last).reshape(shape)
        noise = draw.rng.normal(size=shape)
        return whole + 0.05 * np.linalg.norm(whole) / np.linalg.norm(noise) * noise

    return weight


def nearly_a_box(draw: Draw) -> Array:
    """A box of three channels, each on its own, but for a little."""
    return 1 + 0.02 * draw.rng.normal(size=(3, 1, 3, 3, 3))


EXAMPLES = {
    "one filter": convolved(Conv.of(2, pads=1), nearly(6, 4, 3, 3)),
    "three filters": convolved(Conv.of(2, pads=2), nearly(6, 4, 5, 5, rank=3)),
    "oblong kernel, no bias": convolved(Conv.of(2, pads=(2, 1, 1, 0)), nearly(6, 4, 5, 3), bias=False),
    "dilations, odd pads": convolved(
        Conv.of(2, dilations=(1, 2), pads=(1, 2, 0, 3)), nearly(6, 4, 3, 3), spatial=(7, 6)
    ),
    "strides": convolved(Conv.of(2, strides=(3, 2), pads=(2, 1, 0, 3)), nearly(6, 4, 5, 3)),
    "groups": convolved(Conv.of(2, pads=1, group=2), nearly(6, 2, 3, 3, group=2)),
    "depthwise": convolved(Conv.of(2, pads=2, group=3), nearly(3, 1, 5, 5, group=3)),
    "SAME": convolved(
        replace(Conv.of(2, strides=(2, 1)), auto_pad="SAME_UPPER"), nearly(6, 4, 3, 3), spatial=(8, 6)
    ),
    "3-D": convolved(Conv.of(3, pads=1), nearly(6, 4, 2, 3, 3)),
    "double": convolved(Conv.of(2, pads=1), nearly(6, 4, 3, 3), dtype=np.float64),
}

NEAR_MISSES = {
    "the_weight_is_constant": [convolved(Conv.of(2, pads=1), nearly(6, 4, 3, 3), given="overridable")],
    "it_is_cheaper_on_the_target": [
        convolved(Conv.of(2, pads=2, strides=(1, 3)), nearly(6, 6, 5, 5, rank=9), spatial=(12, 12)),
    ],
}


def test_of_three_axes_the_way_with_the_fewest_numbers_is_taken() -> None:
    graph = convolved(Conv.of(3, pads=1, group=3), nearly_a_box)(Draw(dyadic=False))
    (node,) = (n for n in graph.nodes() if isinstance(graph.op(n), Conv))
    rewrite = SplitNearlySpatiallySeparable(tolerance=0.1)
    match = rewrite.find(graph, node)
    assert match is not None
    assert (match.way, match.rank) == (1, 1)
    result, trace = Pipeline([rewrite]).run(graph)
    weights = [result.operand(n, 1) for n in result.compute_nodes() if isinstance(result.op(n), Conv)]
    assert len(trace.applications) == 2  # the plane that is left is nearly a box, too
    assert [result.type(w).shape for w in weights if w is not None] == [
        (3, 1, 3, 1, 1),
        (3, 1, 1, 3, 1),
        (3, 1, 1, 1, 3),
    ]


def test_there_is_something_to_do_along_either_axes() -> None:
    ways = {k: [*SplitNearlySpatiallySeparable().ways(np.ones((2, 2, *k)))] for k in ((1, 3, 3), (3, 3, 1))}
    assert ways == {(1, 3, 3): [2], (3, 3, 1): [1]}
