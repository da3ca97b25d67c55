"""Tables for remove-concat-of-parts."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Concat, Relu, Slice, Split
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import Pipeline
from convgraph.passes.cleanup.remove_concat_of_parts import RemoveConcatOfParts

END = 2**63 - 1


def rejoined(
    *cuts: tuple[int, int] | str,
    pieces: Sequence[int] = (),
    order: Sequence[int] = (),
    axis: int = 1,
    along: int | None = None,
    size: Sequence[Dim] = ("N", 4, "H", "W"),
    step: int = 1,
    dtype: type = np.float32,
    bare: bool = False,
    returned: bool = False,
) -> Callable[[Draw], Graph]:
    """Slices (start, end) of x, or "x" itself, or the ``pieces`` of a Split in an ``order``, joined.

    ``along`` is the axis of the Concat where it is another one; ``bare``: nothing follows it; ``returned``
    makes the first of what it joins an output.
    """

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=size, dtype=DataType.of(np.dtype(dtype)))
        parts: list[Value] = []
        if pieces:
            made = b.add_all(Split(axis=axis), x, np.array(pieces), names=("",) * len(pieces))
            parts = [made[place] for place in order or range(len(pieces))]
        for cut in cuts:
            numbers = [] if cut == "x" else [np.array([n]) for n in (*cut, axis, step)]
            parts.append(b.add(Slice(), x, *numbers) if numbers else x)
        y = b.add(Concat(axis=axis if along is None else along), *parts)
        b.output(y if bare else b.add(Relu(), y), name="y")
        if returned:
            b.output(parts[0], name="part")
        return b.build()

    return build


EXAMPLES = {
    "split": rejoined(pieces=(1, 3)),
    "split, counted from the end": rejoined(pieces=(2, 1, 1), axis=-3, along=1),
    "joined, counted from the end": rejoined(pieces=(2, 1, 1), axis=1, along=-3),
    "split along columns": rejoined(pieces=(3, 2), axis=3, size=("N", 4, "H", 5)),
    "slices": rejoined((0, 1), (1, 3), (3, END)),
    "slices, from the end": rejoined((-4, 1), (1, -1), (-1, 9)),
    "slices of open size": rejoined((0, 4), (4, END), axis=2),
    "something before": rejoined("x", (0, 1), (1, END), "x"),
    "more of it behind": rejoined((1, 2), (0, 1), (1, 4), (2, 3)),
    "between an input and an output": rejoined(pieces=(1, 3), bare=True),
    "half": rejoined((0, 1), (1, 4), dtype=np.float16),
    "1-D": rejoined(pieces=(2, 2), size=("N", 4, "L")),
    "double": rejoined(pieces=(1, 2, 1), dtype=np.float64, returned=True),
}

NEAR_MISSES: dict[str, list[Callable[[Draw], Graph]]] = {}


@pytest.mark.parametrize(
    "other",
    [
        rejoined(pieces=(1, 3), order=(1, 0)),
        rejoined(pieces=(2, 2), along=2),
        rejoined(pieces=(1, 1, 2), order=(0, 2)),
        rejoined((0, 1), (2, 4)),
        rejoined((0, 1), (1, 3)),
        rejoined((0, 2), (1, 4)),
        rejoined((0, 4), (3, END), axis=2),
        rejoined((0, -1), (-1, END), axis=2),
        rejoined((0, 2), (2, 4), step=2),
        rejoined((0, 4), "x"),
    ],
)
def test_parts_that_are_not_the_whole_are_left(other: Callable[[Draw], Graph]) -> None:
    assert not Pipeline([RemoveConcatOfParts()]).run(other(Draw(dyadic=True)))[1].applications


def test_parts_of_sizes_that_are_not_known_are_left() -> None:
    b = GraphBuilder("g", opset=18)
    x = b.input("x", shape=("N", 4, "H", "W"))
    pieces = b.add_all(Split(axis=2, num_outputs=2), x, names=("", ""))
    b.output(b.add(Concat(axis=2), *pieces), name="y")
    assert not Pipeline([RemoveConcatOfParts()]).run(b.build())[1].applications
