"""Fold a batch normalisation into the convolution that feeds it.

    batchnorm(conv(x, W, b); γ, β, μ, σ²)  ->  conv(x, s·W, s·(b − μ) + β)        s = γ / √(σ² + ε)

Conv and ConvTranspose, any number of spatial axes, grouped or not, with or without a bias; a weight that
other convolutions share is cloned. Exact in real arithmetic; floating point differs by reassociation only.
Source: Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference (2018), 3.2.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import BatchNormalization, Op
from convgraph.passes.fusion.after_convolution import AfterConvolution, FoldIntoWeights, convolution_before
from convgraph.passes.fusion.channelwise import Vector
from convgraph.passes.fusion.normalisation import are_constant, given, scale_and_shift
from convgraph.passes.rewrite import requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalisedConv(AfterConvolution):
    """A convolution and the normalisation that reads it, with its γ, β, μ and σ² in that order."""

    norm: BatchNormalization
    statistics: tuple[Value, ...]


@dataclass(frozen=True, kw_only=True)
class FoldBatchnormIntoConv(FoldIntoWeights[NormalisedConv]):
    """Fold a batch normalisation into the convolution that feeds it."""

    name: ClassVar[str] = "fold-batchnorm-into-conv"
    roots: ClassVar[tuple[type[Op], ...]] = (BatchNormalization,)

    def find(self, graph: Graph, node: int) -> NormalisedConv | None:
        """A batch normalisation of a convolution's result."""
        norm, operands = graph.op(node), graph.operands(node)
        conv = convolution_before(graph, operands[0])
        if conv is None or not isinstance(norm, BatchNormalization):
            return None
        return NormalisedConv(conv=conv, result=Value(node, 0), norm=norm, statistics=given(operands))

    @requirement
    def it_normalises_in_inference_mode(self, graph: Graph, m: NormalisedConv) -> bool:
        """The normalisation uses its stored statistics, not the batch's own (training mode)."""
        return not m.norm.training_mode

    @requirement
    def the_statistics_are_constant(self, graph: Graph, m: NormalisedConv) -> bool:
        """Scale, bias, mean and variance are constants that no caller can override."""
        return are_constant(graph, m.statistics)

    def affine(self, graph: Graph, m: NormalisedConv) -> tuple[Vector, Vector]:
        """Scale s and shift β − s·μ."""
        return scale_and_shift(graph, m.norm, m.statistics)
