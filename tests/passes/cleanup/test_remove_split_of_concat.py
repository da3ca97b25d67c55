"""Tables for remove-split-of-concat."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Abs, Concat, Neg, Relu, Split
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import Pipeline
from convgraph.passes.cleanup.remove_split_of_concat import RemoveSplitOfConcat


def taken_apart(
    pieces: Sequence[int] = (4, 4),
    *,
    axes: tuple[int, int] = (1, 1),
    size: Sequence[Dim] = ("N", 4, "H", "W"),
    dtype: type = np.float32,
    returned: str = "",
) -> Callable[[Draw], Graph]:
    """A Split of x and a function of it, joined; the ``pieces`` are read by other functions.

    ``returned`` are words for what is returned: "joined", the Concat, or a "piece".
    """

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=size, dtype=DataType.of(np.dtype(dtype)))
        joined = b.add(Concat(axis=axes[0]), x, b.add(Relu(), x))
        made = b.add_all(Split(axis=axes[1]), joined, np.array(pieces), names=("",) * len(pieces))
        for number, piece in enumerate(made):
            b.output(b.add((Abs(), Neg(), Relu())[number], piece), name=f"y{number}")
        for word in returned.split():
            b.output(joined if word == "joined" else made[0])
        return b.build()

    return build


EXAMPLES = {
    "channels": taken_apart(),
    "one counted from the end": taken_apart(axes=(-3, 1)),
    "columns": taken_apart((7, 7), axes=(3, -1), size=("N", 4, "H", 7)),
    "joined for something else, too": taken_apart(returned="joined"),
    "half": taken_apart(dtype=np.float16),
    "1-D, double": taken_apart(size=("N", 4, "L"), dtype=np.float64),
}

NEAR_MISSES = {"the_names_of_the_interface_stay": [taken_apart(returned="piece joined")]}


@pytest.mark.parametrize(
    "other",
    [
        taken_apart((3, 5)),
        taken_apart((4, 1, 3)),
        taken_apart((2, 2), axes=(2, 1)),
    ],
)
def test_other_pieces_are_left(other: Callable[[Draw], Graph]) -> None:
    assert not Pipeline([RemoveSplitOfConcat()]).run(other(Draw(dyadic=True)))[1].applications
