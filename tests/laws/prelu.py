"""A PRelu, for the rewrites of it."""

from collections.abc import Callable, Sequence

import numpy as np

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import PRelu
from convgraph.ir.tensor import DataType, Dim
from laws.draw import Draw


def sloped(
    slope: np.ndarray,
    *,
    dtype: type = np.float32,
    shape: Sequence[Dim] = ("N", 4, "H", "W"),
    given: str = "",
    opset: int = 17,
) -> Callable[[Draw], Graph]:
    """A PRelu of x of a shape; ``given`` makes the slope "overridable" by a caller, or "computed"."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=opset)
        kind, array = DataType.of(np.dtype(dtype)), slope.astype(dtype)
        x = b.input("x", shape=shape, dtype=kind)
        if given == "overridable":
            b.output(b.add(PRelu(), x, b.overridable("slope", array)), name="y")
        elif given == "computed":
            b.output(b.add(PRelu(), x, b.input("slope", shape=array.shape, dtype=kind)), name="y")
        else:
            b.output(b.add(PRelu(), x, array), name="y")
        return b.build()

    return build
