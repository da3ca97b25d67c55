"""Tables for fold-matrix-inverse."""

from collections.abc import Callable
from types import MappingProxyType

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import MatMul, Mul, Op, Opaque
from convgraph.ir.tensor import Array, DataType, TensorType
from convgraph.passes import Pipeline
from convgraph.passes.cleanup.fold_matrix_inverse import FoldMatrixInverse

INVERSE = Opaque(domain="com.microsoft", op_type="Inverse", arity=1)
DET = Opaque(op_type="Det", arity=1)

Matrix = Callable[[Draw], Array]


def triangular(*shape: int, dtype: type = np.float32) -> Matrix:
    """Upper triangular, its diagonal powers of two: elimination is exact."""

    def draw_one(draw: Draw) -> Array:
        strict = np.triu(draw.weight(*shape, dtype=dtype), 1)
        return np.asarray(strict + np.eye(shape[-1], dtype=dtype) * draw.factor(*shape[:-1], 1, dtype=dtype))

    return draw_one


def times(
    op: Op, matrix: Matrix, *, given: bool = False, dtype: type = np.float32
) -> Callable[[Draw], Graph]:
    """x times what ``op`` makes of a matrix; ``given``: a caller may override it."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        array = matrix(draw)
        kind = DataType.of(np.dtype(dtype))
        x = b.input("x", shape=("N", *array.shape[:-2], 3, array.shape[-1]), dtype=kind)
        w = b.overridable("w", array) if given else b.constant(array, name="w")
        is_inverse = op is INVERSE
        made = TensorType(kind, shape=array.shape if is_inverse else array.shape[:-2])
        (y,) = b.add_all(op, w, types=[made])
        b.output(b.add(MatMul() if is_inverse else Mul(), x, y), name="y")
        graph = b.build()
        model = graph.model
        opsets = MappingProxyType({**model.opsets, "com.microsoft": 1})
        graph.header.model = type(model)(ir_version=model.ir_version, opsets=opsets)
        return graph

    return build


EXAMPLES = {
    "inverse": times(INVERSE, triangular(4, 4)),
    "a stack": times(INVERSE, triangular(2, 4, 4)),
    "determinant": times(DET, triangular(5, 5)),
    "the determinant of a singular matrix": times(DET, lambda _: np.ones((3, 3), np.float32)),
}

NEAR_MISSES = {
    "the_matrix_is_constant": [times(INVERSE, triangular(4, 4), given=True)],
    "the_matrix_is_regular": [
        times(INVERSE, lambda _: np.ones((3, 3), np.float32)),
        times(INVERSE, lambda _: np.arange(1, 10, dtype=np.float32).reshape(3, 3)),
    ],
    "the_result_is_finite": [
        times(INVERSE, lambda _: np.diag(np.full(3, 1e-40, np.float32))),
    ],
}


def test_what_else_is_made_of_a_constant_is_left() -> None:
    other = Opaque(domain="com.microsoft", op_type="MatrixExponential", arity=1)
    _, trace = Pipeline([FoldMatrixInverse()]).run(times(other, triangular(4, 4))(Draw(dyadic=True)))
    assert not trace.applications
