"""Compute each phase of a transposed convolution by a convolution of its own.

    conv_transpose(x, W, b; stride s)  ->  interleave(conv(x, V₀, b), …, conv(x, Vₙ, b))        n = s² − 1

V_r has the taps of W that fall on phase r of the output: every product of the original is there once, and
none with a zero. Phases that have a tap at the same places all come of one convolution. As many
multiplications; runtimes convolve in a layout of their own, in which activations are part of the convolution,
and spell a transposed convolution as a matrix product whose columns they add up. What comes out is written
once more to interleave it. Measured with onnxruntime, one thread: 0.5 to 1.5 times as fast, the more the
wider the convolution, so that a target has to judge; a fused activation goes into each of them. Any kernel,
stride, padding, dilation, number of groups and of spatial axes. Exact: the same products.

Source: Shi et al., Is the deconvolution layer the same as a convolutional layer? (2016).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Op
from convgraph.passes.algebra.constant_weight import constant_weight
from convgraph.passes.algebra.transposed import (
    BEFORE_IT_IS_SPELLED,
    MOST_PARTS,
    LowersConvTranspose,
    TransposedConv,
    axes_of,
    spell,
    transposed,
)
from convgraph.passes.rewrite import Measure, PricedRewrite, target_cost


@dataclass(frozen=True, kw_only=True)
class SplitConvTransposeIntoPhases(LowersConvTranspose, PricedRewrite[TransposedConv]):
    """Compute each phase of a transposed convolution by a convolution of its own."""

    name: ClassVar[str] = "split-conv-transpose-into-phases"
    after: ClassVar[tuple[str, ...]] = BEFORE_IT_IS_SPELLED
    lowers: ClassVar[tuple[type[Op], ...]] = ()  # on request, lower-conv-transpose-to-sub-pixel does
    measure: ClassVar[Measure] = staticmethod(target_cost)

    def find(self, graph: Graph, node: int) -> TransposedConv | None:
        """A transposed convolution that makes the image larger, in no more phases than are worth it."""
        phases = math.prod(transposed(graph, node).strides)
        return super().find(graph, node) if 1 < phases <= MOST_PARTS else None

    def replaces(self, graph: Graph, match: TransposedConv) -> Iterable[int]:
        """The transposed convolution."""
        return (match.conv,)

    def apply(self, edit: Edit, m: TransposedConv) -> None:
        """Convolve for each phase, or for all where that multiplies nothing by zero, and interleave them."""
        x, (_, weight) = edit.graph.operand(m.conv, 0), constant_weight(edit.graph, m.conv)
        assert x is not None
        axes = axes_of(edit.graph, m.conv)
        apart = not all(axis.is_full for axis in axes)
        spell(edit, m.conv, x=x, axes=axes, weight=weight, apart=apart)
