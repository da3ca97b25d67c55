"""Fold a multiplication or division by a constant into the convolution that feeds it.

    conv(x, W, b) · c  =  c · conv(x, W, b)  ->  conv(x, c·W, c·b)
    conv(x, W, b) / c  ->  conv(x, W/c, b/c)

c is one number, or one an output channel. Exact in real arithmetic; floating point differs by reassociation
only.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.graph import Graph
from convgraph.ir.ops import Div, Mul, Op
from convgraph.passes.fusion.channelwise import Vector
from convgraph.passes.fusion.combined import CombinedConv, CombineWithConstant
from convgraph.passes.rewrite import requirement


@dataclass(frozen=True, kw_only=True)
class FoldScaleIntoConv(CombineWithConstant):
    """Fold a multiplication or division by a constant into the convolution that feeds it."""

    name: ClassVar[str] = "fold-scale-into-conv"
    roots: ClassVar[tuple[type[Op], ...]] = (Mul, Div)

    @requirement
    def the_convolution_is_not_a_divisor(self, graph: Graph, m: CombinedConv) -> bool:
        """The convolution is multiplied or divided, not divided by: constant / conv is not linear."""
        return not (isinstance(m.op, Div) and m.constant_first)

    def affine(self, graph: Graph, m: CombinedConv) -> tuple[Vector, Vector]:
        """Scale c or 1/c, no shift."""
        vector = self.vector(graph, m)
        scale = 1 / vector if isinstance(m.op, Div) else vector
        return scale, np.zeros_like(scale)
