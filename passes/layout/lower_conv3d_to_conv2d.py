"""Convolve volumes as images, for which a runtime has fast kernels.

    conv(x, W, b; k×l×m, stride s×t×u)  ->  to_volumes(conv(x₀, W₀, b; l×m, stride t×u) + conv(x₁, W₁) + …)
    conv(x, W, b; k×1×1, stride s×1×1)  ->  reshape(conv(reshape(x; N × C × D × H·W), W, b; k×1, stride s×1))

xᵢ are the planes that tap i along the depth sees, side by side in the batch, and Wᵢ its part of the kernel:
x with depth before channels, zeros around, every s-th plane from i dilations on. to_volumes puts what comes
of them back. Where planes themselves are not convolved they need not be turned: in the second form they are
rows. As many multiplications. onnxruntime unfolds what it convolves along three axes, and convolves images in
blocks of channels, where it also adds as it writes; single pixels, a matrix product either way, stay as they
are. Exact: the same products, summed in another order.

Source: onnxruntime's NchwcTransformer, which blocks what is convolved along two axes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, Conv, Op, Pad, Reshape, Slice, Squeeze, Transpose, Unsqueeze
from convgraph.ir.tensor import Dim
from convgraph.passes.algebra.constant_weight import WeightedConv, constant_weight
from convgraph.passes.algebra.outer_taps import convolution, known_pads
from convgraph.passes.algebra.pixels import END
from convgraph.passes.algebra.pointwise import is_pointwise
from convgraph.passes.rewrite import requirement
from convgraph.passes.timed import TimedRewrite

_AXES = 3
_DEPTH_FIRST = (0, 2, 1, 3, 4)  # (N, C, D, H, W) -> (N, D, C, H, W), and back
_IMAGE = 4  # axes of a batch of images
_BLOCK = 8  # channels, on processors with the smallest
_LEAST = 0.45  # of the predicted time to save, where the last block is not full: there predictions are off
_DEEPEST = 32  # taps along the depth: deeper kernels, in a damaged model, would be spelled tap by tap


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvOfVolumes(WeightedConv):
    """A convolution along three axes, and whether the channels that it makes are whole blocks."""

    fills_blocks: bool


@dataclass(frozen=True, kw_only=True)
class LowerConv3dToConv2d(TimedRewrite[ConvOfVolumes]):
    """Convolve volumes as images, for which a runtime has fast kernels."""

    name: ClassVar[str] = "lower-conv3d-to-conv2d"
    roots: ClassVar[tuple[type[Op], ...]] = (Conv,)
    after: ClassVar[tuple[str, ...]] = (
        "fold-batchnorm-into-conv",
        "fold-scale-into-conv",
        "fold-shift-into-conv",
        "fuse-activation-into-conv",
        "merge-parallel-branches",
    )
    makes: ClassVar[tuple[type[Op], ...]] = (Add, Pad, Reshape, Slice, Squeeze, Transpose, Unsqueeze)
    reads_weights: ClassVar[bool] = False

    def margin(self, match: ConvOfVolumes) -> float:
        """What it has to save: more where a block is computed for a part of it."""
        return 0.0 if match.fills_blocks else _LEAST

    def find(self, graph: Graph, node: int) -> ConvOfVolumes | None:
        """A convolution along three axes, not of single pixels alone, that leaves something of them."""
        x, weight = graph.operands(node)[:2]
        assert x is not None
        assert weight is not None
        if convolution(graph, node).spatial_rank != _AXES or is_pointwise(graph, node):
            return None
        taps, sizes = graph.type(weight).dim(2), (*_sizes(graph, x), *_sizes(graph, Value(node, 0)))
        if 0 in sizes or (isinstance(taps, int) and taps > _DEEPEST) or not self.can_be_judged:
            return None
        filters = graph.type(weight).dim(0)
        return ConvOfVolumes(conv=node, fills_blocks=isinstance(filters, int) and filters % _BLOCK == 0)

    @requirement
    def the_weight_is_constant(self, graph: Graph, m: ConvOfVolumes) -> bool:
        """The weight is a constant that no caller can override."""
        return graph.constant(graph.operand(m.conv, 1)) is not None

    @requirement
    def the_pads_are_known(self, graph: Graph, m: ConvOfVolumes) -> bool:
        """The padding is given as numbers or follows from sizes that are known."""
        return known_pads(graph, m.conv) is not None

    @requirement
    def the_volumes_can_be_told_apart(self, graph: Graph, m: ConvOfVolumes) -> bool:
        """The number of volumes, the depth of the results or, for rows, a size of their planes is known."""
        batch, _, depth, *_ = _sizes(graph, Value(m.conv, 0))
        return isinstance(batch, int) or isinstance(depth, int) or _keeps_planes(graph, m.conv)

    def replaces(self, graph: Graph, match: ConvOfVolumes) -> tuple[int, ...]:
        """The convolution."""
        return (match.conv,)

    def apply(self, edit: Edit, m: ConvOfVolumes) -> None:
        """Put convolutions of images in the convolution's place."""
        x = edit.graph.operand(m.conv, 0)
        assert x is not None
        rows, within = _keeps_planes(edit.graph, m.conv), _fits_images(edit.graph, m.conv)
        y = _along_rows(edit, m.conv, x) if rows else _added(edit, m.conv, _turned(edit, x))
        y = _activated(edit, m.conv, y) if within else y
        y = _with_planes(edit, m.conv, y) if rows else _turned(edit, _volumes(edit, m.conv, y))
        edit.replace(Value(m.conv, 0), y if within else _activated(edit, m.conv, y))


