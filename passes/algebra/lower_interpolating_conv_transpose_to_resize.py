"""Spell a transposed convolution that interpolates as a linear resize.

    conv_transpose(x, a·(t ⊗ t), b; stride s)  ->  slice(resize_linear(pad(a·x, 1), s)) + b
    t[j]  =  1 − |j − (k−1)/2| / s        k = 2s taps for even s, 2s − 1 for odd

with one number a for each channel, where every channel feeds itself alone: depthwise, or with a weight that
is zero off the diagonal. Fully convolutional networks initialise their upsamplings so. The transposed
convolution sees zeros beyond the image, where a resize repeats its edge: one zero around x gives the resize
the same, and the Slice takes away what comes of it. Where padding already leaves out everything near the
edge, no zeros are needed. Exact up to the rounding of the weights to their type. A resize multiplies little,
but not every runtime resizes fast (measured: 0.7 to 3.3 times as fast, most for dense weights), so whether it
pays is for a target to say.

Source: Long et al., Fully Convolutional Networks for Semantic Segmentation (2015), 3.3.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, ConvTranspose, Mul, Op, Pad, Resize
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.constant_weight import constant_weight, weight_at
from convgraph.passes.algebra.factors import unit_roundoff
from convgraph.passes.algebra.phases import Axis
from convgraph.passes.algebra.pixels import cropped
from convgraph.passes.algebra.tents import lead, tents
from convgraph.passes.algebra.transposed import (
    LowersConvTranspose,
    TransposedConv,
    axes_of,
    settle,
    transposed,
)
from convgraph.passes.fusion.channelwise import Vector
from convgraph.passes.rewrite import Measure, PricedRewrite, target_cost


@dataclass(frozen=True, kw_only=True)
class LowerInterpolatingConvTransposeToResize(LowersConvTranspose, PricedRewrite[TransposedConv]):
    """Spell a transposed convolution that interpolates as a linear resize."""

    name: ClassVar[str] = "lower-interpolating-conv-transpose-to-resize"
    makes: ClassVar[tuple[type[Op], ...]] = (Resize,)
    measure: ClassVar[Measure] = staticmethod(target_cost)

    def find(self, graph: Graph, node: int) -> TransposedConv | None:
        """A transposed convolution that makes the image larger with tents for kernels."""
        op, weight = transposed(graph, node), weight_at(graph, node)
        if weight is None or max(op.strides) == 1 or max(op.dilations) > 1:
            return None
        if any(size < stride for size, stride in zip(weight.shape[2:], op.strides, strict=True)):
            return None  # a tent is wider than a step
        return None if _scales(op, weight) is None else TransposedConv(conv=node)

    def replaces(self, graph: Graph, match: TransposedConv) -> Iterable[int]:
        """The transposed convolution."""
        return (match.conv,)

    def apply(self, edit: Edit, m: TransposedConv) -> None:
        """Scale, pad, resize, slice, add the bias."""
        graph, op = edit.graph, transposed(edit.graph, m.conv)
        x, weight, *rest = graph.operands(m.conv)
        _, array = constant_weight(graph, m.conv)
        scales = _scales(op, array)
        assert x is not None
        assert scales is not None
        by_channel = (-1, *(1 for _ in op.strides))
        if (scales != 1).any():
            factors = scales.astype(array.dtype).reshape(by_channel)
            x = edit.add(Mul(), x, edit.constant(factors, like=weight))
        y = _interpolated(edit, x, axes_of(graph, m.conv))
        bias = graph.constant(rest[0]) if rest else None
        if bias is not None:
            y = edit.add(Add(), y, edit.constant(bias.numpy().reshape(by_channel), like=rest[0]))
        settle(edit, m.conv, y, activated=False)


def _scales(op: ConvTranspose, weight: Array) -> Vector | None:
    """What each channel is multiplied by; None where a kernel is no tent, or mixes channels."""
    kernel, (channels, per_group) = tents(op.strides, halves=True), weight.shape[:2]
    if weight.shape[2:] != kernel.shape or channels != per_group * op.group:
        return None
    own = np.arange(channels) % per_group
    alone = weight[np.arange(channels), own].astype(np.float64)
    if np.count_nonzero(weight) != np.count_nonzero(alone):
        return None
    highest = np.unravel_index(np.argmax(kernel), kernel.shape)
    scales: Vector = alone[(slice(None), *highest)] / kernel[highest]
    scales = np.where(np.abs(scales - 1) <= 4 * unit_roundoff(weight), 1, scales)
    ideal = scales.reshape(-1, *(1 for _ in kernel.shape)) * kernel
    near = np.abs(alone - ideal) <= 4 * unit_roundoff(weight) * np.abs(scales).reshape(
        -1, *(1,) * kernel.ndim
    )
    return scales if near.all() else None


def _interpolated(edit: Edit, x: Value, axes: list[Axis]) -> Value:
    """X with a zero around it where the edge is seen, enlarged, without what is too much."""
    edit.require_opset(11)  # half-pixel coordinates
    begins, ends = zip(*(_zeros(axis) for axis in axes), strict=True)
    if any((*begins, *ends)):
        x = edit.add(Pad(), x, edit.constant(np.array([0, 0, *begins, 0, 0, *ends], dtype=np.int64)))
    scales = np.array([1, 1, *(axis.stride for axis in axes)], dtype=np.float32)
    large = edit.add(Resize(mode="linear"), x, None, edit.constant(scales))
    return cropped(
        edit,
        large,
        begins=[_early(axis) + axis.stride * count for axis, count in zip(axes, begins, strict=True)],
        ends=[_late(axis) + axis.stride * count for axis, count in zip(axes, ends, strict=True)],
    )


def _early(axis: Axis) -> int:
    """How many elements the resized x has before the first output."""
    return axis.p - lead(axis.stride, halves=True)


def _late(axis: Axis) -> int:
    """How many elements the resized x has after the last output."""
    return axis.q - axis.e - lead(axis.stride, halves=True)


def _zeros(axis: Axis) -> tuple[int, int]:
    """How many zeros to put at either end: none where the outputs made of the edge alone are not wanted."""
    edge = lead(axis.stride, halves=True)
    begin, end = (
        0 if beyond >= edge else max(1, -(beyond // axis.stride)) for beyond in (_early(axis), _late(axis))
    )
    return begin, end
