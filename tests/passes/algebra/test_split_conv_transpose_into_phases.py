"""Tables for split-conv-transpose-into-phases."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from laws.draw import Draw
from laws.meaning import in_onnxruntime
from laws.transposes import random_setting
from laws.weighted import Weight, convolved

from convgraph.analysis.cost import graph_cost
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import ConvTranspose, LeakyRelu
from convgraph.numerics.evaluate import evaluate
from convgraph.passes import Pipeline
from convgraph.passes.algebra.split_conv_transpose_into_phases import SplitConvTransposeIntoPhases
from convgraph.passes.algebra.transposed import MOST_PARTS


def drawn(*shape: int) -> Weight:
    """Any weight of a shape."""
    return lambda draw: draw.weight(*shape)


def cropping(rank: int = 2, **options: int | tuple[int, ...]) -> ConvTranspose:
    """Of stride 2, with so much padding that a convolution of its own for each phase multiplies less."""
    return ConvTranspose.of(rank, **{"strides": 2, "pads": 3, **options})  # type: ignore[arg-type]


EXAMPLES = {
    "even kernel": convolved(cropping(), drawn(4, 6, 4, 4), spatial=(7, 6)),
    "odd kernel, open sizes": convolved(cropping(), drawn(4, 6, 3, 5)),
    "no bias": convolved(cropping(), drawn(4, 6, 4, 3), bias=False, spatial=(7, 6)),
    "pads at one end": convolved(cropping(pads=(2, 0, 3, 4)), drawn(4, 6, 4, 4), spatial=(7, 6)),
    "unequal strides": convolved(cropping(strides=(1, 3), pads=4), drawn(4, 6, 4, 5), spatial=(9, 7)),
    "dilations": convolved(cropping(dilations=(1, 3), pads=4), drawn(4, 6, 4, 2), spatial=(9, 7)),
    "groups": convolved(cropping(group=2), drawn(4, 3, 4, 4), spatial=(7, 6)),
    "depthwise": convolved(cropping(group=4), drawn(4, 1, 4, 4), spatial=(7, 6)),
    "fused activation": convolved(
        replace(cropping(), activation=LeakyRelu(alpha=0.25)), drawn(4, 6, 4, 4), spatial=(7, 6)
    ),
    "1-D": convolved(cropping(1), drawn(4, 6, 4), spatial=("L",)),
    "3-D": convolved(cropping(3, pads=2), drawn(4, 6, 2, 4, 3), spatial=(5, 4, 6)),
    "output shape": convolved(
        replace(cropping(pads=0), output_shape=(9, 8)), drawn(4, 6, 4, 3), spatial=(7, 6)
    ),
    "double": convolved(cropping(), drawn(4, 6, 4, 4), dtype=np.float64, spatial=(7, 6)),
    "half": convolved(cropping(), drawn(4, 6, 4, 4), dtype=np.float16, spatial=(7, 6)),
}

NEAR_MISSES = {
    "the_weights_are_constant": [
        convolved(cropping(), drawn(4, 6, 4, 4), given="overridable"),
        convolved(cropping(), drawn(4, 6, 4, 4), given="computed"),
    ],
    "the_pads_are_known": [
        convolved(replace(cropping(pads=0), output_shape=(9, 8)), drawn(4, 6, 4, 4)),
    ],
    "it_is_cheaper_on_the_target": [
        convolved(cropping(pads=1), drawn(4, 6, 4, 4)),
        convolved(cropping(pads=0), drawn(4, 6, 3, 3), spatial=(7, 6)),
    ],
}


def split(graph: Graph) -> Graph:
    """The graph with its transposed convolution in phases, whether or not that pays."""
    result, rewrite = graph.copy(), SplitConvTransposeIntoPhases()
    (node,) = (n for n in result.compute_nodes() if isinstance(result.op(n), ConvTranspose))
    match = rewrite.find(result, node)
    assert match is not None
    edit = Edit(result, near=node)
    rewrite.apply(edit, match)
    edit.sweep()
    return result


@pytest.mark.parametrize("seed", range(3))
def test_any_setting_is_bit_for_bit_the_same(seed: int) -> None:
    rng, larger = np.random.default_rng(seed), 0
    for _ in range(40):
        setting = random_setting(rng)
        graph = setting.graph()
        if not 1 < math.prod(setting.op.strides) <= MOST_PARTS:
            continue
        larger += 1
        for run in (evaluate, in_onnxruntime):
            expected = run(graph, setting.feed())["y"]
            np.testing.assert_array_equal(run(split(graph), setting.feed())["y"], expected, f"{setting.op}")
    assert larger > 10


@pytest.mark.parametrize(
    ("op", "kernel", "convolutions"),
    [(cropping(pads=1), (4, 4), 4), (cropping(pads=0), (2, 2), 1), (cropping(strides=(1, 3)), (4, 4), 3)],
)
def test_no_phase_multiplies_by_zero(op: ConvTranspose, kernel: tuple[int, int], convolutions: int) -> None:
    before = convolved(op, drawn(4, 6, *kernel), spatial=(9, 8))(Draw(dyadic=True))
    after = split(before)
    labels = Counter(after.op(node).label for node in after.compute_nodes())
    assert labels["Conv"] == convolutions
    assert labels["ConvTranspose"] == 0
    assert graph_cost(after).macs <= graph_cost(before).macs


def test_an_image_of_no_larger_size_is_left_to_another_rewrite() -> None:
    graph = convolved(ConvTranspose.of(2, pads=2), drawn(4, 6, 3, 3), spatial=(7, 6))(Draw(dyadic=True))
    assert not Pipeline([SplitConvTransposeIntoPhases()]).run(graph)[1].applications


@pytest.mark.parametrize(("steps", "found"), [((4, 4), True), ((4, 5), False)])
def test_so_many_phases_and_no_more(steps: tuple[int, int], found: bool) -> None:
    assert math.prod(steps) <= MOST_PARTS or not found
    graph = convolved(ConvTranspose.of(2, strides=steps), drawn(4, 6, 5, 5), spatial=(7, 6))(
        Draw(dyadic=True)
    )
    (node,) = (n for n in graph.compute_nodes() if isinstance(graph.op(n), ConvTranspose))
    assert (SplitConvTransposeIntoPhases().find(graph, node) is not None) is found