def _fits_images(graph: Graph, conv: int) -> bool:
    """Whether an activation does the same to images: numbers for each channel would need other axes."""
    kinds = [graph.type(value) for value in graph.operands(conv)[3:] if value is not None]
    return all(kind.size == 1 and (kind.rank or 0) <= _IMAGE for kind in kinds)


def _activated(edit: Edit, conv: int, y: Value) -> Value:
    """The activation that was fused into the convolution, if any, of y."""
    activation, parameters = convolution(edit.graph, conv).activation, edit.graph.operands(conv)[3:]
    return y if activation is None else edit.add(activation, y, *parameters)


def _keeps_planes(graph: Graph, conv: int) -> bool:
    """Whether each pixel only meets its own in other planes, and a size lets rows be planes again."""
    op, pads, (_, weight) = convolution(graph, conv), known_pads(graph, conv), constant_weight(graph, conv)
    assert pads is not None
    is_alone = {*weight.shape[3:], *op.strides[1:]} == {1} and not any((*pads[1:3], *pads[4:]))
    return is_alone and any(isinstance(size, int) for size in _sizes(graph, Value(conv, 0))[3:])


def _along(graph: Graph, conv: int, *, axes: Sequence[int]) -> Conv:
    """The convolution along some of its axes, without its activation."""
    op, pads = convolution(graph, conv), known_pads(graph, conv)
    assert pads is not None
    return replace(
        op,
        strides=tuple(op.strides[axis] for axis in axes),
        pads=tuple(pads[axis + end] for end in (0, _AXES) for axis in axes),
        dilations=tuple(op.dilations[axis] for axis in axes),
        auto_pad="NOTSET",
        activation=None,
    )


def _along_rows(edit: Edit, conv: int, x: Value) -> Value:
    """A convolution along the depth, planes being rows: (N, C, D, H, W) -> (N, K, D', H·W)."""
    value, weight = constant_weight(edit.graph, conv)
    high, wide = map(_or_rest, _sizes(edit.graph, Value(conv, 0))[3:])
    rows = _reshaped(edit, x, (0, 0, 0, high * wide if min(high, wide) > 0 else -1))
    op, kernel = _along(edit.graph, conv, axes=(0, 1)), edit.constant(weight[..., 0], like=value)
    return edit.add(op, rows, kernel, *_bias(edit, conv), like=conv)


def _with_planes(edit: Edit, conv: int, y: Value) -> Value:
    """Rows that are planes again: (N, K, D', H·W) -> (N, K, D', H, W)."""
    plane = _sizes(edit.graph, Value(conv, 0))[3:]
    return _reshaped(edit, y, (0, 0, 0, *map(_or_rest, plane)))


