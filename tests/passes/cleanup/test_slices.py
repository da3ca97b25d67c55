"""What a Slice or Pad leaves out."""

import numpy as np

from convgraph.ir.build import GraphBuilder
from convgraph.ir.ops import Pad, Relu, Slice
from convgraph.passes.cleanup.slices import left_out


def test_only_what_takes_a_part_leaves_anything_out() -> None:
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", 4, 7))
    cropped = b.add(Pad(), x, np.array([0, -1, 0, 0, 0, -2]))
    cut = b.add(Slice(), x, np.array([1]), np.array([-2]), np.array([2]))
    other = b.add(Relu(), x)
    for value in (cropped, cut, other):
        b.output(value)
    graph = b.build()
    assert left_out(graph, cropped.node) == {0: (0, 0), 1: (1, 0), 2: (0, 2)}
    assert left_out(graph, cut.node) == {2: (1, 2)}
    assert left_out(graph, other.node) is None
