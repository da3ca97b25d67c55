"""How Transposes are weighed against each other."""

import pytest

from convgraph.ir.build import GraphBuilder
from convgraph.ir.tensor import Dim
from convgraph.passes.fusion.fewest_transposes import transposed_elements


@pytest.mark.parametrize(
    ("sizes", "count"), [((), 1), ((1, 8), 8), ((3, 3), 9), ((2, "H", 5), 640), (("N", None), 4096)]
)
def test_open_sizes_are_taken_to_be_of_some_elements(sizes: tuple[Dim, ...], count: int) -> None:
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=sizes)
    b.output(x, name="y")
    assert transposed_elements(b.build(), x) == count
