"""Tables for compose-slices."""

from collections.abc import Callable, Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Relu, Slice
from convgraph.ir.ops.layout import Cut, python_slice
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import Pipeline
from convgraph.passes.cleanup.compose_slices import ComposeSlices, composed

END = 2**63 - 1
Taken = Sequence[tuple[int, int, int, int]]  # axis, start, end, step


def sliced(
    first: Taken,
    *others: Taken,
    size: Sequence[Dim] = ("N", 5, 9, 7),
    dtype: type = np.float32,
    given: bool = False,
    returned: bool = False,
    also_relu: bool = False,
) -> Callable[[Draw], Graph]:
    """Slices of a Slice of x; ``given`` lets a caller override where the first starts.

    ``returned`` makes the first a graph output, ``also_relu`` a Relu of it.
    """

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=size, dtype=DataType.of(np.dtype(dtype)))
        y = _slice(b, x, first, given=given)
        for number, other in enumerate(others):
            b.output(_slice(b, y, other), name=f"y{number}")
        if returned:
            b.output(y)
        if also_relu:
            b.output(b.add(Relu(), y))
        return b.build()

    return build


def _slice(b: GraphBuilder, x: Value, taken: Taken, *, given: bool = False) -> Value:
    axes, starts, ends, steps = (np.array(numbers, np.int64) for numbers in zip(*taken, strict=True))
    begin: Operand = b.overridable("starts", starts) if given else starts
    return b.add(Slice(), x, begin, ends, axes, *([steps] if (steps != 1).any() else []))


ROWS, OPEN = (2, 1, 8, 1), ("N", 5, "H", "W")

EXAMPLES = {
    "one axis": sliced([ROWS], [(2, 1, 4, 1)]),
    "two axes": sliced([ROWS], [(3, 2, END, 1)]),
    "two axes of open size": sliced([(2, -3, -1, 1)], [(3, 2, 4, 1)], size=OPEN),
    "two, then one": sliced([ROWS, (-1, 0, 5, 2)], [(2, -3, -1, 1), (1, 1, 3, 1)]),
    "steps": sliced([(2, 1, END, 2)], [(2, 1, END, 2)]),
    "steps, of open size": sliced([(2, 1, END, 2)], [(2, 1, END, 2)], size=OPEN),
    "turned round twice": sliced([(3, -1, -END, -1)], [(3, -1, -END, -1)]),
    "turned round, then cut": sliced([(3, -1, -END, -1)], [(3, 1, 4, 2)]),
    "counted from the end, then cut": sliced([(2, -6, -1, 1)], [(2, 1, 4, 1)]),
    "nothing left": sliced([ROWS], [(2, 7, END, 1)]),
    "one left": sliced([(3, 6, 0, -2)], [(3, -1, END, 1)]),
    "ends of open size": sliced([(2, 1, -1, 1)], [(2, 1, -1, 1)], size=OPEN),
    "begins of open size": sliced([(2, 1, 5, 1)], [(2, 1, 3, 1)], size=OPEN),
    "the rest of a part": sliced([(2, 1, 4, 1)], [(2, 1, END, 1)], size=OPEN),
    "a part of the rest": sliced([(2, 2, END, 1)], [(2, 1, 3, 1)], size=OPEN),
    "several": sliced([(2, 0, END, 2)], [(3, 0, END, 2)], [(3, 1, END, 2)], [(2, 1, END, 1)], size=OPEN),
    "whole numbers": sliced([ROWS], [(2, 1, 4, 1)], dtype=np.int64),
    "1-D, double": sliced([(1, 2, 6, 1)], [(1, 0, 2, 1)], size=("N", 9), dtype=np.float64),
    "half": sliced([(4, 1, END, 1)], [(1, 0, 2, 1)], size=("N", 5, 3, 2, 4), dtype=np.float16),
}

NEAR_MISSES = {
    "one_slice_takes_the_same": [
        sliced([(2, -2, END, 1)], [(2, 1, END, 1)], size=OPEN),
        sliced([(2, 1, 5, 1)], [(2, 0, -1, 1)], size=OPEN),
        sliced([(2, 0, -1, 1)], [(2, 0, 3, 1)], size=OPEN),
        sliced([(2, 0, 5, 2)], [(2, 1, END, 1)], size=OPEN),
        sliced([(2, -1, -END, -1)], [(2, 1, END, 1)], size=OPEN),
        sliced([ROWS], [(2, 1, 4, 1)], given=True),
    ],
    "the_graph_does_not_return_the_first": [sliced([ROWS], [(2, 1, 4, 1)], returned=True)],
}


def test_a_slice_that_something_else_reads_stays() -> None:
    graph = sliced([ROWS], [(2, 1, 4, 1)], also_relu=True)(Draw(dyadic=True))
    assert not Pipeline([ComposeSlices()]).run(graph)[1].applications


NUMBERS = st.integers(-9, 9) | st.sampled_from([END, -END])
STEPS = st.sampled_from([1, 2, 3, -1, -2])
CUTS = st.builds(Cut, NUMBERS, NUMBERS, STEPS)


@given(first=CUTS, second=CUTS, size=st.integers(0, 9), known=st.booleans())
def test_composed_takes_what_both_take(first: Cut, second: Cut, size: int, *, known: bool) -> None:
    both = composed(first, second, size=size if known else "H")
    places = range(size)[python_slice(first, size)]
    expected = list(places[python_slice(second, len(places))])
    assert both is not None or not known
    assert both is None or list(range(size)[python_slice(both, size)]) == expected
