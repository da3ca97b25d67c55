"""Tables for associate-matmuls."""

from collections.abc import Callable

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import MatMul, Relu
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import AssociateMatmuls, Pipeline

Shape = tuple[Dim, ...]


def product(
    *shapes: Shape,
    left: bool = True,
    constant: str = "",
    returned: bool = False,
    dtype: type = np.float32,
) -> Callable[[Draw], Graph]:
    """The product of three matrices, the first two multiplied first, or else not.

    The letters in ``constant`` are those of "abc" that are constant, the others are inputs; ``returned``
    makes the inner product an output, too.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        factors: list[Value] = []
        for name, shape in zip("abc", shapes, strict=True):
            if name in constant:
                drawn = draw.weight(*(int(size or 1) for size in shape), dtype=dtype)
                factors.append(b.constant(drawn, name=name))
            else:
                factors.append(b.input(name, shape=shape, dtype=DataType.of(np.dtype(dtype))))
        first, second, third = factors
        inner = b.add(MatMul(), *((first, second) if left else (second, third)))
        result = b.add(MatMul(), *((inner, third) if left else (first, inner)))
        if returned:
            b.output(inner, name="inner")
        b.output(b.add(Relu(), result), name="y")
        return b.build()

    return build


GRAPH = ((7, 7), ("N", 7, 5), (5, 3))

EXAMPLES = {
    "fewer channels come out": product(*GRAPH, constant="ac"),
    "more channels come out": product((7, 7), ("N", 7, 3), (3, 5), left=False, constant="ac"),
    "vertices last": product((5, 3), ("N", 3, 7), (7, 7), constant="ac", left=True),
    "nothing constant": product((2, 1, 6, 4), (3, 4, 5), (2, 1, 5, 2)),
    "a matrix and stacks": product(("N", 6, 4), (4, 5), (3, 1, 5, 2)),
    "open sizes": product(("H", "H"), ("N", "H", 5), (5, 1)),
    "a column": product((6, 4), (4, 5), (5, 1), constant="a"),
    "a row": product((1, 6), (6, 4), (4, 5), left=False),
    "half": product(*GRAPH, constant="ac", dtype=np.float16),
    "double": product(*GRAPH, constant="ac", dtype=np.float64),
}

NEAR_MISSES = {
    "all_are_matrices": [
        product((6, 4), (3, 4, 6), (6,)),
        product((6,), (3, 6, 4), (3, 4, 5), left=False),
    ],
    "nothing_else_reads_the_inner_product": [product(*GRAPH, constant="ac", returned=True)],
    "it_is_cheaper_on_the_target": [
        product((7, 7), ("N", 7, 3), (3, 5), constant="ac"),
        product(*GRAPH, constant="ac", left=False),
        product((5, 5), ("N", 5, 5), (5, 5), constant="ac"),
    ],
}


def test_a_chain_of_many_comes_to_the_cheapest_end() -> None:
    """A column at the end of five matrices: each product becomes one with a column."""
    b = GraphBuilder("g", opset=17)
    y = b.input("m0", shape=(6, 6))
    for number, columns in enumerate((6, 6, 6, 1), start=1):
        y = b.add(MatMul(), y, b.input(f"m{number}", shape=(6, columns)))
    b.output(y, name="y")
    result, _ = Pipeline([AssociateMatmuls()]).run(b.build())
    assert [result.type(Value(node, 0)).shape for node in result.compute_nodes()] == [(6, 1)] * 4
