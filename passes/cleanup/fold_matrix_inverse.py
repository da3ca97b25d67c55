"""Invert a constant matrix, or take its determinant, at compile time.

    inverse(W) -> W⁻¹        det(W) -> |W|        in float64, rounded once to the element type

ONNX has no Inverse of its own; onnxruntime's (com.microsoft) is how the other direction of an invertible
convolution is written. Exact up to the condition number of W: a matrix that float64 cannot tell from a
singular one stays as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from convgraph.analysis.inverses import NO_INVERSE, condition
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Op, Opaque
from convgraph.ir.tensor import Array
from convgraph.passes.fusion.after_convolution import is_finite
from convgraph.passes.rewrite import Rewrite, requirement

_MEANINGS: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("com.microsoft", "Inverse"): np.linalg.inv,
    ("", "Det"): np.linalg.det,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OfMatrix:
    """A matrix, or a stack of them, and its inverse or determinant."""

    matrix: Value
    result: Value


@dataclass(frozen=True, kw_only=True)
class FoldMatrixInverse(Rewrite[OfMatrix]):
    """Invert a constant matrix, or take its determinant, at compile time."""

    name: ClassVar[str] = "fold-matrix-inverse"
    roots: ClassVar[tuple[type[Op], ...]] = (Opaque,)

    def find(self, graph: Graph, node: int) -> OfMatrix | None:
        """An Inverse or a Det."""
        op = graph.op(node)
        if not isinstance(op, Opaque) or (op.domain, op.op_type) not in _MEANINGS:
            return None
        matrix = graph.operand(node, 0)
        return matrix and OfMatrix(matrix=matrix, result=Value(node, 0))

    @requirement
    def the_matrix_is_constant(self, graph: Graph, m: OfMatrix) -> bool:
        """The matrix is a constant that no caller can override."""
        return graph.constant(m.matrix) is not None

    @requirement
    def the_matrix_is_regular(self, graph: Graph, m: OfMatrix) -> bool:
        """Its condition number is below 1e15 where it is inverted: a singular matrix has no inverse."""
        op, matrix = graph.op(m.result.node), graph.constant(m.matrix)
        assert matrix is not None
        return op.label.endswith("Det") or condition(matrix.numpy()) < NO_INVERSE

    @requirement
    def the_result_is_finite(self, graph: Graph, m: OfMatrix) -> bool:
        """The result stays within the range of its element type."""
        return is_finite(_computed(graph, m))

    def apply(self, edit: Edit, m: OfMatrix) -> None:
        """Put the result in the place of the operation."""
        edit.replace(m.result, edit.constant(_computed(edit.graph, m), like=m.matrix))


def _computed(graph: Graph, m: OfMatrix) -> Array:
    op, matrix = graph.op(m.result.node), graph.constant(m.matrix)
    assert isinstance(op, Opaque)
    assert matrix is not None
    with np.errstate(over="ignore"):  # refused as not finite
        wide = _MEANINGS[op.domain, op.op_type](matrix.numpy().astype(np.float64))
        return np.asarray(wide).astype(matrix.dtype.numpy)
