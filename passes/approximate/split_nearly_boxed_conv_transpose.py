"""Spell a transposed convolution as a nearest-neighbour resize and a convolution that come near it.

    conv_transpose(x, W, b; stride s)  ->  conv(resize_nearest(x, s), K turned round, b)
    K = argmin ‖W − box_s ∗ K‖

The exact spelling (split-conv-transpose-into-resize-and-conv) of the nearest kernel that the box divides: the
least squares along one axis after the other, whose product is the least squares along all. Every pixel of the
result then sees the same sum of weights, so the checkerboard of unequal phases is gone; multiplications are
not saved, and so it waits to be asked for by name.

Source: Odena et al., Deconvolution and Checkerboard Artifacts (Distill, 2016).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Use
from convgraph.ir.ops import ConvTranspose, Op
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.constant_weight import constant_weight, weight_at
from convgraph.passes.algebra.transposed import LowersConvTranspose, TransposedConv, transposed
from convgraph.passes.approximate.approximation import Approximation, Setting
from convgraph.passes.lowering.split_conv_transpose_into_resize_and_conv import (
    SplitConvTransposeIntoResizeAndConv,
)
from convgraph.passes.rewrite import requirement


@dataclass(frozen=True, kw_only=True)
class SplitNearlyBoxedConvTranspose(Approximation[TransposedConv], LowersConvTranspose):
    """Spell a transposed convolution as a nearest-neighbour resize and a convolution that come near it."""

    name: ClassVar[str] = "split-nearly-boxed-conv-transpose"
    lowers: ClassVar[tuple[type[Op], ...]] = ()  # what a device lacks is spelled exactly or not at all
    on_request: ClassVar[bool] = True

    def closest(self, graph: Graph, node: int) -> TransposedConv | None:
        """A transposed convolution that makes the image larger, with a kernel no smaller than the box."""
        op, weight = transposed(graph, node), weight_at(graph, node)
        if weight is None or max(op.dilations) > 1 or max(op.strides) == 1:
            return None
        fits = all(size >= stride for size, stride in zip(weight.shape[2:], op.strides, strict=True))
        return TransposedConv(conv=node) if fits and np.isfinite(weight).all() else None

    def settings(self, graph: Graph, node: int) -> Sequence[Setting[TransposedConv]]:
        """The nearest kernel is the only one."""
        match = self.closest(graph, node)
        unbounded = replace(self, tolerance=math.inf)
        if match is None or unbounded.refusal(graph, match, at="") is not None:
            return ()
        return (Setting(match=match, error=_change(graph, match), macs_saved=0),)

    @requirement
    def the_weight_changes_within_the_tolerance(self, graph: Graph, m: TransposedConv) -> bool:
        """The nearest kernel that the box divides is as near as the tolerance asks for."""
        return _change(graph, m) <= self.tolerance

    def nearest(self, graph: Graph, match: TransposedConv) -> Array:
        """The box times K."""
        array = weight_at(graph, match.conv)
        assert array is not None
        return _boxed(transposed(graph, match.conv), array).astype(array.dtype)

    def apply(self, edit: Edit, m: TransposedConv) -> None:
        """Put the nearest kernel in its place, which the box divides."""
        weight, _ = constant_weight(edit.graph, m.conv)
        edit.rewire(Use(m.conv, 1), edit.constant(self.nearest(edit.graph, m), like=weight))
        SplitConvTransposeIntoResizeAndConv().apply(edit, m)


def _change(graph: Graph, m: TransposedConv) -> float:
    """How far the nearest kernel is from the one there is, relative to its norm."""
    array = weight_at(graph, m.conv)
    assert array is not None
    whole = array.astype(np.float64)
    distance = np.linalg.norm(_boxed(transposed(graph, m.conv), array) - whole)
    return float(distance / (np.linalg.norm(whole) or 1.0))


def _boxed(op: ConvTranspose, weight: Array) -> Array:
    """The weight projected on what the box divides, along each axis, in float64."""
    kernel = weight.astype(np.float64)
    for place, stride in enumerate(op.strides, start=2):
        size = kernel.shape[place]
        box = sum(np.eye(size, size - stride + 1, -shift) for shift in range(stride))
        projection = box @ np.linalg.pinv(box)
        kernel = np.moveaxis(np.tensordot(projection, kernel, axes=(1, place)), 0, place)
    return kernel
