"""Spell a linear resize by whole numbers as convolutions that make its phases, and a shuffle of channels.

    resize_linear(x, s)  ->  depth_to_space(conv(pad_edge(x, 1), V; group = C), s)

where channel (c, r) of V holds the weights of the neighbours of the outputs at place r of every block: tents
are the kernels of a depthwise transposed convolution, which is spelled as lower-conv-transpose-to-sub-pixel
does. Repeating the edge once gives what a resize sees beyond it. Half-pixel and asymmetric coordinates, any
number of spatial axes; sizes may be symbolic. Exact up to the rounding of the weights to the type of x.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import ConvTranspose, Op, Pad, Resize
from convgraph.passes.algebra.repeated import times_of
from convgraph.passes.algebra.tents import lead, tent, tents
from convgraph.passes.algebra.transposed import TransposedConv
from convgraph.passes.lowering.lower_conv_transpose_to_sub_pixel import LowerConvTransposeToSubPixel
from convgraph.passes.lowering.lower_resize_to_expand import Resized, resize_count
from convgraph.passes.rewrite import Measure, Rewrite, requirement

_GRIDS = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "asymmetric")


@dataclass(frozen=True, kw_only=True)
class LowerLinearResizeToConv(Rewrite[Resized]):
    """Spell a linear resize by whole numbers as convolutions and a channel shuffle."""

    name: ClassVar[str] = "lower-linear-resize-to-conv"
    roots: ClassVar[tuple[type[Op], ...]] = (Resize,)
    lowers: ClassVar[tuple[type[Op], ...]] = (Resize,)
    measure: ClassVar[Measure] = staticmethod(resize_count)

    def find(self, graph: Graph, node: int) -> Resized | None:
        """A Resize that interpolates linearly between floating-point numbers: convolutions take no others."""
        fits = _resize(graph, node).mode == "linear" and graph.type(Value(node, 0)).dtype.is_float
        return Resized(resize=node) if fits else None

    @requirement
    def only_spatial_axes_grow_by_whole_numbers(self, graph: Graph, m: Resized) -> bool:
        """The spatial axes grow by known whole numbers, and the batch and the channels keep their size."""
        return times_of(graph, m.resize, _resize(graph, m.resize)) is not None

    @requirement
    def its_grid_is_the_same_at_every_size(self, graph: Graph, m: Resized) -> bool:
        """Outputs lie half-pixel or asymmetric between inputs, and the edge counts for what is beyond it."""
        op = _resize(graph, m.resize)
        return op.coordinate_transformation_mode in _GRIDS and not op.exclude_outside

    @requirement
    def the_number_of_channels_is_known(self, graph: Graph, m: Resized) -> bool:
        """The number of channels is known."""
        return isinstance(graph.type(Value(m.resize, 0)).dim(1), int)

    def apply(self, edit: Edit, m: Resized) -> None:
        """Repeat the edge, and write and spell a transposed convolution."""
        graph, result = edit.graph, Value(m.resize, 0)
        x, kind = graph.operand(m.resize, 0), graph.type(result)
        times = times_of(graph, m.resize, _resize(graph, m.resize))
        channels = kind.dim(1)
        assert x is not None
        assert times is not None
        assert isinstance(channels, int)
        halves = _resize(graph, m.resize).coordinate_transformation_mode != "asymmetric"
        kernel = tents(times, halves=halves).astype(kind.dtype.numpy)
        weight = edit.constant(np.repeat(kernel[None, None], channels, axis=0))
        y = edit.add(_enlarging(times, group=channels, halves=halves), _edged(edit, x, times), weight)
        edit.replace(result, y)
        LowerConvTransposeToSubPixel().apply(edit, TransposedConv(conv=y.node))


def _resize(graph: Graph, node: int) -> Resize:
    op = graph.op(node)
    assert isinstance(op, Resize)
    return op


def _edged(edit: Edit, x: Value, times: Sequence[int]) -> Value:
    """X with its edge repeated once on the axes that grow."""
    amounts = [int(factor > 1) for factor in times]
    pads = np.array([0, 0, *amounts, 0, 0, *amounts], dtype=np.int64)
    return edit.add(Pad(mode="edge"), x, edit.constant(pads)) if any(amounts) else x


def _enlarging(times: Sequence[int], *, group: int, halves: bool) -> ConvTranspose:
    """The transposed convolution of tents that leaves the repeated edge out."""
    begins, ends = zip(*(_cuts(factor, halves=halves) for factor in times), strict=True)
    return ConvTranspose.of(len(times), strides=times, pads=(*begins, *ends), group=group)


def _cuts(factor: int, *, halves: bool) -> tuple[int, int]:
    """What to cut off at either end: what comes of the repeated edge, and of the tents beyond it."""
    if factor == 1:
        return 0, 0
    begin = factor + lead(factor, halves=halves)
    return begin, factor + tent(factor, halves=halves).size - begin
