"""Condition numbers, and what lint says of matrices that are inverted."""

import numpy as np
import pytest

from convgraph.analysis.inverses import condition
from convgraph.analysis.lint import lint
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import MatMul, Opaque
from convgraph.ir.tensor import DataType, TensorType


def inverted(*diagonal: float, domain: str = "com.microsoft") -> Graph:
    b = GraphBuilder("g", opset=17)
    size = len(diagonal)
    w = b.constant(np.diag(np.array(diagonal, np.float32)), name="w")
    kind = TensorType(DataType.FLOAT, shape=(size, size))
    (inverse,) = b.add_all(Opaque(domain=domain, op_type="Inverse", arity=1), w, types=[kind], node="back")
    b.output(b.add(MatMul(), b.input("x", shape=("N", size)), inverse), name="y")
    return b.build()


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (np.eye(3), 1.0),
        (np.diag([4.0, -0.5]), 8.0),
        (np.stack([np.eye(2), np.diag([1.0, 32.0])]), 32.0),
        (np.zeros((2, 2)), np.inf),
        (np.full((2, 2), np.nan), np.inf),
        (np.empty((0, 3, 3)), 1.0),
    ],
)
def test_condition(matrix: np.ndarray, expected: float) -> None:
    assert condition(matrix) == pytest.approx(expected)


def test_lint_names_the_condition_number() -> None:
    (finding,) = lint(inverted(1, 2.0**-20))
    assert (finding.rule, finding.where) == ("ill-conditioned-inverse", "back")
    assert "1.0e+06" in finding.what
    assert finding.rewrite == "fold-matrix-inverse"


def test_lint_says_that_a_matrix_is_singular() -> None:
    (finding,) = lint(inverted(1, 0))
    assert "singular" in finding.what
    assert finding.rewrite is None


@pytest.mark.parametrize("graph", [inverted(1, 2), inverted(1, 0, domain="another")])
def test_lint_has_nothing_to_say(graph: Graph) -> None:
    assert not lint(graph)
