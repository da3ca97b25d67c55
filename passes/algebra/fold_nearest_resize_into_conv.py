"""Fold an enlargement by repeated pixels into the convolution that reads it.

    conv(resize_nearest(x, s), W, b; k taps, pads p)  ->  conv_transpose(x, V, b; stride s, pads k − 1 − p)
    V[t]  =  Σ W[k − 1 − t + r]   over r from 0 to s − 1: k + s − 1 taps

on each spatial axis. The convolution meets every pixel s times over; the transposed one meets it once, with
the weights added: (k + s − 1)² multiplications for a pixel of x instead of (k·s)². A 1×1 convolution is left
alone: it may as well come first. Exact in real arithmetic; floating point differs by reassociation only.

Source: the other way round, Odena et al., Deconvolution and Checkerboard Artifacts (Distill, 2016).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.constant_weight import WeightedConv, constant_weight
from convgraph.passes.algebra.pointwise import is_pointwise
from convgraph.passes.algebra.repeated import Enlarged, FoldsEnlargement, enlarged, transpose_convolved


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvOfEnlarged(WeightedConv):
    """A convolution and the enlargement that it reads."""

    part: Enlarged


@dataclass(frozen=True, kw_only=True)
class FoldNearestResizeIntoConv(FoldsEnlargement[ConvOfEnlarged]):
    """Fold an enlargement by repeated pixels into the convolution that reads it."""

    name: ClassVar[str] = "fold-nearest-resize-into-conv"

    def find(self, graph: Graph, node: int) -> ConvOfEnlarged | None:
        """A convolution, other than a pointwise one, of an image whose pixels are repeated."""
        value = graph.operand(node, 0)
        part = None if value is None or is_pointwise(graph, node) else enlarged(graph, value)
        return None if part is None else ConvOfEnlarged(conv=node, part=part)

    def parts(self, graph: Graph, match: ConvOfEnlarged) -> Sequence[tuple[Enlarged, Array]]:
        """All of the input."""
        return ((match.part, constant_weight(graph, match.conv)[1]),)

    def replaces(self, graph: Graph, match: ConvOfEnlarged) -> tuple[int, ...]:
        """The Resize and the convolution."""
        return (match.part.resize, match.conv)

    def apply(self, edit: Edit, m: ConvOfEnlarged) -> None:
        """Put the transposed convolution in the place of both."""
        _, _, *rest = edit.graph.operands(m.conv)
        ((part, weight),) = self.parts(edit.graph, m)
        y = transpose_convolved(edit, m.conv, part, weight, *rest, like=m.conv)
        edit.replace(Value(m.conv, 0), y)
