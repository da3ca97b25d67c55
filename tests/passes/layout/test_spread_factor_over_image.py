"""Tables for spread-factor-over-image."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Add, Conv, GlobalAveragePool, Mul, Op, Sigmoid
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import Pipeline, SpreadFactorOverImage


def gated(
    op: Op | None = None,
    *,
    left: bool = False,
    batch: Dim = "N",
    spatial: Sequence[Dim] = (28, 20),
    channels: int = 64,
    other: Sequence[Dim] = (),
    dtype: type = np.float32,
    bare: bool = False,
) -> Callable[[Draw], Graph]:
    """An image times a factor for each of its channels, that is computed from its means.

    Or a factor of ``other`` sizes, that is given; ``bare``: no convolutions around it.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        y = b.input("x", shape=(batch, channels, *spatial), dtype=DataType.of(np.dtype(dtype)))
        if not bare:
            y = b.add(Conv.of(2, pads=1), y, draw.weight(channels, channels, 3, 3, dtype=dtype))
        if other:
            factor = b.input("factor", shape=tuple(other), dtype=DataType.of(np.dtype(dtype)))
        else:
            mean = b.add(GlobalAveragePool(), y)
            excite = replace(Conv.of(2), activation=Sigmoid())
            factor = b.add(excite, mean, draw.weight(channels, channels, 1, 1, dtype=dtype))
        y = b.add(op or Mul(), *((factor, y) if left else (y, factor)), node="gate")
        b.output(y if bare else b.add(Conv.of(2), y, draw.weight(16, channels, 1, 1, dtype=dtype)), name="y")
        return b.build()

    return build


GIVEN = ("N", 64, 1, 1)

EXAMPLES = {
    "factor": gated(),
    "factor, left": gated(left=True),
    "one sample": gated(batch=1),
    "column": gated(spatial=(56, 1)),
}

BOUND = 1e-6
"""A mean of pixels and a Sigmoid of it round on dyadic numbers, too."""

NEAR_MISSES = {
    "the_image_is_of_known_size": [gated(spatial=("H", 20))],
    "each_channel_has_its_own": [gated(other=(1, 64, 1, 1)), gated(other=("N", 1, 1, 1))],
    "it_is_cheaper_on_the_target": [gated(other=GIVEN)],
}


@pytest.mark.parametrize("graph", [gated(Add()), gated(other=("N", 64, 28, 1)), gated(other=(64, 1, 1))])
def test_anything_else_is_left_alone(graph: Callable[[Draw], Graph]) -> None:
    _, trace = Pipeline([SpreadFactorOverImage()]).run(graph(Draw(dyadic=True)))
    assert not trace.applications
    assert not trace.refusals


def test_the_factor_of_squeeze_and_excitation_is_found() -> None:
    graph = gated()(Draw(dyadic=False))
    assert SpreadFactorOverImage().find(graph, next(n for n in graph.nodes() if graph.info(n).name == "gate"))
