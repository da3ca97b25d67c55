"""Tables for absorb-transpose-into-gemm."""

from collections.abc import Callable

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Abs, Gemm, MatMul, Op, Relu, Transpose
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import AbsorbTransposeIntoGemm, Pipeline

SWAP = Transpose(perm=(1, 0))


def product(
    op: Op,
    *,
    turned: str = "a",
    a: tuple[Dim, ...] = ("N", 3),
    b: tuple[Dim, ...] = (3, 5),
    swap: Transpose = SWAP,
    bias: bool = False,
    dtype: type = np.float32,
    also_read: str = "",
    returned: bool = False,
    opset: int = 17,
) -> Callable[[Draw], Graph]:
    """A product whose operands have these shapes, those ``turned`` by a Transpose.

    Something else reads those in ``also_read``; ``returned`` makes the graph return them.
    """

    def build(draw: Draw) -> Graph:
        builder = GraphBuilder("g", opset=opset)
        operands = []
        for name, shape in (("a", a), ("b", b)):
            turns = name in turned
            x = builder.input(name, shape=shape[::-1] if turns else shape, dtype=DataType.of(np.dtype(dtype)))
            x = builder.add(swap, builder.add(Abs(), x), name=f"turned_{name}") if turns else x
            if turns and returned:
                builder.output(x)
            if name in also_read:
                builder.output(builder.add(Relu(), x), name=f"also_{name}")
            operands.append(x)
        rest = [draw.weight(5, dtype=dtype)] if bias else []
        builder.output(builder.add(op, *operands, *rest), name="y")
        return builder.build()

    return build


def by_itself(draw: Draw) -> Graph:
    """A matrix times its transpose, and that squared."""
    del draw
    b = GraphBuilder("g", opset=17)
    x = b.add(Abs(), b.input("x", shape=("N", 3)))
    b.output(b.add(MatMul(), x, b.add(SWAP, x)), name="y")
    z = b.add(SWAP, b.input("z", shape=(4, 4)))
    b.output(b.add(Gemm(), z, z), name="squared")
    return b.build()


EXAMPLES = {
    "a of a Gemm": product(Gemm(alpha=0.5), bias=True),
    "b of a Gemm": product(Gemm(), turned="b"),
    "both": product(Gemm(beta=2.0), turned="ab", bias=True),
    "what is transposed anyway": product(Gemm(transA=1), a=(3, "N")),
    "a of a MatMul": product(MatMul()),
    "b of a MatMul": product(MatMul(), turned="b"),
    "both of a MatMul": product(MatMul(), turned="ab"),
    "by default": product(MatMul(), swap=Transpose()),
    "double": product(MatMul(), dtype=np.float64),
    "by itself": by_itself,
    "both, and one is read elsewhere": product(MatMul(), turned="ab", also_read="a"),
    "old opset": product(Gemm(), bias=True, opset=9),
}

NEAR_MISSES = {
    "both_are_matrices": [product(MatMul(), turned="b", a=("N", 2, 3))],
    "a_transpose_goes": [product(MatMul(), also_read="a"), product(Gemm(), bias=True, returned=True)],
}


@pytest.mark.parametrize("options", [{"opset": 9}, {"dtype": np.int64}])
def test_a_matmul_that_no_gemm_can_stand_for_stays(options: dict[str, int]) -> None:
    graph = product(MatMul(), **options)(Draw(dyadic=True))  # type: ignore[arg-type]  # one of each type
    assert not Pipeline([AbsorbTransposeIntoGemm()]).run(graph)[1].applications


def test_a_product_without_a_transpose_is_none_to_speak_of() -> None:
    _, trace = Pipeline([AbsorbTransposeIntoGemm()]).run(product(Gemm(), turned="")(Draw(dyadic=True)))
    assert not trace.applications
    assert not trace.refusals
