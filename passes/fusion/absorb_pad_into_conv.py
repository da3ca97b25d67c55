"""Absorb a Pad with zeros into the convolution that reads it.

    conv(pad(x; a, 0), W, b; pads p)  ->  conv(x, W, b; pads p + a)        a ≥ 0, spatial axes only

Other readers of the Pad keep it, and may absorb it in their turn. Exact: the same products are added up. A
transposed convolution's pads crop its result, so it never takes part; nor does a Pad with another number than
zero, one that crops, or one that copies elements of x.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, Op
from convgraph.passes.fusion.padded_window import AbsorbPad, PaddedWindow, padded_window
from convgraph.passes.rewrite import requirement


@dataclass(frozen=True, kw_only=True)
class AbsorbPadIntoConv(AbsorbPad):
    """Absorb a Pad with zeros into the convolution that reads it."""

    name: ClassVar[str] = "absorb-pad-into-conv"
    roots: ClassVar[tuple[type[Op], ...]] = (Conv,)

    def find(self, graph: Graph, node: int) -> PaddedWindow | None:
        """A convolution of a Pad's result."""
        return padded_window(graph, node)

    @requirement
    def it_pads_with_zero(self, graph: Graph, m: PaddedWindow) -> bool:
        """The Pad adds zeros, as the convolution does."""
        return m.fill == 0
