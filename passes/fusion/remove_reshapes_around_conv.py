"""Convolve single pixels on the axes they come on.

    reshape(conv1×1(reshape(x; N × C × pixels), W, b); N × M × spatial axes of x)  ->  conv1×1(x, W', b)

W' is W with an axis of one element for each spatial axis of x. Squeeze, Unsqueeze and Flatten count as
Reshape. Exact: the same products, summed in the same order. A linear layer on an image's sequence of pixels
(SegFormer's decoder, Xie et al. 2021, section 3.2; non-local blocks) comes so, and what follows the second
Reshape then meets a convolution.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Conv, Op
from convgraph.passes.algebra.outer_taps import convolution
from convgraph.passes.algebra.pointwise import is_pointwise
from convgraph.passes.cleanup.same_elements import ARRANGING, keeps_order
from convgraph.passes.rewrite import Rewrite, requirement

_PARAMETERS = 3  # operands of a convolution without those of its activation
_RANKS = range(3, 6)  # of what runtimes convolve


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvOfPixels:
    """x, the convolution of its pixels in other axes, and the result on axes like x's."""

    x: Value
    conv: int
    result: Value


@dataclass(frozen=True, kw_only=True)
class RemoveReshapesAroundConv(Rewrite[ConvOfPixels]):
    """Convolve single pixels on the axes they come on."""

    name: ClassVar[str] = "remove-reshapes-around-conv"
    roots: ClassVar[tuple[type[Op], ...]] = ARRANGING

    def find(self, graph: Graph, node: int) -> ConvOfPixels | None:
        """A convolution, its activation without numbers of its own, between two that arrange elements."""
        mixed = graph.operand(node, 0)
        if mixed is None or not keeps_order(graph, node) or not isinstance(graph.producer(mixed), Conv):
            return None
        flat, *parameters = graph.operands(mixed.node)
        x = None if flat is None else graph.operand(flat.node, 0)
        if flat is None or x is None or not keeps_order(graph, flat.node) or len(parameters) >= _PARAMETERS:
            return None
        return ConvOfPixels(x=x, conv=mixed.node, result=Value(node, 0))

    @requirement
    def the_convolution_is_pointwise(self, graph: Graph, m: ConvOfPixels) -> bool:
        """The kernel is one pixel, moved by one, without padding."""
        return is_pointwise(graph, m.conv)

    @requirement
    def only_the_pixels_are_arranged(self, graph: Graph, m: ConvOfPixels) -> bool:
        """Samples and channels stay axes of their own, and the spatial axes end as they were."""
        flat = graph.operand(m.conv, 0)
        assert flat is not None
        values = (m.x, flat, Value(m.conv, 0), m.result)
        before, inside, mixed, after = (graph.type(value).shape for value in values)
        if before is None or inside is None or mixed is None or after is None or len(before) not in _RANKS:
            return False
        known = None not in (*before, *after)
        return known and before[:2] == inside[:2] and after == (*mixed[:2], *before[2:])

    @requirement
    def the_weight_is_constant(self, graph: Graph, m: ConvOfPixels) -> bool:
        """The weight is constant, so that its axes are arranged here."""
        return graph.constant(graph.operand(m.conv, 1)) is not None

    @requirement
    def nothing_else_reads_the_convolution(self, graph: Graph, m: ConvOfPixels) -> bool:
        """The convolution has no other reader, so that it goes."""
        return graph.sole_reader(Value(m.conv, 0)) is not None

    def apply(self, edit: Edit, m: ConvOfPixels) -> None:
        """Convolve x with a kernel that has as many axes."""
        graph, op = edit.graph, convolution(edit.graph, m.conv)
        _, named, *bias = graph.operands(m.conv)
        rank, weight = graph.type(m.x).rank, graph.constant(named)
        assert rank is not None
        assert weight is not None
        axes = rank - 2
        kernel = weight.numpy().reshape(*weight.shape[:2], *(1,) * axes)
        ones, none = (1,) * axes, (0,) * (2 * axes)
        op = replace(op, strides=ones, dilations=ones, pads=none, auto_pad="NOTSET")
        mixed = edit.add(op, m.x, edit.constant(kernel, like=named), *bias, like=m.conv)
        edit.replace(m.result, mixed)
