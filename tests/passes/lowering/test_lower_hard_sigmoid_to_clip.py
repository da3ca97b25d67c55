"""Tables for lower-hard-sigmoid-to-clip."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, Convolution, ConvTranspose, HardSigmoid
from convgraph.ir.tensor import DataType

GATE = HardSigmoid(alpha=0.25, beta=0.5)


def alone(*, dtype: type = np.float32, opset: int = 17, op: HardSigmoid = GATE) -> Callable[[Draw], Graph]:
    """A hard sigmoid of x that is a graph output."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=opset)
        x = b.input("x", shape=("N", 3, "H", "W"), dtype=DataType.of(np.dtype(dtype)))
        b.output(b.add(op, x, node="gate"), name="y")
        return b.build()

    return build


def fused(op: Convolution, *shape: int, bias: bool = True) -> Callable[[Draw], Graph]:
    """A convolution from 4 to 6 channels with a hard sigmoid."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        operands = [draw.weight(*shape), *([draw.weight(6)] if bias else [])]
        activated = replace(op, activation=GATE)
        b.output(b.add(activated, b.input("x", shape=("N", 4, "H", "W")), *operands, node="conv"), name="y")
        return b.build()

    return build


EXAMPLES = {
    "alone": alone(),
    "another line": alone(op=HardSigmoid(alpha=0.5, beta=-0.25)),
    "old opset": alone(opset=9),
    "half": alone(dtype=np.float16),
    "double": alone(dtype=np.float64),
    "fused": fused(Conv.of(2, pads=1), 6, 4, 3, 2),
    "fused, no bias": fused(Conv.of(2), 6, 4, 1, 1, bias=False),
    "fused, transposed": fused(ConvTranspose.of(2, strides=2), 4, 6, 2, 3),
}

NEAR_MISSES: dict[str, Sequence[Callable[[Draw], Graph]]] = {}
