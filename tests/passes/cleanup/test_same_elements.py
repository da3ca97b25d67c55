"""How the same elements are given another shape in one operation."""

import numpy as np
import pytest

from convgraph.ir.build import GraphBuilder
from convgraph.ir.ops import Op, Reshape, Squeeze, Unsqueeze
from convgraph.ir.tensor import Dim
from convgraph.passes.cleanup.same_elements import arrangement


@pytest.mark.parametrize(
    ("before", "target", "op"),
    [
        (("N", 4, 6), (0, 24), Reshape()),
        (("N", 4, 6), (-1, 24), Reshape()),
        (("N", 4, "L"), (0, -1), Reshape()),
        ((2, 4, 6), (8, 6), Reshape()),
        (("N", 4, 6), (0, 4, 1, 6), Unsqueeze()),
        (("N", 1, 6), (0, 6), Squeeze()),
        (("N", 4, "L"), (0, 4, -1), None),
    ],
)
def test_one_operation_does(before: tuple[Dim, ...], target: tuple[int, ...], op: Op | None) -> None:
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=before)
    y = b.add(Reshape(), x, np.array(target))
    b.output(y)
    found = arrangement(b.build(), x, y)
    assert found is not None
    assert found.op == op
