"""Tables for lower-depth-to-space-to-transpose."""

from collections.abc import Callable

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import DepthToSpace, Relu
from convgraph.ir.tensor import DataType, Dim


def shuffled(
    *, blocksize: int = 2, mode: str = "CRD", shape: tuple[Dim, ...], dtype: type = np.float32
) -> Callable[[Draw], Graph]:
    """A DepthToSpace of x, and a Relu of it."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=shape, dtype=DataType.of(np.dtype(dtype)))
        y = b.add(DepthToSpace(blocksize=blocksize, mode=mode), x, name="shuffled")
        b.output(b.add(Relu(), y), name="y")
        return b.build()

    return build


EXAMPLES = {
    "CRD": shuffled(shape=("N", 12, "H", "W")),
    "DCR": shuffled(mode="DCR", shape=("N", 12, "H", "W")),
    "blocks of 3": shuffled(blocksize=3, mode="DCR", shape=("N", 18, "H", 4)),
    "static": shuffled(shape=("N", 8, 5, 7)),
    "static DCR": shuffled(mode="DCR", shape=(2, 8, 5, 7)),
    "unknown sizes": shuffled(shape=("N", 8, "H", 7)),
    "double": shuffled(shape=("N", 8, "H", "W"), dtype=np.float64),
}

NEAR_MISSES = {
    "the_number_of_channels_is_known": [
        # C is only known when the model runs.
        shuffled(shape=("L", "C", "H", "W")),
    ],
}
