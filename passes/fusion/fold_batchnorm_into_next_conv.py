"""Fold a batch normalisation into the convolutions that read it.

    conv(batchnorm(x; γ, β, μ, σ²), W, b)  ->  conv(x, W·s, b + Σ W·t)      s = γ / √(σ² + ε),  t = β − s·μ

Σ runs over the input channels and taps of each output channel. Unless t is zero, only without padding and not
into a transposed convolution: a window that reaches over the border meets zeros there, not t. All that read
the normalisation must be convolutions, or it would be computed all the same. Exact in real arithmetic;
floating point differs by reassociation only. Source: as fold_batchnorm_into_conv, the order turned round.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import BatchNormalization, Op
from convgraph.passes.fusion.before_convolutions import (
    BeforeConvolutions,
    PushShiftIntoConvolutions,
    convolutions_after,
)
from convgraph.passes.fusion.channelwise import Vector
from convgraph.passes.fusion.normalisation import are_constant, given, scale_and_shift
from convgraph.passes.rewrite import requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalisedInput(BeforeConvolutions):
    """A normalisation that convolutions read, with its γ, β, μ and σ² in that order."""

    norm: BatchNormalization
    statistics: tuple[Value, ...]


@dataclass(frozen=True, kw_only=True)
class FoldBatchnormIntoNextConv(PushShiftIntoConvolutions[NormalisedInput]):
    """Fold a batch normalisation into the convolutions that read it."""

    name: ClassVar[str] = "fold-batchnorm-into-next-conv"
    roots: ClassVar[tuple[type[Op], ...]] = (BatchNormalization,)

    def find(self, graph: Graph, node: int) -> NormalisedInput | None:
        """A batch normalisation that convolutions read."""
        norm, operands, result = graph.op(node), graph.operands(node), Value(node, 0)
        convs = convolutions_after(graph, result)
        if not convs or not isinstance(norm, BatchNormalization) or operands[0] is None:
            return None
        return NormalisedInput(
            x=operands[0], result=result, convs=convs, norm=norm, statistics=given(operands)
        )

    @requirement
    def it_normalises_in_inference_mode(self, graph: Graph, m: NormalisedInput) -> bool:
        """The normalisation uses its stored statistics, not the batch's own (training mode)."""
        return not m.norm.training_mode

    @requirement
    def the_statistics_are_constant(self, graph: Graph, m: NormalisedInput) -> bool:
        """Scale, bias, mean and variance are constants that no caller can override."""
        return are_constant(graph, m.statistics)

    def affine(self, graph: Graph, m: NormalisedInput) -> tuple[Vector, Vector]:
        """Scale s and shift t."""
        return scale_and_shift(graph, m.norm, m.statistics)
