"""Tables for fuse-transposed-matmul-into-conv."""

from collections.abc import Callable

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Abs, Add, Div, Gemm, MatMul, Mul, Op, Reshape, Sub, Transpose
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import Pipeline
from convgraph.passes.fusion.fuse_transposed_matmul_into_conv import FuseTransposedMatmulIntoConv


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


Link = Callable[[GraphBuilder, Draw, Value], Value]


def row(
    *links: Link, sizes: tuple[Dim, ...] = ("N", 4, 6, 5), dtype: type = np.float32, read: int = -1
) -> Callable[[Draw], Graph]:
    """x, channels last, what the links make of it, and the channels where they were.

    ``read`` is the number of a link whose result is read elsewhere too.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        rank = len(sizes)
        x = b.input("x", shape=sizes, dtype=DataType.of(np.dtype(dtype)))
        y = b.add(Transpose(perm=(0, *range(2, rank), 1)), x)
        for number, link in enumerate(links):
            y = link(b, draw, y)
            if number == read:
                b.output(b.add(Abs(), y), name="z")
        b.output(b.add(Transpose(perm=(0, rank - 1, *range(1, rank - 1))), y), name="y")
        return b.build()

    return build


def reshaped(*shape: int) -> Link:
    return lambda b, _, y: b.add(Reshape(), y, np.asarray(shape))


def product(*shape: int, dtype: type = np.float32) -> Link:
    return lambda b, draw, y: b.add(MatMul(), y, draw.weight(*shape, dtype=dtype))


def product_from_left(*shape: int) -> Link:
    return lambda b, draw, y: b.add(MatMul(), draw.weight(*shape), y)


def gemm(rows: int, columns: int, *, bias: tuple[int, ...] | None = None, **flags: float) -> Link:
    op = Gemm(**flags)  # type: ignore[arg-type] - alpha, beta and the two flags
    shape = (columns, rows) if op.transB else (rows, columns)

    def build(b: GraphBuilder, draw: Draw, y: Value) -> Value:
        return b.add(op, y, draw.weight(*shape), *([] if bias is None else [draw.weight(*bias)]))

    return build


def combined(op: Op, *shape: int, first: bool = False) -> Link:
    def build(b: GraphBuilder, draw: Draw, y: Value) -> Value:
        numbers = b.constant(draw.factor(*shape))
        return b.add(op, *((numbers, y) if first else (y, numbers)))

    return build


def overridable(b: GraphBuilder, draw: Draw, y: Value) -> Value:
    return b.add(Add(), y, b.overridable("shift", draw.weight(6)))


def turned(b: GraphBuilder, _: Draw, y: Value) -> Value:
    return b.add(Transpose(perm=(1, 0)), y)


FLAT, BACK = reshaped(-1, 4), reshaped(-1, 6, 5, 4)

EXAMPLES = {
    "2-D": pointwise("H", "W"),
    "1-D": pointwise("L", first=(0, 2, 1), second=(0, 2, 1)),
    "3-D": pointwise(5, "H", "W", first=(0, 2, 3, 4, 1), second=(0, 4, 1, 2, 3)),
    "oblong static": pointwise(7, 5),
    "channels-last read elsewhere": pointwise("H", "W", read="last"),
    "half": row(product(4, 6, dtype=np.float16), dtype=np.float16),
    "three factors": row(*[product(4, 4)] * 3),
    "pixels in one axis": row(FLAT, product(4, 6), reshaped(-1, 6, 5, 6)),
    "a fixed batch": row(reshaped(60, 4), product(4, 4), reshaped(2, 6, 5, 4), sizes=(2, 4, 6, 5)),
    "two Gemms, a bias": row(FLAT, gemm(4, 3, transB=1), gemm(3, 4, bias=(4,), transB=1), BACK),
    "alpha, beta, one number": row(FLAT, gemm(4, 4, bias=(1, 1), alpha=0.5, beta=2.0), BACK),
    "shift before, scale after": row(combined(Sub(), 4), product(4, 6), combined(Div(), 1, 1, 6)),
    "a number minus it": row(product(4, 6), combined(Sub(), 1, first=True)),
    "solved from the left": row(
        FLAT, combined(Sub(), 4), turned, product_from_left(4, 4), product_from_left(4, 4), turned, BACK
    ),
    "shifted while transposed": row(
        FLAT, turned, product_from_left(6, 4), combined(Add(), 6, 1), turned, reshaped(-1, 6, 5, 6)
    ),
    "shifted with an axis more": row(FLAT, product(4, 4), combined(Add(), 1, 1, 4), BACK),
    "bias after a 1-D row": row(product(4, 4), combined(Add(), 4), sizes=("N", 4, "L")),
}

NEAR_MISSES = {
    "the_channels_go_last_and_come_back": [
        pointwise(6, 5, second=(0, 3, 2, 1)),
        pointwise(6, 4, first=(0, 2, 1, 3)),
        pointwise(5, 4, first=(0, 1, 2, 3), second=(0, 1, 2, 3)),
    ],
    "the_pixels_stay_in_order": [
        row(reshaped(-1, 6, 20), product(20, 20), BACK),
        row(FLAT, product(4, 4), reshaped(-1, 5, 6, 4)),
        row(FLAT, product(4, 4), reshaped(3, -1, 5, 4)),
        row(FLAT, turned, product_from_left(4, 4), reshaped(-1, 6, 5, 4)),
    ],
    "the_other_operands_are_constant": [
        pointwise("H", "W", overridable=True),
        pointwise(5, 3, matrix=(1, 5, 4, 6)),
        row(product(4, 6), overridable),
        row(product(4, 5), combined(Mul(), 6, 1, 1)),
        row(product(4, 6), combined(Mul(), 5, 1)),
        row(FLAT, gemm(4, 4, bias=(60, 1)), BACK, sizes=(2, 4, 6, 5)),
        row(reshaped(4, 4), gemm(4, 4, transA=1), reshaped(1, 2, 2, 4), sizes=(1, 4, 2, 2)),
        row(FLAT, product_from_left(60, 60), BACK, sizes=(2, 4, 6, 5)),
    ],
    "nothing_else_reads_what_lies_between": [
        pointwise("H", "W", read="product"),
        row(product(4, 4), product(4, 4), read=0),
    ],
}


@pytest.mark.parametrize("dtype", [np.float64, np.int32])
def test_what_runtimes_do_not_convolve_is_left(dtype: type) -> None:
    graph = row(product(4, 6, dtype=dtype), dtype=dtype)(Draw(dyadic=True))
    assert not Pipeline([FuseTransposedMatmulIntoConv()]).run(graph)[1].applications


def test_pixels_in_other_axes_than_before_are_left() -> None:
    b, draw = GraphBuilder("g", opset=17), Draw(dyadic=True)
    y = b.add(Transpose(perm=(0, 2, 1)), b.input("x", shape=("N", 4, 30)))
    y = b.add(MatMul(), b.add(Reshape(), y, np.array([-1, 6, 5, 4])), draw.weight(4, 4))
    b.output(b.add(Transpose(perm=(0, 3, 1, 2)), y), name="y")
    _, trace = Pipeline([FuseTransposedMatmulIntoConv()]).run(b.build())
    assert not trace.applications


def test_sizes_without_a_name_do_not_matter() -> None:
    graph = pointwise(None, None)(Draw(dyadic=True))
    result, trace = Pipeline([FuseTransposedMatmulIntoConv()]).run(graph)
    assert trace.applications
    assert "Conv" in {result.op(node).label for node in result.compute_nodes()}
