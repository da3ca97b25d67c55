"""Tables for lower-space-to-depth-to-transpose."""

from collections.abc import Callable, Sequence

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import DepthToSpace, Relu, SpaceToDepth
from convgraph.ir.tensor import DataType, Dim


def squeezed(
    *shape: Dim, blocksize: int = 2, grown: bool = False, dtype: type = np.float32
) -> Callable[[Draw], Graph]:
    """A SpaceToDepth of x, or of the ``grown`` pixels of its channels, and a Relu of it."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=shape, dtype=DataType.of(np.dtype(dtype)))
        if grown:
            x = b.add(DepthToSpace(blocksize=blocksize), x, name="grown")
        b.output(b.add(Relu(), b.add(SpaceToDepth(blocksize=blocksize), x, name="squeezed")), name="y")
        return b.build()

    return build


EXAMPLES = {
    "static": squeezed("N", 3, 4, 6),
    "blocks of 3": squeezed("N", 2, 6, 9, blocksize=3),
    "one size unknown": squeezed("N", 8, "H", 5, grown=True),
    "another size unknown": squeezed("N", 18, 4, "W", blocksize=3, grown=True),
    "sizes unknown": squeezed("N", 12, "H", "W", grown=True),
    "unknown channels": squeezed("N", "L", 4, 6),
    "double": squeezed("N", 3, 4, 6, dtype=np.float64),
    "integers": squeezed("N", 8, "H", "W", grown=True, dtype=np.int32),
}

NEAR_MISSES: dict[str, Sequence[Callable[[Draw], Graph]]] = {}
