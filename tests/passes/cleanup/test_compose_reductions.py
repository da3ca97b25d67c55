"""Tables for compose-reductions."""

from collections.abc import Callable, Sequence

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Op, ReduceL2, ReduceMax, ReduceMean, ReduceMin, ReduceProd, ReduceSum
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import Pipeline
from convgraph.passes.cleanup.compose_reductions import ComposeReductions


def reduced(
    first: Op,
    axes: Sequence[int] | None,
    second: Op,
    others: Sequence[int] | None,
    *,
    size: Sequence[Dim] = ("N", 2, 4, 8),
    dtype: type = np.float32,
    given: bool = False,
    returned: bool = False,
) -> Callable[[Draw], Graph]:
    """A reduction of a reduction of x; ``given`` lets a caller override the axes of the first."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=18)
        x = b.input("x", shape=size, dtype=DataType.of(np.dtype(dtype)))
        named: list[Operand] = [] if axes is None else [np.array(axes, np.int64)]
        if given:
            named = [b.overridable("axes", np.array(axes, np.int64))]
        between = b.add(first, x, *named)
        b.output(b.add(second, between, *([] if others is None else [np.array(others, np.int64)])), name="y")
        if returned:
            b.output(between)
        return b.build()

    return build


MEAN, GONE = ReduceMean(), ReduceMean(keepdims=0)

EXAMPLES = {
    "columns, then rows": reduced(MEAN, (3,), MEAN, (2,)),
    "axes gone": reduced(GONE, (2,), GONE, (2,)),
    "axes gone, from the end": reduced(GONE, (-1,), GONE, (-1, 1)),
    "the same axis again": reduced(MEAN, (2, 3), MEAN, (3, 1)),
    "open size": reduced(ReduceSum(), (3,), ReduceSum(), (2,), size=("N", 3, "H", "W")),
    "all that is left": reduced(ReduceMax(), (3,), ReduceMax(), None),
    "nothing first": reduced(ReduceMean(noop_with_empty_axes=1), None, MEAN, (2, 3)),
    "smallest, whole numbers": reduced(
        ReduceMin(keepdims=0), (1,), ReduceMin(keepdims=0), (0,), dtype=np.int64
    ),
    "product, double": reduced(ReduceProd(), (3,), ReduceProd(), (1,), size=("N", 2, 3, 2), dtype=np.float64),
    "half": reduced(MEAN, (2,), MEAN, (1,), size=("N", 2, 4), dtype=np.float16),
}

NEAR_MISSES = {
    "the_axes_are_constant": [reduced(MEAN, (3,), MEAN, (2,), given=True)],
    "both_treat_the_axes_alike": [reduced(MEAN, (3,), GONE, (2,)), reduced(GONE, (1,), MEAN, (2,))],
    "nothing_is_rounded_between": [reduced(MEAN, (3,), MEAN, (2,), dtype=np.int32)],
    "nothing_else_reads_the_inner_one": [reduced(MEAN, (3,), MEAN, (2,), returned=True)],
}


def test_other_reductions_are_left() -> None:
    for first, second in ((MEAN, ReduceSum()), (ReduceL2(), ReduceL2())):
        graph = reduced(first, (3,), second, (2,))(Draw(dyadic=True))
        assert not Pipeline([ComposeReductions()]).run(graph)[1].applications
