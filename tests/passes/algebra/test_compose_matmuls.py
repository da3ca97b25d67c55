"""Tables for compose-matmuls."""

from collections.abc import Callable

from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Abs, MatMul
from convgraph.ir.tensor import Dim


def chain(
    *sizes: int, leading: tuple[Dim, ...] = ("N",), given: str = "", read: bool = False
) -> Callable[[Draw], Graph]:
    """x (leading…, sizes[0]) times a matrix for each further size.

    ``given`` makes the "first" or "second" matrix one that a caller may override; ``read``: a reader between.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        value: Value = b.input("x", shape=(*leading, sizes[0]))
        names = ("first", "second", "third")
        for name, rows, columns in zip(names, sizes, sizes[1:], strict=False):
            drawn = draw.weight(rows, columns)
            matrix = b.overridable(name, drawn) if name == given else b.constant(drawn, name=name)
            value = b.add(MatMul(), value, matrix)
            if read and name == "first":
                b.output(b.add(Abs(), value), name="z")
        b.output(b.add(Abs(), value), name="y")
        return b.build()

    return build


def shaped(first: tuple[int, ...], second: tuple[int, ...]) -> Callable[[Draw], Graph]:
    """x (N, 4, 4) times constants of these shapes."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=("N", 4, 4))
        product = b.add(MatMul(), b.add(MatMul(), x, draw.weight(*first)), draw.weight(*second))
        b.output(product, name="y")
        return b.build()

    return build


EXAMPLES = {
    "square": chain(4, 4, 4),
    "three": chain(4, 4, 4, 4),
    "narrowing": chain(6, 5, 3),
    "batched": chain(4, 5, 4, leading=("N", 7, "W")),
    "a stack of matrices": shaped((4, 4), (1, 4, 4)),
    "a vector last": shaped((4, 4), (4,)),
}

NEAR_MISSES = {
    "both_matrices_are_constant": [chain(4, 4, 4, given="first"), chain(4, 4, 4, given="second")],
    "the_first_is_no_vector": [shaped((4,), (4, 4))],
    "nothing_else_reads_the_first_product": [chain(4, 4, 4, read=True)],
    "it_is_cheaper_on_the_target": [chain(40, 1, 40, leading=(9,))],
}
