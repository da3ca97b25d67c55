"""Absorb a Slice that cuts ends off a convolution's result into the convolution's pads.

    conv(x, W, b; pads p, q)[l : −r]  ->  conv(x, W, b; pads p − l·s, q − r·s)        s the stride
    convtranspose(x, W, b; pads p, q)[l : −r]  ->  convtranspose(x, W, b; pads p + l, q + r)

on each spatial axis; a Pad with negative amounts is such a Slice. Causal convolutions pad both ends and cut
off what looks ahead (the "chomp" of Bai et al., An Empirical Evaluation of Generic Convolutional and
Recurrent Networks for Sequence Modeling, 2018); decoders crop what a transposed convolution makes too much.
Exact: each result that stays is computed as before, from the same elements. The pads of a Conv cannot
become negative.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import ConvTranspose
from convgraph.passes.fusion.after_convolution import convolution
from convgraph.passes.fusion.sliced import SlicedConv, TakeFromConvolution, least_left
from convgraph.passes.rewrite import requirement


@dataclass(frozen=True, kw_only=True)
class AbsorbSliceIntoConv(TakeFromConvolution):
    """Absorb a Slice that cuts ends off a convolution's result into the convolution's pads."""

    name: ClassVar[str] = "absorb-slice-into-conv"

    @requirement
    def the_padding_covers_the_cut(self, graph: Graph, m: SlicedConv) -> bool:
        """What is cut off a Conv's result is no more than its padding makes."""
        return m.pads is None or min(m.pads) >= 0

    @requirement
    def something_is_left(self, graph: Graph, m: SlicedConv) -> bool:
        """Whatever the sizes left open, every axis that is cut keeps at least one element."""
        return m.pads is None or all(size > 0 for size in least_left(graph, m))

    def apply(self, edit: Edit, m: SlicedConv) -> None:
        """Put a convolution with other pads in the place of both."""
        assert m.pads is not None
        op = replace(convolution(edit.graph, m.conv), pads=m.pads, auto_pad="NOTSET")
        if isinstance(op, ConvTranspose):
            op = replace(op, output_shape=None)
        edit.replace(m.result, edit.add(op, *edit.graph.operands(m.conv), like=m.conv))
