"""Tables for fuse-reshape-into-reduction."""

from collections.abc import Callable, Sequence

import numpy as np
from laws.draw import Draw

from convgraph.ir import ops
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Flatten, Op, ReduceMax, ReduceMean, ReduceSum, Relu, Reshape, Squeeze, Unsqueeze
from convgraph.ir.tensor import DataType, Dim


def reshaped(
    reduction: Op,
    axes: Sequence[int] | None,
    reshape: Op,
    numbers: Sequence[int] | None,
    *,
    size: Sequence[Dim] = ("N", 3, 4, 8),
    dtype: type = np.float32,
    returned: bool = False,
    read: bool = False,
) -> Callable[[Draw], Graph]:
    """A reduction of x along ``axes`` and what reshapes it; it may be ``returned`` itself, or ``read``."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=18)
        x = b.input("x", shape=size, dtype=DataType.of(np.dtype(dtype)))
        reduced = b.add(reduction, x, *([] if axes is None else [np.array(axes, np.int64)]), node="reduced")
        operands = [] if numbers is None else [np.array(numbers, np.int64)]
        b.output(b.add(reshape, reduced, *operands), name="y")
        if returned:
            b.output(reduced)
        if read:
            b.output(b.add(Relu(), reduced), name="z")
        return b.build()

    return build


GONE = ReduceMean(keepdims=0)
OPEN = ("N", 3, "H", "W")

EXAMPLES = {
    "squeeze": reshaped(ReduceMean(), (2, 3), Squeeze(), (2, 3)),
    "squeeze, counted from the end, open size": reshaped(
        ReduceSum(), (-1, 2), Squeeze(), (-2, -1), size=OPEN
    ),
    "flatten": reshaped(ReduceMean(), (2, 3), Flatten(), None),
    "reshape": reshaped(ReduceMean(), (2, 3), Reshape(), (-1, 3)),
    "reshape that copies": reshaped(ReduceMax(), (3,), Reshape(), (0, 3, 0), size=("N", 3, "H", 5)),
    "unsqueeze": reshaped(GONE, (2, 3), Unsqueeze(), (2, 3)),
    "unsqueeze, open size": reshaped(ops.ReduceMin(keepdims=0), (1,), Unsqueeze(), (1,), size=OPEN),
    "reshape back": reshaped(GONE, (1, 2), Reshape(), (0, 1, 1, 8)),
    "everything": reshaped(ops.ReduceSum(), None, Reshape(), ()),
    "whole numbers": reshaped(ReduceSum(), (1,), Squeeze(), (1,), dtype=np.int64),
    "1-D, double": reshaped(ReduceMean(), (2,), Squeeze(), None, size=(2, 3, 4), dtype=np.float64),
}

NEAR_MISSES = {
    "only_the_axes_reduced_come_or_go": [
        reshaped(ReduceMean(), (2, 3), Squeeze(), (2,)),
        reshaped(ReduceMean(), (2, 3), Reshape(), (0, 1, 3)),
        reshaped(ReduceMean(), (2,), Flatten(), None),
        reshaped(GONE, (2,), Unsqueeze(), (3,)),
        reshaped(GONE, (2, 3), Unsqueeze(), (2,)),
    ],
    "nothing_else_reads_the_reduction": [
        reshaped(ReduceMean(), (2, 3), Squeeze(), (2, 3), returned=True),
        reshaped(GONE, (2, 3), Unsqueeze(), (2, 3), read=True),
    ],
}
