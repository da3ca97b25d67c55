"""Fold the addition or subtraction of a constant into the bias of the convolution that feeds it.

    conv(x, W, b) + c  =  c + conv(x, W, b)  ->  conv(x, W, b + c)
    conv(x, W, b) − c  ->  conv(x, W, b − c)
    c − conv(x, W, b)  ->  conv(x, −W, c − b)

c is one number, or one an output channel. Exact in real arithmetic; floating point differs by reassociation
only.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.graph import Graph
from convgraph.ir.ops import Add, Op, Sub
from convgraph.passes.fusion.channelwise import Vector
from convgraph.passes.fusion.combined import CombinedConv, CombineWithConstant


@dataclass(frozen=True, kw_only=True)
class FoldShiftIntoConv(CombineWithConstant):
    """Fold the addition or subtraction of a constant into the bias of the convolution that feeds it."""

    name: ClassVar[str] = "fold-shift-into-conv"
    roots: ClassVar[tuple[type[Op], ...]] = (Add, Sub)

    def affine(self, graph: Graph, m: CombinedConv) -> tuple[Vector, Vector]:
        """Scale 1, or −1 where the convolution is subtracted; shift c, or −c where the constant is."""
        vector = self.vector(graph, m)
        subtracts = isinstance(m.op, Sub)
        scale = np.full_like(vector, -1.0 if subtracts and m.constant_first else 1.0)
        return scale, -vector if subtracts and not m.constant_first else vector
