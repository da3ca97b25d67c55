"""Reshape, Transpose, Reshape, for rewrites that recover what they mean."""

from collections.abc import Callable, Sequence

import numpy as np

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Relu, Reshape, Transpose
from convgraph.ir.tensor import DataType, Dim
from laws.draw import Draw


def rearranged(
    *x: Dim,
    apart: Sequence[int],
    perm: Sequence[int],
    together: Sequence[int],
    dtype: type = np.float32,
    opset: int = 17,
    returned: str = "",
) -> Callable[[Draw], Graph]:
    """An image whose axes are split, permuted and joined; "split" or "mixed", the steps, may be returned."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=opset)
        data = b.input("x", shape=x, dtype=DataType.of(np.dtype(dtype)))
        steps = {"split": b.add(Reshape(), data, np.array(apart, np.int64), name="split")}
        steps["mixed"] = b.add(Transpose(perm=tuple(perm)), steps["split"], name="mixed")
        y = b.add(Reshape(), steps["mixed"], np.array(together, np.int64))
        b.output(b.add(Relu(), y), name="y")
        if returned:
            b.output(steps[returned], name=returned)
        return b.build()

    return build
