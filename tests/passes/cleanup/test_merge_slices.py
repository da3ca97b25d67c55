"""Tables for merge-slices."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Abs, Neg, Relu, Slice
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import Pipeline
from convgraph.passes.cleanup.merge_slices import MergeSlices

END = 2**63 - 1


def chunks(
    *cuts: tuple[int, int],
    axis: int = 1,
    other: int | None = None,
    step: int = 1,
    size: Sequence[Dim] = ("N", 6, "H", "W"),
    dtype: type = np.float32,
    returned: bool = False,
) -> Callable[[Draw], Graph]:
    """Slices (start, end) of x, each read by a function; ``other`` is the axis of the last one.

    ``returned`` makes the first slice an output, too.
    """

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=size, dtype=DataType.of(np.dtype(dtype)))
        axes = [axis] * (len(cuts) - 1) + [axis if other is None else other]
        for number, (cut, along) in enumerate(zip(cuts, axes, strict=True)):
            taken = b.add(Slice(), x, *(np.array([n]) for n in (*cut, along, step)))
            b.output(b.add((Relu(), Neg(), Abs())[number], taken), name=f"y{number}")
            if returned and number == 0:
                b.output(taken, name="first")
        return b.build()

    return build


EXAMPLES = {
    "two halves": chunks((0, 3), (3, 6)),
    "three, out of order": chunks((4, END), (0, 1), (1, 4)),
    "from the end": chunks((0, -2), (-2, END), axis=-3),
    "columns, one returned": chunks((0, 2), (2, 5), axis=3, size=("N", 6, "H", 5), returned=True),
    "whole numbers, 1-D": chunks((0, 3), (3, 6), size=("N", 6, "L"), dtype=np.int64),
    "half": chunks((0, 3), (3, 6), dtype=np.float16),
    "double": chunks((0, 3), (3, 6), dtype=np.float64),
}

NEAR_MISSES = {"the_sizes_are_known": [chunks((0, 3), (3, END), axis=2)]}


@pytest.mark.parametrize(
    "other",
    [
        chunks((0, 3), (4, 6)),
        chunks((0, 3), (3, 5)),
        chunks((0, 3), (2, 6)),
        chunks((1, 3), (3, 6)),
        chunks((0, 6)),
        chunks((0, 2), (2, 4), (0, 6)),
        chunks((0, 3), (3, END), other=2),
        chunks((0, 3), (3, 6), step=2),
        chunks((0, 0), (0, 3), (4, 6)),
    ],
)
def test_slices_that_are_not_all_parts_are_left(other: Callable[[Draw], Graph]) -> None:
    assert not Pipeline([MergeSlices()]).run(other(Draw(dyadic=True)))[1].applications
