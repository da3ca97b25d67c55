"""Spell a transposed convolution of stride 1 as a convolution.

    conv_transpose(x, W, b; stride 1, pads p, q)  ->  conv(x, W′, b; pads d·(k−1) − p, d·(k−1) − q + e)
    W′[o, i, j]  =  W[i, o, k−1−j]

W′ is W turned round on every spatial axis, with input and output channels swapped in each group; d is the
dilation, e the output padding. Where the pads come out negative, what they would take away is sliced off.
Exact: the same products. A convolution fuses with more of what follows and runs in a runtime's own layout,
but one with few output channels may be slower than the matrix product that runtimes make of the transposed
one (measured: 0.3 to 1.7 times as fast), so whether it pays is for a target to say.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.passes.algebra.constant_weight import constant_weight
from convgraph.passes.algebra.transposed import (
    LowersConvTranspose,
    TransposedConv,
    axes_of,
    spell,
    transposed,
)
from convgraph.passes.rewrite import Measure, PricedRewrite, target_cost


@dataclass(frozen=True, kw_only=True)
class LowerConvTransposeToConv(LowersConvTranspose, PricedRewrite[TransposedConv]):
    """Spell a transposed convolution of stride 1 as a convolution."""

    name: ClassVar[str] = "lower-conv-transpose-to-conv"
    measure: ClassVar[Measure] = staticmethod(target_cost)

    def find(self, graph: Graph, node: int) -> TransposedConv | None:
        """A transposed convolution that does not make the image larger."""
        return super().find(graph, node) if set(transposed(graph, node).strides) == {1} else None

    def replaces(self, graph: Graph, match: TransposedConv) -> Iterable[int]:
        """The transposed convolution."""
        return (match.conv,)

    def apply(self, edit: Edit, m: TransposedConv) -> None:
        """Convolve with the kernel turned round."""
        x, (_, weight) = edit.graph.operand(m.conv, 0), constant_weight(edit.graph, m.conv)
        assert x is not None
        spell(edit, m.conv, x=x, axes=axes_of(edit.graph, m.conv), weight=weight)
