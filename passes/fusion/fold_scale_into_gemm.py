"""Fold a multiplication or division by a constant into the matrix product that feeds it.

    (α·A·B + β·C) · c  =  c · (α·A·B + β·C)  ->  α·A·(B·c) + c·(β·C)
    (α·A·B + β·C) / c  ->  α·A·(B/c) + (β·C)/c

c is one number, or one a column of the product; A and B may be stacks of matrices (a MatMul, C then being
what an Add after it adds). Exact in real arithmetic; floating point differs by reassociation only.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.graph import Graph
from convgraph.ir.ops import Div, Mul, Op
from convgraph.passes.fusion.after_gemm import CombinedProduct, CombineProduct
from convgraph.passes.fusion.channelwise import Vector
from convgraph.passes.rewrite import requirement


@dataclass(frozen=True, kw_only=True)
class FoldScaleIntoGemm(CombineProduct):
    """Fold a multiplication or division by a constant into the matrix product that feeds it."""

    name: ClassVar[str] = "fold-scale-into-gemm"
    roots: ClassVar[tuple[type[Op], ...]] = (Mul, Div)

    @requirement
    def the_product_is_not_a_divisor(self, graph: Graph, m: CombinedProduct) -> bool:
        """The product is multiplied or divided, not divided by: constant / product is not linear."""
        return not (isinstance(m.op, Div) and m.constant_first)

    @requirement
    def the_second_operand_has_columns(self, graph: Graph, m: CombinedProduct) -> bool:
        """The second operand is a matrix or a stack of matrices, no vector."""
        return (graph.type(m.product.b).rank or 0) >= 2

    def affine(self, graph: Graph, m: CombinedProduct) -> tuple[Vector, Vector]:
        """Scale c or 1/c, no shift."""
        vector = self.vector(graph, m)
        scale = 1 / vector if isinstance(m.op, Div) else vector
        return scale, np.zeros_like(scale)
