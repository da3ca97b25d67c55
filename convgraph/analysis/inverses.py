"""How well matrices can be inverted, and the inverses of a graph that lose digits."""

from collections.abc import Iterator

import numpy as np

from convgraph.analysis.census import node_name
from convgraph.analysis.finding import Finding, known_weight
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Opaque
from convgraph.ir.tensor import Array

NO_INVERSE = 1e15
"""The condition number from which float64 cannot tell a matrix from a singular one."""

WORTH_A_WORD = 1e4
"""The condition number from which an inverse is worth a finding: float32 keeps three digits of its seven."""


def condition(matrix: Array) -> float:
    """The ratio of the largest to the smallest singular value, the worst of a stack; infinite if singular."""
    wide = matrix.astype(np.float64)
    if not np.isfinite(wide).all():
        return float("inf")
    values = np.linalg.svd(wide, compute_uv=False)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(values[..., -1] > 0, values[..., 0] / values[..., -1], np.inf)
    return float(ratios.max(initial=1.0))


def find_ill_conditioned(graph: Graph, node: int) -> Iterator[Finding]:
    """Say so where a matrix that is inverted is nearly singular."""
    op = graph.op(node)
    if not isinstance(op, Opaque) or (op.domain, op.op_type) != ("com.microsoft", "Inverse"):
        return
    matrix = known_weight(graph, graph.operand(node, 0))
    number = 1.0 if matrix is None or matrix.ndim < 2 else condition(matrix)
    if number < WORTH_A_WORD:
        return
    singular = number >= NO_INVERSE
    yield Finding(
        rule="ill-conditioned-inverse",
        where=node_name(graph, node),
        what="the matrix is singular"
        if singular
        else f"the condition number of the matrix is {number:.1e}: "
        "what is multiplied with the inverse may lose as much in relative precision",
        remedy="keep the diagonal of the factors away from zero when training"
        + ("" if singular else "; fold the inverse, which is computed in float64"),
        rewrite=None if singular else "fold-matrix-inverse",
    )
