"""Tables for commute-slice-with-concat."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Concat, Neg, Relu, Slice
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import Pipeline
from convgraph.passes.cleanup.commute_slice_with_concat import CommuteSliceWithConcat

END = 2**63 - 1


def cut(
    *cuts: tuple[int, int, int, int],
    axis: int = 1,
    size: Sequence[Dim] = ("N", 4, "H", "W"),
    dtype: type = np.float32,
    given: bool = False,
    returned: bool = False,
) -> Callable[[Draw], Graph]:
    """A Slice (axis, start, end, step) of x and two functions of it joined, each of 4 channels.

    ``given`` lets a caller override where it starts; ``returned`` makes what is joined an output.
    """

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=size, dtype=DataType.of(np.dtype(dtype)))
        joined = b.add(Concat(axis=axis), b.add(Relu(), x), x, b.add(Neg(), x))
        axes, starts, ends, steps = (np.array(numbers, np.int64) for numbers in zip(*cuts, strict=True))
        begin: Operand = b.overridable("starts", starts) if given else starts
        b.output(b.add(Slice(), joined, begin, ends, axes, steps), name="y")
        if returned:
            b.output(joined)
        return b.build()

    return build


EXAMPLES = {
    "all of the second": cut((1, 4, 8, 1)),
    "some of the last": cut((1, 9, END, 1)),
    "some of the first": cut((1, -12, 3, 1)),
    "turned round": cut((1, 6, 4, -1)),
    "turned round to the first": cut((1, 3, -END, -2)),
    "every other one": cut((-3, 4, 8, 2)),
    "other axes as well": cut((2, 1, END, 1), (1, 5, 7, 1)),
    "columns": cut((3, 6, 9, 1), axis=-1, size=("N", 4, "H", 5)),
    "joined for something else, too": cut((1, 5, 7, 1), returned=True),
    "whole numbers, 1-D": cut((1, 4, 7, 1), size=("N", 4, "L")),
    "half": cut((1, 4, 7, 1), dtype=np.float16),
    "double": cut((1, 4, 7, 1), dtype=np.float64),
}

NEAR_MISSES = {"everything_is_of_one_part": [cut((1, 3, 6, 1)), cut((1, 4, 4, 1)), cut((1, 11, 6, -2))]}


@pytest.mark.parametrize(
    "other",
    [
        cut((2, 1, 3, 1)),
        cut((1, 4, 8, 1), given=True),
        cut((2, 0, 2, 1), axis=2),
    ],
)
def test_other_slices_are_left(other: Callable[[Draw], Graph]) -> None:
    assert not Pipeline([CommuteSliceWithConcat()]).run(other(Draw(dyadic=True)))[1].applications
