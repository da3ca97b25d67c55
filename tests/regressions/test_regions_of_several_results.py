"""A region reads two results of one operation: the Input that stands for it has two."""

import numpy as np

from convgraph.ir.build import GraphBuilder
from convgraph.ir.ops import Add, Split
from convgraph.numerics.evaluate import evaluate


def test_each_result_is_fed_by_its_name() -> None:
    b = GraphBuilder("halves")
    x = b.input("x", shape=(2, 6))
    parts = b.add_all(Split(axis=1, num_outputs=2), x, names=("left", "right"))
    y = b.add(Add(), *parts)
    b.output(y, name="y")
    graph = b.build()
    region = graph.region([y.node])
    left, right = (region.value_name(value) for value in region.inputs)
    halves = np.arange(6.0).reshape(2, 3), np.full((2, 3), 0.5)
    result = evaluate(region, {left: halves[0], right: halves[1]})
    assert np.array_equal(result["y"], halves[0] + halves[1])
