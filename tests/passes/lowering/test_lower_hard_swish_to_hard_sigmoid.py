"""Tables for lower-hard-swish-to-hard-sigmoid."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, Convolution, ConvTranspose, HardSwish, Tanh
from convgraph.passes import Pipeline
from convgraph.passes.lowering.lower_hard_swish_to_hard_sigmoid import LowerHardSwishToHardSigmoid

BOUND = 2e-7  # a sixth is not dyadic: x / 6 and x · (1 / 6) round differently


def alone(*, opset: int = 17) -> Callable[[Draw], Graph]:
    """A hard swish of x that is a graph output."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=opset)
        b.output(b.add(HardSwish(), b.input("x", shape=("N", 3, "H", "W")), node="swish"), name="y")
        return b.build()

    return build


def fused(op: Convolution, weight: tuple[int, ...], *, returned: bool = False) -> Callable[[Draw], Graph]:
    """A convolution from 4 to 6 channels with a hard swish, and perhaps a second swish of it."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=("N", 4, "H", "W"))
        activated = replace(op, activation=HardSwish())
        y = b.add(activated, x, draw.weight(*weight) / np.float32(8), draw.weight(6), node="conv")
        if returned:
            b.output(y, name="first")
        b.output(b.add(HardSwish(), y), name="y")
        return b.build()

    return build


EXAMPLES = {
    "alone": alone(),
    "old opset": alone(opset=9),
    "fused, and again": fused(Conv.of(2, pads=1), (6, 4, 3, 2)),
    "fused, an output": fused(Conv.of(2), (6, 4, 1, 1), returned=True),
    "fused, transposed": fused(ConvTranspose.of(2, strides=2), (4, 6, 2, 3)),
}

NEAR_MISSES: dict[str, Sequence[Callable[[Draw], Graph]]] = {}


def test_what_else_a_convolution_ends_in_stays() -> None:
    b, draw = GraphBuilder("g", opset=17), Draw(dyadic=True)
    op = replace(Conv.of(2), activation=Tanh())
    b.output(b.add(op, b.input("x", shape=("N", 4, "H", "W")), draw.weight(6, 4, 3, 2)), name="y")
    assert not Pipeline([LowerHardSwishToHardSigmoid()]).run(b.build())[1].applications
