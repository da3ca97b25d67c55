"""Fold a multiplication or division by a constant into the convolutions that read it.

    conv(c · x, W, b)  =  conv(x · c, W, b)  ->  conv(x, W·c, b)
    conv(x / c, W, b)  ->  conv(x, W/c, b)

c is one number, or one an input channel; zero padding stays zero under it, so padding does not matter, nor
whether the convolution is transposed. All that read the product must be convolutions, or it would be computed
all the same. Exact in real arithmetic; floating point differs by reassociation only.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.graph import Graph
from convgraph.ir.ops import Div, Mul, Op
from convgraph.passes.fusion.before_convolutions import (
    CombinedInput,
    PushIntoConvolutions,
    combined_input,
    input_vector,
)
from convgraph.passes.fusion.channelwise import Vector
from convgraph.passes.rewrite import requirement


@dataclass(frozen=True, kw_only=True)
class FoldScaleIntoNextConv(PushIntoConvolutions[CombinedInput]):
    """Fold a multiplication or division by a constant into the convolutions that read it."""

    name: ClassVar[str] = "fold-scale-into-next-conv"
    roots: ClassVar[tuple[type[Op], ...]] = (Mul, Div)

    def find(self, graph: Graph, node: int) -> CombinedInput | None:
        """A product or quotient with a constant that convolutions read."""
        return combined_input(graph, node)

    @requirement
    def the_value_is_not_a_divisor(self, graph: Graph, m: CombinedInput) -> bool:
        """The value is multiplied or divided, not divided by: constant / x is not linear."""
        return not (isinstance(m.op, Div) and m.constant_first)

    @requirement
    def the_constant_is_per_channel_or_scalar(self, graph: Graph, m: CombinedInput) -> bool:
        """The constant has one element, or one an input channel, along the channel axis and no other."""
        return input_vector(graph, m) is not None

    def affine(self, graph: Graph, m: CombinedInput) -> tuple[Vector, Vector]:
        """Scale c or 1/c, no shift."""
        vector = input_vector(graph, m)
        assert vector is not None
        return 1 / vector if isinstance(m.op, Div) else vector, np.zeros_like(vector)
