"""Spell a transposed convolution as convolutions that make its phases, and a shuffle of their channels.

    conv_transpose(x, W, b; stride s)  ->  depth_to_space(conv(x, V, b repeated s times), s)

where channel (m, r) of V holds the taps of W that fall on phase r of output channel m. Any kernel, stride,
padding, output padding, dilation, number of groups and of spatial axes: strides that differ, and one or three
axes, take Reshape and Transpose for DepthToSpace; stride 1 is the convolution with the kernel turned round.
Always exact: every product of the original is there, the others are with zeros. Three forms, E being the
number of taps that V has along an axis:

* "one" is a single convolution; padding that is no multiple of the stride costs it a tap: (s·E/k)² MACs;
* "crop" is one without that padding, E = ⌈k/s⌉, and a Slice of what is then too much;
* "phases" is a convolution for each phase, of its own taps alone, and a Concat: as many MACs as before.

"auto" takes the one with the fewest MACs, then bytes, in this order where they tie; "phases" only where the
crop form multiplies zeros, and in no more than 16 parts.

Source: Shi et al., Is the deconvolution layer the same as a convolutional layer? (2016).
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from convgraph.analysis.cost import Cost, graph_cost
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.passes.algebra.constant_weight import constant_weight
from convgraph.passes.algebra.transposed import (
    MOST_PARTS,
    LowersConvTranspose,
    TransposedConv,
    axes_of,
    spell,
)

Form = Literal["one", "crop", "phases"]


@dataclass(frozen=True, kw_only=True)
class LowerConvTransposeToSubPixel(LowersConvTranspose):
    """Spell a transposed convolution as convolutions that make its phases, and a channel shuffle."""

    name: ClassVar[str] = "lower-conv-transpose-to-sub-pixel"

    form: Form | Literal["auto"] = "auto"

    def apply(self, edit: Edit, m: TransposedConv) -> None:
        """Convolve for all phases, interleave them, slice off what is too much."""
        _spell(edit, m.conv, form=_cheapest(edit.graph, m.conv) if self.form == "auto" else self.form)


def _spell(edit: Edit, node: int, *, form: Form) -> None:
    x, (_, weight) = edit.graph.operand(node, 0), constant_weight(edit.graph, node)
    assert x is not None
    axes = axes_of(edit.graph, node)
    chosen = [axis.aligned for axis in axes] if form == "crop" else axes
    spell(edit, node, x=x, axes=chosen, weight=weight, apart=form == "phases")


def _cheapest(graph: Graph, node: int) -> Form:
    axes = axes_of(graph, node)
    if max(axis.stride for axis in axes) == 1:
        return "one"
    forms: list[Form] = ["one", "crop"]
    if math.prod(axis.stride for axis in axes) <= MOST_PARTS and not all(a.aligned.is_full for a in axes):
        forms.append("phases")
    return min(forms, key=lambda form: _cost(graph, node, form=form))


def _cost(graph: Graph, node: int, *, form: Form) -> Cost:
    region = graph.region([node])
    edit = Edit(region)
    _spell(edit, node, form=form)
    edit.sweep()
    return graph_cost(region)
