"""Fold the addition or subtraction of a constant into the biases of the convolutions that read it.

    conv(x + c, W, b)  =  conv(c + x, W, b)  ->  conv(x, W, b + Σ W·c)
    conv(x − c, W, b)  ->  conv(x, W, b − Σ W·c)
    conv(c − x, W, b)  ->  conv(x, −W, b + Σ W·c)

c is one number, or one an input channel; Σ runs over the input channels and taps of each output channel. Only
without padding: a window that reaches over the border meets zeros there, not c. All that read the sum must be
convolutions, or it would be computed all the same. Exact in real arithmetic; floating point differs by
reassociation only.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.graph import Graph
from convgraph.ir.ops import Add, Op, Sub
from convgraph.passes.fusion.before_convolutions import (
    CombinedInput,
    PushShiftIntoConvolutions,
    combined_input,
    input_vector,
    moved,
)
from convgraph.passes.fusion.channelwise import Vector
from convgraph.passes.rewrite import requirement


@dataclass(frozen=True, kw_only=True)
class FoldShiftIntoNextConv(PushShiftIntoConvolutions[CombinedInput]):
    """Fold the addition or subtraction of a constant into the biases of the convolutions that read it."""

    name: ClassVar[str] = "fold-shift-into-next-conv"
    roots: ClassVar[tuple[type[Op], ...]] = (Add, Sub)

    def find(self, graph: Graph, node: int) -> CombinedInput | None:
        """A sum or difference with a constant that convolutions read."""
        return combined_input(graph, node)

    @requirement
    def the_constant_is_per_channel_or_scalar(self, graph: Graph, m: CombinedInput) -> bool:
        """The constant has one element, or one an input channel, along the channel axis and no other."""
        return input_vector(graph, m) is not None

    def affine(self, graph: Graph, m: CombinedInput) -> tuple[Vector, Vector]:
        """Scale 1, or −1 where x is subtracted; shift c, or −c where the constant is."""
        vector = input_vector(graph, m)
        assert vector is not None
        return moved(m, vector)
