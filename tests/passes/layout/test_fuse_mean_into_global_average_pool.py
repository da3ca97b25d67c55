"""Tables for fuse-mean-into-global-average-pool."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, ReduceMean, ReduceSum, Reduction
from convgraph.ir.tensor import DataType
from convgraph.passes import FuseMeanIntoGlobalAveragePool, Pipeline


def mean(
    *axes: int,
    op: Reduction | None = None,
    spatial: Sequence[int] = (8, 4),
    kept: bool = True,
    opset: int = 18,
    given: bool = False,
    dtype: type = np.float32,
    bare: bool = False,
) -> Callable[[Draw], Graph]:
    """The mean along some axes of a convolution's result, 16 channels of 2ᵏ elements.

    ``given`` lets a caller override the axes; ``bare``: of the input itself.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=opset)
        rank = len(spatial)
        y = b.input("x", shape=("N", 16, *spatial), dtype=DataType.of(np.dtype(dtype)))
        if not bare:
            y = b.add(Conv.of(rank), y, draw.weight(16, 16, *(1,) * rank, dtype=dtype))
        numbers = np.asarray(axes, np.int64)
        operand = b.overridable("axes", numbers) if given else b.constant(numbers)
        b.output(b.add(op or ReduceMean(keepdims=int(kept)), y, operand, node="mean"), name="y")
        return b.build()

    return build


EXAMPLES = {
    "kept": mean(2, 3),
    "dropped": mean(2, 3, spatial=(32, 16), kept=False),
    "counted from the end": mean(-1, -2),
    "axes as an attribute": mean(2, 3, opset=17),
    "large": mean(2, 3, spatial=(32, 16)),
}

NEAR_MISSES = {
    "it_is_along_all_spatial_axes": [mean(2), mean(1, 2, 3), mean(0, 2, 3), mean(1, 3, kept=False)],
    "it_is_cheaper_on_the_target": [mean(2, 3, bare=True)],
}


@pytest.mark.parametrize(
    "other", [mean(2, 3, op=ReduceSum()), mean(2, 3, given=True), mean(2, 3, dtype=np.int32, bare=True)]
)
def test_anything_else_is_left_alone(other: Callable[[Draw], Graph]) -> None:
    _, trace = Pipeline([FuseMeanIntoGlobalAveragePool()]).run(other(Draw(dyadic=True)))
    assert not trace.applications
    assert not trace.refusals
