"""Tables for lower-global-average-pool-to-reduce-mean."""

from collections.abc import Callable, Sequence

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import GlobalAveragePool, Relu
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import LowerGlobalAveragePoolToReduceMean, Pipeline


def pooled(
    *shape: Dim, known: bool = True, dtype: type = np.float32, opset: int = 17, returned: bool = False
) -> Callable[[Draw], Graph]:
    """The mean of each channel of x (2ᵏ elements), and a Relu of it unless it is ``returned``.

    Not ``known``: nothing is said of how many axes x has.
    """

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=opset)
        x = b.input("x", shape=tuple(shape) if known else None, dtype=DataType.of(np.dtype(dtype)))
        y = b.add(GlobalAveragePool(), x, node="pool")
        b.output(y if returned else b.add(Relu(), y), name="y")
        return b.build()

    return build


EXAMPLES = {
    "2-D": pooled("N", 3, 8, 4),
    "unknown channels": pooled("L", "H", 2, 8),
    "1-D": pooled("N", 3, 16),
    "3-D": pooled("N", 3, 2, 4, 8),
    "axes as an operand": pooled("N", 3, 8, 4, opset=18),
    "old opset": pooled("N", 3, 8, 4, opset=11),
    "half": pooled("N", 3, 8, 4, dtype=np.float16),
    "returned": pooled("N", 3, 8, 4, returned=True),
    "double": pooled("N", 3, 8, 4, dtype=np.float64),
}

NEAR_MISSES: dict[str, Sequence[Callable[[Draw], Graph]]] = {}


def test_a_pool_over_who_knows_how_many_axes_stays() -> None:
    graph = pooled(known=False)(Draw(dyadic=True))
    assert not Pipeline([LowerGlobalAveragePoolToReduceMean()]).run(graph)[1].applications
