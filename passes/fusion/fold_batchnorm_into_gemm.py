"""Fold a batch normalisation into the matrix product that feeds it.

    batchnorm(α·A·B + β·C; γ, β', μ, σ²)  ->  α·A·(B·s) + s·(β·C) + t        s = γ / √(σ² + ε),  t = β' − s·μ
    batchnorm(A·B; γ, β', μ, σ²)  ->  A·(B·s) + t

s and t hold one number a column of the product; transposed operands stay transposed, and C may be missing or
broadcast. Exact in real arithmetic; floating point differs by reassociation only. Source: as
fold_batchnorm_into_conv, a matrix product being a convolution without spatial axes.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import BatchNormalization, Op
from convgraph.passes.fusion.after_gemm import AfterProduct, FoldIntoProduct, are_matrices, product_before
from convgraph.passes.fusion.channelwise import Vector
from convgraph.passes.fusion.normalisation import are_constant, given, scale_and_shift
from convgraph.passes.rewrite import requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalisedProduct(AfterProduct):
    """A matrix product and the normalisation that reads it, with its γ, β, μ and σ² in that order."""

    norm: BatchNormalization
    statistics: tuple[Value, ...]


@dataclass(frozen=True, kw_only=True)
class FoldBatchnormIntoGemm(FoldIntoProduct[NormalisedProduct]):
    """Fold a batch normalisation into the matrix product that feeds it."""

    name: ClassVar[str] = "fold-batchnorm-into-gemm"
    roots: ClassVar[tuple[type[Op], ...]] = (BatchNormalization,)

    def find(self, graph: Graph, node: int) -> NormalisedProduct | None:
        """A batch normalisation of a Gemm's or MatMul's result."""
        norm, operands = graph.op(node), graph.operands(node)
        product = product_before(graph, operands[0])
        if product is None or not isinstance(norm, BatchNormalization):
            return None
        return NormalisedProduct(
            product=product, result=Value(node, 0), norm=norm, statistics=given(operands)
        )

    @requirement
    def both_operands_are_matrices(self, graph: Graph, m: NormalisedProduct) -> bool:
        """The product is of two matrices, so that its columns are the channels."""
        return are_matrices(graph, m.product)

    @requirement
    def it_normalises_in_inference_mode(self, graph: Graph, m: NormalisedProduct) -> bool:
        """The normalisation uses its stored statistics, not the batch's own (training mode)."""
        return not m.norm.training_mode

    @requirement
    def the_statistics_are_constant(self, graph: Graph, m: NormalisedProduct) -> bool:
        """Scale, bias, mean and variance are constants that no caller can override."""
        return are_constant(graph, m.statistics)

    def affine(self, graph: Graph, m: NormalisedProduct) -> tuple[Vector, Vector]:
        """Scale s and shift t."""
        return scale_and_shift(graph, m.norm, m.statistics)
