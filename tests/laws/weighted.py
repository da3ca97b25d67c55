"""One convolution with a weight of a given structure, for rewrites that look at the weight."""

from collections.abc import Callable, Sequence

import numpy as np

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Convolution, ConvTranspose, Op, Relu
from convgraph.ir.tensor import Array, DataType, Dim
from laws.draw import Draw

Weight = Callable[[Draw], Array]


def convolved(
    op: Convolution,
    weight: Weight,
    *,
    spatial: Sequence[Dim] = (),
    bias: bool = True,
    dtype: type = np.float32,
    given: str = "",
    before: Op | None = None,
    channels: int | None = None,
    batch: Dim = "N",
) -> Callable[[Draw], Graph]:
    """``op`` of x (``batch``, C, …) with this weight, and a Relu of it.

    ``given`` makes the weight "overridable" by a caller, or "computed": a graph input. ``before`` is an
    operation between x, then of ``channels`` channels, and the convolution.
    """

    def build(draw: Draw) -> Graph:
        array = weight(draw).astype(dtype)
        transposed = isinstance(op, ConvTranspose)
        inside, outside = array.shape[:2] if transposed else array.shape[1::-1]
        inside, outside = (inside, outside * op.group) if transposed else (inside * op.group, outside)
        b = GraphBuilder("g", opset=17)
        size = tuple(spatial) or ("H", "W", 5)[: op.spatial_rank]
        kind = DataType.of(array.dtype)
        x = b.input("x", shape=(batch, channels or inside, *size), dtype=kind)
        x = x if before is None else b.add(before, x, name="before")
        if given == "overridable":
            w = b.overridable("weight", array)
        elif given == "computed":
            w = b.input("weight", shape=array.shape, dtype=kind)
        else:
            w = b.constant(array, name="weight")
        rest = [b.constant(draw.weight(outside, dtype=dtype), name="bias")] if bias else []
        b.output(b.add(Relu(), b.add(op, x, w, *rest, name="convolved", node="conv")), name="y")
        return b.build()

    return build
