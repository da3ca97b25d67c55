"""What is a part of what, along which axis."""

import numpy as np

from convgraph.ir.build import GraphBuilder
from convgraph.ir.ops import Split
from convgraph.passes.cleanup.parts import part


def test_a_piece_is_a_part_along_the_axis_of_its_split_alone() -> None:
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=(2, 6, 8))
    pieces = b.add_all(Split(axis=-1), x, np.array([3, 5]), names=("left", "right"))
    b.output(pieces[0])
    graph = b.build()
    found = part(graph, pieces[1], 2)
    assert found is not None
    assert (found.start, found.end) == (3, None)
    assert part(graph, pieces[1], 1) is None
