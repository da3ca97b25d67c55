"""Tables for fuse-slices-into-wrap-pad."""

from collections.abc import Callable, Sequence

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Concat, Relu, Slice
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import FuseSlicesIntoWrapPad, Pipeline

END = 2**63 - 1
Taken = tuple[int, int]


def wrapped(
    *parts: Taken | None,
    axis: int = -1,
    size: Sequence[Dim] = ("N", 3, 4, 7),
    dtype: type = np.float32,
    step: int = 1,
    turned: bool = False,
    computed: bool = False,
    returned: bool = False,
    opset: int = 19,
) -> Callable[[Draw], Graph]:
    """Slices (start, end) of x along an axis joined with x itself, which None stands for.

    ``turned`` makes the slices turn the channels round; ``computed`` lets a caller override where they start;
    ``returned`` makes the first of them a graph output.
    """

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=opset)
        x = b.input("x", shape=size, dtype=DataType.of(np.dtype(dtype)))
        y = b.add(Relu(), x) if np.issubdtype(dtype, np.floating) else x
        taken: list[Value] = []
        for part in parts:
            if part is None:
                taken.append(y)
                continue
            cut = [(*part, axis, step), *([(-1, -END, 1, -1)] if turned else [])]
            numbers: list[Operand] = [np.array(number) for number in zip(*cut, strict=True)]
            if computed:
                numbers[0] = b.overridable("starts", np.array([part[0]]))
            taken.append(b.add(Slice(), y, *numbers))
        if returned:
            b.output(taken[0], name="slice")
        b.output(b.add(Concat(axis=axis), *taken), name="joined")
        return b.build()

    return build


EXAMPLES = {
    "a column on either side": wrapped((6, 7), None, (0, 1)),
    "two from the end, one from the begin": wrapped((-2, END), None, (0, 1)),
    "begins before the first": wrapped((5, 9), None, (-9, 2)),
    "behind alone": wrapped(None, (0, 3)),
    "before alone, a whole turn": wrapped((0, 7), None),
    "rows": wrapped((-1, END), None, (0, 2), axis=2),
    "open size": wrapped((-1, END), None, (0, 1), size=("N", 3, 4, "W")),
    "1-D": wrapped((-2, END), None, (0, 2), size=("N", 3, 6)),
    "3-D": wrapped((4, 5), None, (0, 1), axis=3, size=("N", 2, 3, 5, 4)),
    "whole numbers": wrapped((6, 7), None, (0, 1), dtype=np.int64),
    "one slice stays": wrapped((6, 7), None, (0, 1), returned=True),
    "double": wrapped((6, 7), None, (0, 1), dtype=np.float64),
}

NEAR_MISSES = {
    "each_slice_is_of_the_other_side": [
        wrapped((5, 6), None, (0, 1)),
        wrapped((0, 1), None, (6, 7)),
        wrapped(None, (1, 2)),
        wrapped((3, 7), None, step=2),
        wrapped((-5, END), None, (0, 1), size=("N", 3, 4, "W")),  # of which there may be four
        wrapped((-1, END), None, (0, 6), size=("N", 3, 4, "W")),
        wrapped((-1, END), None, (0, 1), turned=True),
        wrapped((6, 7), None, computed=True),
    ],
    "a_slice_goes": [wrapped((6, 7), None, returned=True)],
}


def test_a_model_without_such_a_pad_is_left() -> None:
    for graph in (wrapped((6, 7), None, (0, 1), opset=18), wrapped((6, 7), None, dtype=np.int16)):
        assert not Pipeline([FuseSlicesIntoWrapPad()]).run(graph(Draw(dyadic=True)))[1].applications


def test_a_value_beside_itself_is_no_pad() -> None:
    _, trace = Pipeline([FuseSlicesIntoWrapPad()]).run(wrapped(None, None)(Draw(dyadic=True)))
    assert not trace.applications
    assert not trace.refusals
