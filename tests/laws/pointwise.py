"""What is made of a value element by element, for rewrites that recover an activation from arithmetic."""

from collections.abc import Callable, Sequence

import numpy as np

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.tensor import DataType, Dim
from laws.draw import Draw

Steps = Callable[[GraphBuilder, Value], Sequence[Value]]


def made_of(
    steps: Steps,
    *,
    shape: Sequence[Dim] = ("N", 4, "H", "W"),
    dtype: type = np.float32,
    returned: int | None = None,
    opset: int = 17,
) -> Callable[[Draw], Graph]:
    """What ``steps`` make of x; the last is returned, and the one numbered ``returned`` too."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=opset)
        made = steps(b, b.input("x", shape=shape, dtype=DataType.of(np.dtype(dtype))))
        b.output(made[-1], name="y")
        if returned is not None:
            b.output(made[returned], name="z")
        return b.build()

    return build