def _added(edit: Edit, conv: int, x: Value) -> Value:
    """What all taps along the depth come to: (N, D, C, H, W) -> (N·D', K, H', W')."""
    value, weight = constant_weight(edit.graph, conv)
    parts = (np.ascontiguousarray(weight[:, :, tap]) for tap in range(weight.shape[2]))
    kernels = [edit.constant(part, like=value) for part in parts]
    images = _seen(edit, conv, x, taps=len(kernels))
    op = _along(edit.graph, conv, axes=(1, 2))
    y = edit.add(op, images[0], kernels[0], *_bias(edit, conv), like=conv)
    for planes, kernel in zip(images[1:], kernels[1:], strict=True):
        y = edit.add(Add(), y, edit.add(op, planes, kernel))
    return y


def _seen(edit: Edit, conv: int, x: Value, *, taps: int) -> list[Value]:
    """The planes (N·D', C, H, W) that each tap along the depth sees, of x (N, D, C, H, W)."""
    op, pads = convolution(edit.graph, conv), known_pads(edit.graph, conv)
    assert pads is not None
    is_alone = taps > 1 and edit.graph.type(x).dim(0) == 1  # a Slice alone changes places with the Transpose
    x, depth = (_images(edit, x), 0) if is_alone else (x, 1)
    if any(pads[::_AXES]):
        amounts = [n for pad in pads[::_AXES] for n in (*[0] * depth, pad, 0, 0, 0)]
        x = edit.add(Pad(), x, _numbers(edit, amounts))
    step, stride = op.dilations[0], op.strides[0]
    if taps == stride == 1:
        return [_images(edit, x)]
    cuts = ((step * tap, step * (tap + 1 - taps) or END, depth, stride) for tap in range(taps))
    seen = [edit.add(Slice(), x, *(_numbers(edit, [number]) for number in cut)) for cut in cuts]
    return seen if is_alone else [_images(edit, planes) for planes in seen]


def _images(edit: Edit, x: Value) -> Value:
    """Planes side by side in the batch: (N, D, C, H, W) -> (N·D, C, H, W)."""
    batch, _, *image = _sizes(edit.graph, x)
    if batch == 1:
        return edit.add(Squeeze(), x, _numbers(edit, [0]))
    if all(isinstance(size, int) for size in image):
        return _reshaped(edit, x, (-1, *map(_or_rest, image)))
    return edit.add(Squeeze(), _reshaped(edit, x, (-1, 1, 0, 0, 0)), _numbers(edit, [1]))


def _volumes(edit: Edit, conv: int, y: Value) -> Value:
    """The images of each volume apart: (N·D', K, H', W') -> (N, D', K, H', W')."""
    batch, _, depth, *_ = _sizes(edit.graph, Value(conv, 0))
    image = edit.graph.type(y).shape or ()
    if batch == 1:
        return edit.add(Unsqueeze(), y, _numbers(edit, [0]))
    apart = _or_rest(batch), _or_rest(depth)
    if all(isinstance(size, int) for size in image[1:]):
        return _reshaped(edit, y, (*apart, *map(_or_rest, image[1:])))
    return _reshaped(edit, edit.add(Unsqueeze(), y, _numbers(edit, [1])), (*apart, 0, 0, 0))


def _turned(edit: Edit, x: Value) -> Value:
    """Depth before channels, or back."""
    return edit.add(Transpose(perm=_DEPTH_FIRST), x)


def _bias(edit: Edit, conv: int) -> tuple[Value | None, ...]:
    return edit.graph.operands(conv)[2:3]


def _sizes(graph: Graph, value: Value) -> list[Dim]:
    return [graph.type(value).dim(axis) for axis in range(2 + _AXES)]


def _or_rest(size: Dim) -> int:
    return size if isinstance(size, int) else -1


def _reshaped(edit: Edit, x: Value, shape: Sequence[int]) -> Value:
    return edit.add(Reshape(), x, _numbers(edit, shape))


def _numbers(edit: Edit, numbers: Sequence[int]) -> Value:
    return edit.constant(np.asarray(numbers, dtype=np.int64))
