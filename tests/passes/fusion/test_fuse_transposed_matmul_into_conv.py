"""Tables for fuse-transposed-matmul-into-conv."""

from collections.abc import Callable

from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Abs, MatMul, Transpose
from convgraph.ir.tensor import Dim


def pointwise(
    *spatial: Dim,
    first: tuple[int, ...] = (0, 2, 3, 1),
    second: tuple[int, ...] = (0, 3, 1, 2),
    matrix: tuple[int, ...] = (4, 6),
    overridable: bool = False,
    read: str = "",
) -> Callable[[Draw], Graph]:
    """x (N, 4, spatial…), transposed, times a matrix, transposed; ``read``: a value read elsewhere too."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=("N", 4, *spatial))
        drawn = draw.weight(*matrix)
        weight = b.overridable("matrix", drawn) if overridable else b.constant(drawn, name="matrix")
        last = b.add(Transpose(perm=first), x)
        product = b.add(MatMul(), last, weight, node="product")
        b.output(b.add(Transpose(perm=second), product), name="y")
        between = {"last": last, "product": product}
        if read:
            b.output(b.add(Abs(), between[read]), name="z")
        return b.build()

    return build


EXAMPLES = {
    "2-D": pointwise("H", "W"),
    "1-D": pointwise("L", first=(0, 2, 1), second=(0, 2, 1)),
    "3-D": pointwise(5, "H", "W", first=(0, 2, 3, 4, 1), second=(0, 4, 1, 2, 3)),
    "oblong static": pointwise(7, 5),
    "channels-last read elsewhere": pointwise("H", "W", read="last"),
}

NEAR_MISSES = {
    "the_channels_go_last_and_come_back": [
        pointwise(6, 5, second=(0, 3, 2, 1)),
        pointwise(6, 4, first=(0, 2, 1, 3)),
        pointwise(5, 4, first=(0, 1, 2, 3), second=(0, 1, 2, 3)),
    ],
    "the_matrix_is_constant": [
        pointwise("H", "W", overridable=True),
        pointwise(5, 3, matrix=(1, 5, 4, 6)),
    ],
    "nothing_else_reads_what_lies_between": [pointwise("H", "W", read="product")],
}
