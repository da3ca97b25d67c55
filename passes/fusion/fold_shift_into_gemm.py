"""Fold the addition or subtraction of a constant into the matrix product that feeds it.

    (α·A·B + β·C) + c  =  c + (α·A·B + β·C)  ->  α·A·B + (β·C + c)
    (α·A·B + β·C) − c  ->  α·A·B + (β·C − c)
    c − (α·A·B + β·C)  ->  α·A·(−B) + (c − β·C)

c is one number, or one a column of the product; a MatMul of matrices becomes a Gemm. Where A or B is a stack
of matrices there is no Gemm: A·B + C is then a MatMul and an Add, and stays so. Exact in real arithmetic;
floating point differs by reassociation only.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.graph import Graph
from convgraph.ir.ops import Add, Op, Sub
from convgraph.passes.fusion.after_gemm import CombinedProduct, CombineProduct, are_matrices
from convgraph.passes.fusion.channelwise import Vector
from convgraph.passes.rewrite import requirement


@dataclass(frozen=True, kw_only=True)
class FoldShiftIntoGemm(CombineProduct):
    """Fold the addition or subtraction of a constant into the matrix product that feeds it."""

    name: ClassVar[str] = "fold-shift-into-gemm"
    roots: ClassVar[tuple[type[Op], ...]] = (Add, Sub)

    @requirement
    def there_is_a_bias_to_fold_into(self, graph: Graph, m: CombinedProduct) -> bool:
        """The product is of two matrices, which a Gemm gives a bias, or a bias is added to it already."""
        return are_matrices(graph, m.product) or m.product.c is not None

    def affine(self, graph: Graph, m: CombinedProduct) -> tuple[Vector, Vector]:
        """Scale 1, or −1 where the product is subtracted; shift c, or −c where the constant is."""
        vector = self.vector(graph, m)
        subtracts = isinstance(m.op, Sub)
        scale = np.full_like(vector, -1.0 if subtracts and m.constant_first else 1.0)
        return scale, -vector if subtracts and not m.constant_first else vector
