"""Spell a transposed convolution as a nearest-neighbour resize and a convolution.

    conv_transpose(x, box_s ∗ K, b; stride s)  ->  conv(resize_nearest(x, s), K turned round, b)

Inserting s − 1 zeros after every pixel and convolving with a box of s ones repeats every pixel s times. So a
kernel that the box divides, along every line of every axis and for every pair of channels, leaves the
quotient K to be convolved with the resized x. Equal sums of the phases are not enough. Exact where the
division leaves no remainder beyond the rounding of the weights to their type.

Source: Odena et al., Deconvolution and Checkerboard Artifacts (Distill, 2016), which proposes to train the
right side in the first place.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import ml_dtypes
import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import ConvTranspose, Resize
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.constant_weight import constant_weight, weight_at
from convgraph.passes.algebra.transposed import (
    LowersConvTranspose,
    TransposedConv,
    axes_of,
    spell,
    transposed,
)
from convgraph.passes.rewrite import requirement


@dataclass(frozen=True, kw_only=True)
class SplitConvTransposeIntoResizeAndConv(LowersConvTranspose):
    """Spell a transposed convolution as a nearest-neighbour resize and a convolution."""

    name: ClassVar[str] = "split-conv-transpose-into-resize-and-conv"

    def find(self, graph: Graph, node: int) -> TransposedConv | None:
        """A transposed convolution that makes the image larger."""
        enlarges = max(transposed(graph, node).strides, default=1) > 1
        return super().find(graph, node) if enlarges else None

    @requirement
    def the_box_divides_the_kernel(self, graph: Graph, m: TransposedConv) -> bool:
        """Along every line of the kernel the box of the stride's size divides it without a remainder."""
        weight = weight_at(graph, m.conv)  # one that is not constant is refused for that
        return weight is None or _divides(transposed(graph, m.conv), weight)

    def apply(self, edit: Edit, m: TransposedConv) -> None:
        """Resize, then convolve with the quotient."""
        op, axes = transposed(edit.graph, m.conv), axes_of(edit.graph, m.conv)
        _, weight = constant_weight(edit.graph, m.conv)
        scales = np.array([1, 1, *op.strides], dtype=np.float32)
        nearest = Resize(coordinate_transformation_mode="asymmetric", nearest_mode="floor")
        large = edit.add(nearest, edit.graph.operand(m.conv, 0), None, edit.constant(scales))
        kernel = _rounded(_quotient(op, weight), weight.dtype)
        dense = [
            axis._replace(kernel=size, stride=1, dilation=1)
            for axis, size in zip(axes, kernel.shape[2:], strict=True)
        ]
        spell(edit, m.conv, x=large, axes=dense, weight=kernel)


def _divides(op: ConvTranspose, weight: Array) -> bool:
    whole = _dilated(op, weight)
    if any(size < stride for size, stride in zip(whole.shape[2:], op.strides, strict=True)):
        return False
    kernel = _quotient(op, weight)
    if not np.isfinite(_rounded(kernel, weight.dtype).astype(np.float64)).all():
        return False
    for place, stride in enumerate(op.strides, start=2):
        kernel = _boxed(kernel, place, stride)
    largest = np.max(np.abs(whole), axis=tuple(range(2, whole.ndim)), keepdims=True)
    return bool(np.all(np.abs(kernel - whole) <= largest * _rounding(op, whole.shape[2:], weight.dtype)))


def _rounding(op: ConvTranspose, sizes: Sequence[int], dtype: np.dtype[Any]) -> float:
    """What rounding the weights to their type can leave over, relative to the largest of a kernel.

    A remainder adds and subtracts at most two weights for each repetition of the stride along the kernel.
    """
    terms = [2 * -(-size // stride) for size, stride in zip(sizes, op.strides, strict=True)]
    return math.prod(terms) * float(ml_dtypes.finfo(dtype).eps)  # type: ignore[no-untyped-call]  # no annotations


def _rounded(kernel: Array, dtype: np.dtype[Any]) -> Array:
    with np.errstate(over="ignore"):
        return kernel.astype(dtype)


def _quotient(op: ConvTranspose, weight: Array) -> Array:
    """K of W = box ∗ K in float64, any remainder ignored."""
    kernel = _dilated(op, weight)
    for place, stride in enumerate(op.strides, start=2):
        kernel = _unboxed(kernel, place, stride)
    return kernel


def _dilated(op: ConvTranspose, weight: Array) -> Array:
    """The kernel with the zeros between its taps written out, in float64."""
    reach = (d * (size - 1) + 1 for d, size in zip(op.dilations, weight.shape[2:], strict=True))
    whole = np.zeros((*weight.shape[:2], *reach))
    taps = tuple(slice(None, None, dilation) for dilation in op.dilations)
    whole[(slice(None), slice(None), *taps)] = weight
    return whole


def _unboxed(kernel: Array, place: int, stride: int) -> Array:
    """K from K[n] = K[n − s] + W[n] − W[n − 1], along one axis."""
    lines = np.moveaxis(kernel, place, 0)
    found = np.diff(lines, axis=0, prepend=0)[: len(lines) - stride + 1]
    for n in range(stride, len(found)):
        found[n] += found[n - stride]
    return np.moveaxis(found, 0, place)


def _boxed(kernel: Array, place: int, stride: int) -> Array:
    """The box convolved with K, along one axis."""
    lines = np.moveaxis(kernel, place, 0)
    whole = np.zeros((len(lines) + stride - 1, *lines.shape[1:]))
    for shift in range(stride):
        whole[shift : shift + len(lines)] += lines
    return np.moveaxis(whole, 0, place)
