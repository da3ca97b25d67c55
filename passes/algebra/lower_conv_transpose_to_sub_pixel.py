"""Spell a transposed convolution as a convolution that makes every phase, and a shuffle of its channels.

    conv_transpose(x, W, b; stride s)  ->  depth_to_space(conv(x, V, b repeated s times), s)

where channel (m, r) of V holds the taps of W that fall on phase r of output channel m. Any kernel, stride,
padding, output padding, dilation, number of groups and of spatial axes: strides that differ, and one or three
axes, take Reshape and Transpose for DepthToSpace; stride 1 is the convolution with the kernel turned round;
what padding takes away beyond that is sliced off. Always exact: every product of the original is there, the
others are with zeros.

Source: Shi et al., Is the deconvolution layer the same as a convolutional layer? (2016).
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.passes.algebra.constant_weight import constant_weight
from convgraph.passes.algebra.transposed import LowersConvTranspose, TransposedConv, axes_of, spell


@dataclass(frozen=True, kw_only=True)
class LowerConvTransposeToSubPixel(LowersConvTranspose):
    """Spell a transposed convolution as a convolution that makes every phase, and a channel shuffle."""

    name: ClassVar[str] = "lower-conv-transpose-to-sub-pixel"

    def apply(self, edit: Edit, m: TransposedConv) -> None:
        """Convolve for all phases, interleave them, slice off what is too much."""
        x = edit.graph.operand(m.conv, 0)
        assert x is not None
        _, weight = constant_weight(edit.graph, m.conv)
        spell(edit, m.conv, x=x, axes=axes_of(edit.graph, m.conv), weight=weight)
