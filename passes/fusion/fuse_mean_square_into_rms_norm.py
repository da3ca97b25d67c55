"""Fuse what brings the last axes of a value to a mean square of 1 into one RMSNormalization.

    x / √(mean(x²) + ε)  =  x · (1 / √(mean(x²) + ε))  ->  rmsnorm(x; 1, ε)

A scale that follows is folded into it by another rewrite. Exact in real arithmetic; floating point differs by
the rounding of the sum. onnxruntime knows the chain only where it is spelled with Pow and Div. Opsets before
23 have no such operator, and axes of unknown sizes no such scale. Source: Zhang and Sennrich, Root Mean
Square Layer Normalization (2019).
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Op, RMSNormalization
from convgraph.passes.fusion.moments import (
    FuseNormalisation,
    Normalised,
    normalised,
    ones,
    trailing_sizes,
)

_SINCE = 23


@dataclass(frozen=True, kw_only=True)
class FuseMeanSquareIntoRmsNorm(FuseNormalisation):
    """Fuse what brings the last axes of a value to a mean square of 1 into one RMSNormalization."""

    name: ClassVar[str] = "fuse-mean-square-into-rms-norm"
    makes: ClassVar[tuple[type[Op], ...]] = (RMSNormalization,)

    def find(self, graph: Graph, node: int) -> Normalised | None:
        """A value over the root of its mean square along the last axes."""
        m = normalised(graph, node) if graph.model.opset >= _SINCE else None
        return None if m is None or trailing_sizes(graph, m) is None else m

    def apply(self, edit: Edit, m: Normalised) -> None:
        """Put an RMSNormalization with a scale of 1 in the place of all."""
        sizes = trailing_sizes(edit.graph, m)
        assert sizes is not None
        scale = edit.constant(ones(edit.graph, m, sizes), name="scale")
        op = RMSNormalization(axis=-len(sizes), epsilon=m.epsilon)
        edit.replace(m.result, edit.add(op, m.x, scale, like=m.result.node))
