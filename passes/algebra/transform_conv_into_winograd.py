"""Convolve tiles of an image with fewer multiplications, by Winograd's short convolutions.

    conv(x, W, b)  ->  Aᵀ[(G W Gᵀ) ⊙ (Bᵀ d B)] A + b        for each tile d of x, m × m outputs at a time

An r×r kernel meets a tile of n × n pixels, n = m + r − 1, at n² points instead of r²·m² times
(``convgraph.passes.algebra.cook_toom``): with 3×3, 36 multiplications instead of 144 for m = 4, 16 instead
of 36 for m = 2; with 5×5, 64 instead of 400; for each pair of channels. What turns tiles there and back
grows with the number of channels alone. Or along one axis, 24 instead of 54 for m = 6, with half as much to
turn: the way of kernels that have one axis only. Kernels of 7 taps and more fall into blocks of 4
(``convgraph.passes.algebra.tiles``), 14 multiplications instead of 28 along an axis, 21 instead of 44 of 11
taps. It is spelled so that as much as possible stays in the blocked layout of convolutions:

* Bᵀ d B: a convolution of single channels along the rows for each point, with stride m, and as many along the
  columns, of all those side by side in the channels, or of each where they are large;
* the products: one convolution in a group for each point, pointwise where both axes are turned and no kernel
  falls into blocks. Its weight is computed from the taps when the model is loaded, so that the file does not
  grow; or with ``store_transforms`` written as it is then. The bias is added here, where Aᵀ makes it b
  everywhere;
* Aᵀ[…]A: a matrix product over the columns' points, which then are pixels of a row, and one over the rows'.
  A fused activation follows it.

Where a kernel moves by 2 pixels, even and odd taps are turned apart: of 5×5, 121 products instead of 400 for
16 outputs. With 3×3 that are 81 instead of 144, and four times as many pixels to turn as there are outputs:
it was measured to be 0.4 to 1 times as fast where residual networks have it, and is left alone.

Which tiles, if not those that are asked for, the target's prices say; only a target that predicts time can
weigh the additional passes over memory. Rounds more than the convolution does: by about 3e-6 of the output's
largest value for 3×3 and m = 4, up to 1e-5 at 64 points, which the comparison allows such kernels
(``convgraph.numerics.declared``).

Source: Winograd, Arithmetic Complexity of Computations (1980); Lavin and Gray, Fast Algorithms for
Convolutional Neural Networks (2016).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from convgraph.analysis.target import Price
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Concat, Conv, Expand, MatMul, Op, Pad, Reshape, Transpose
from convgraph.ir.tensor import Array, DataType, Tensor
from convgraph.passes.algebra.constant_weight import (
    TakesWeightsApart,
    WeightedConv,
    constant_weight,
    seen_once,
)
from convgraph.passes.algebra.outer_taps import convolution, known_pads
from convgraph.passes.algebra.pixels import cropped
from convgraph.passes.algebra.tiles import Axis, Tile, by_tap, kernel_transform, spread_ones, tiles
from convgraph.passes.fusion.after_convolution import is_finite
from convgraph.passes.rewrite import Offer, requirement
from convgraph.passes.timed import TimedRewrite

_ALONG_ONE, _ALONG_BOTH = 0.25, 0.35  # of the predicted time, for a gain on a single thread as measured
_ALONG_ONE_OF_ANY, _ALONG_BOTH_OF_ANY = 0.36, 0.56  # for one on two threads, too
_AXES = 2
_APART = 2**20  # elements turned along one axis: more are not copied once again to turn them together
_SCALES = 2.0**12  # from the least to the largest tap
_PRECISE = (DataType.FLOAT, DataType.DOUBLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class TiledConv(WeightedConv):
    """A convolution, and the tile to compute at a time; None where the target has to say."""

    tile: Tile | None


@dataclass(frozen=True, kw_only=True)
class TransformConvIntoWinograd(TakesWeightsApart[TiledConv], TimedRewrite[TiledConv]):
    """Convolve tiles of an image with fewer multiplications, by Winograd's short convolutions.

    ``tile`` are the tiles to take, ``store_transforms`` says that kernels are written transformed: the model
    grows, and nothing is left to whoever loads it.
    """

    name: ClassVar[str] = "transform-conv-into-winograd"
    roots: ClassVar[tuple[type[Op], ...]] = (Conv,)
    after: ClassVar[tuple[str, ...]] = (
        "fold-batchnorm-into-conv",
        "fold-scale-into-conv",
        "fold-shift-into-conv",
        "fuse-activation-into-conv",
        "merge-parallel-branches",
    )
    makes: ClassVar[tuple[type[Op], ...]] = (Concat, MatMul, Transpose)
    reads_weights: ClassVar[bool] = False

    tile: Tile | None = None
    store_transforms: bool = False

    def margin(self, match: TiledConv) -> float:
        """What it has to save: the more the more there is to turn, on several threads above all."""
        along_one = match.tile is None or 1 in match.tile
        if self.judge.threads == 1:
            return _ALONG_ONE if along_one else _ALONG_BOTH
        return _ALONG_ONE_OF_ANY if along_one else _ALONG_BOTH_OF_ANY

    def find(self, graph: Graph, node: int) -> TiledConv | None:
        """A convolution of all channels of an image, its kernel long enough, not in half precision."""
        op, weight = convolution(graph, node), graph.operand(node, 1)
        assert weight is not None
        plain, kernel = {*op.dilations, op.group} == {1}, _kernel(graph, node)
        fits = plain and len(kernel) == _AXES and bool(tiles(kernel, op.strides))
        precise = graph.type(weight).dtype in _PRECISE
        return TiledConv(conv=node, tile=self.tile) if fits and precise and self.can_be_judged else None

    the_weights_are_constant = TakesWeightsApart.the_weights_are_constant  # checked first, as they are read

    @requirement
    def the_image_is_of_known_size(self, graph: Graph, m: TiledConv) -> bool:
        """The image's height and width are known, so that it can be cut into tiles."""
        x = graph.operand(m.conv, 0)
        assert x is not None
        sizes = (graph.type(x).dim(2), graph.type(x).dim(3))
        return all(isinstance(size, int) for size in sizes) and known_pads(graph, m.conv) is not None

    @requirement
    def the_taps_are_of_one_scale(self, graph: Graph, m: TiledConv) -> bool:
        """No tap is zero throughout, or thousands of times smaller than another: it would drown in that."""
        tensor = graph.constant(graph.operand(m.conv, 1))
        assert tensor is not None
        return _is_of_one_scale(tensor)

    @requirement
    def the_new_weights_are_finite(self, graph: Graph, m: TiledConv) -> bool:
        """The new weights stay within the range of their element type."""
        tensor = graph.constant(graph.operand(m.conv, 1))
        assert tensor is not None
        strides = convolution(graph, m.conv).strides
        ways = tiles(tensor.shape[2:], strides)
        return all(_stays_finite(tensor, tile, strides=strides) for tile in ways)

    def replaces(self, graph: Graph, match: TiledConv) -> tuple[int, ...]:
        """The convolution."""
        return (match.conv,)

    def offer(self, graph: Graph, match: TiledConv) -> Offer:
        """What it would change, with the tiles that are cheapest."""
        if match.tile is not None:
            return super().offer(graph, match)
        offers = [super(TransformConvIntoWinograd, self).offer(graph, one) for one in _tiled(graph, match)]
        return max(offers, key=self._rank)

    def _rank(self, offer: Offer) -> tuple[bool, Price]:
        return self.pays(offer), offer.saving

    def apply(self, edit: Edit, m: TiledConv) -> None:
        """Put the tiles there, their products, and what they come to, in the convolution's place."""
        if m.tile is None:
            m = max(_tiled(edit.graph, m), key=lambda one: self._rank(self.offer(edit.graph, one)))
        graph, op, axes = edit.graph, convolution(edit.graph, m.conv), _axes(edit.graph, m)
        x, _, *rest = graph.operands(m.conv)
        assert x is not None
        bias, parameters = (rest[0] if rest else None), rest[1:]
        channels = constant_weight(graph, m.conv)[1].shape[1]  # of x they may not be known
        stored = self.store_transforms
        there = _turned_there(edit, x, axes, channels=channels, stored=stored)
        products = _products(edit, m.conv, there, bias, axes, stored=stored)
        y = _turned_back(edit, products, axes)
        if op.activation is not None:
            y = edit.add(op.activation, y, *parameters)
        edit.replace(Value(m.conv, 0), y)


def _axes(graph: Graph, m: TiledConv) -> list[Axis]:
    """The axes of a convolution whose image is of known size."""
    x, pads = graph.operand(m.conv, 0), known_pads(graph, m.conv)
    assert x is not None
    assert pads is not None
    assert m.tile is not None
    sizes = [size for size in (graph.type(x).shape or ())[2:] if isinstance(size, int)]
    strides = convolution(graph, m.conv).strides
    numbers = zip(sizes, pads[:2], pads[2:], _kernel(graph, m.conv), strides, m.tile, strict=True)
    return [Axis(*axis) for axis in numbers]


def _tiled(graph: Graph, match: TiledConv) -> list[TiledConv]:
    """The match with each of the tiles."""
    kernel = _kernel(graph, match.conv)
    return [replace(match, tile=tile) for tile in tiles(kernel, convolution(graph, match.conv).strides)]


def _kernel(graph: Graph, conv: int) -> tuple[int, ...]:
    """How many taps there are along each axis; none where that is not known."""
    weight = graph.operand(conv, 1)
    assert weight is not None
    return (graph.type(weight).static_shape or ())[2:]


def _turned_there(edit: Edit, x: Value, axes: Sequence[Axis], *, channels: int, stored: bool) -> Value:
    """The tiles at their points: x (N, C, H, W) -> (N, points·C, tiles), numbered (column, row, channel)."""
    images = [x]
    for number, axis in enumerate(axes):
        if axis.is_turned:
            if len(images) * channels * axes[0].tiles * axis.size < _APART:
                images, channels = [_side_by_side(edit, images)], len(images) * channels
            ways = _ways(edit, x, axis, number=number, channels=channels, stored=stored)
            images = [edit.add(conv, image, weight) for conv, weight in ways for image in images]
    return _side_by_side(edit, images)


def _side_by_side(edit: Edit, images: Sequence[Value]) -> Value:
    return edit.add(Concat(axis=1), *images) if len(images) > 1 else images[0]


def _ways(
    edit: Edit, x: Value, axis: Axis, *, number: int, channels: int, stored: bool
) -> list[tuple[Conv, Value]]:
    """Bᵀ along one axis: for each of its rows a convolution of each channel by itself, and its weight."""
    made = []
    for row in axis.matrices.tile:
        read = _read(row, axis)
        pads, sizes = [0, 0, 0, 0], {"strides": [1, 1], "dilations": [1, 1]}
        pads[number::2] = [max(0, pad) for pad in axis.pads(read[0], read[-1])]
        sizes["strides"][number], sizes["dilations"][number] = axis.step, read.step
        kernel = [1, 1]
        kernel[number] = len(read)
        taps = row[read].reshape(1, 1, *kernel).astype(_dtype(edit, x))
        weight = _for_each_channel(edit, taps, channels=channels, stored=stored)
        made.append((Conv.of(2, pads=pads, group=channels, **sizes), weight))
    return made


def _for_each_channel(edit: Edit, taps: Array, *, channels: int, stored: bool) -> Value:
    """The same taps (1, 1, *kernel) for each channel, repeated when the model is loaded unless stored."""
    shape = (channels, *taps.shape[1:])
    if stored:
        return edit.constant(np.broadcast_to(taps, shape).copy(), name="points")
    sizes = edit.constant(np.asarray(shape, dtype=np.int64), name="sizes")
    return edit.add(Expand(), edit.constant(taps, name="points"), sizes)


def _read(row: Array, axis: Axis) -> range:
    """The pixels of a tile that a row of Bᵀ reads, evenly spaced, those between them aside."""
    (places,) = np.nonzero(row)
    first, last = int(places[0]), int(places[-1])
    before, after = axis.pads(first, last)
    if min(before, after) < 0:  # no convolution begins inside: zeros are read
        return range(first + min(before, 0), min(last - min(after, 0) + 1, len(row)))
    return range(first, last + 1, int(np.gcd.reduce(places - first)) or 1)


def _products(
    edit: Edit, node: int, there: Value, bias: Value | None, axes: list[Axis], *, stored: bool
) -> Value:
    """A convolution in a group for each point: (N, points·C, tiles) -> (N, points·K, tiles)."""
    value, weight = constant_weight(edit.graph, node)
    (filters, channels), turned = weight.shape[:2], [axis for axis in axes if axis.is_turned]
    points = int(np.prod([axis.points for axis in axes]))
    kernel = [axis.blocks for axis in axes]
    left = edit.constant(kernel_transform(turned).astype(weight.dtype), name="kernel_transform")
    taps = _taps(edit, value, axes, stored=stored)
    operands = [_spelled(edit, left, taps, (points * filters, channels, *kernel), stored=stored)]
    if bias is not None:
        operands.append(_spread(edit, bias, turned, stored=stored))
    outside = [*(axis.begin for axis in axes), *(axis.end for axis in axes)]
    pads = [0 if axis.is_turned else pad for axis, pad in zip(2 * axes, outside, strict=True)]
    strides = [1 if axis.is_turned else axis.stride for axis in axes]
    return edit.add(Conv.of(2, strides=strides, pads=pads, group=points), there, *operands, like=node)


def _taps(edit: Edit, value: Value, axes: Sequence[Axis], *, stored: bool) -> Value:
    """The taps of a weight (K, C, *taps) as (taps of a block, K·C·blocks), a last block not filled."""
    tensor = edit.graph.constant(value)
    assert tensor is not None
    weight, missing = tensor.numpy(), [axis.blocks * axis.block - axis.taps for axis in axes]
    if stored or not any(missing):
        return edit.constant(by_tap(weight, axes), like=value)
    taps = np.ascontiguousarray(np.moveaxis(weight, (2, 3), (0, 1))).reshape(*weight.shape[2:], -1)
    pads = edit.constant(np.array([0, 0, 0, *missing, 0], dtype=np.int64), name="pads")
    full = edit.add(Pad(), edit.constant(taps, like=value), pads)
    apart = _reshaped(edit, full, (*(n for axis in axes for n in (axis.blocks, axis.block)), taps.shape[-1]))
    first = edit.add(Transpose(perm=(1, 3, 4, 0, 2)), apart)
    return _reshaped(edit, first, (axes[0].block * axes[1].block, -1))


def _spread(edit: Edit, bias: Value, turned: Sequence[Axis], *, stored: bool) -> Value:
    """The bias at the points that is the bias at every output: times v ⊗ v, where Aᵀ v = 1."""
    tensor = edit.graph.constant(bias)
    assert tensor is not None
    array = tensor.numpy()
    ones = spread_ones(turned)
    left = edit.constant(ones[:, None].astype(array.dtype), name="ones")
    right = edit.constant(array[None], like=bias)
    return _spelled(edit, left, right, (len(ones) * len(array),), stored=stored)


def _turned_back(edit: Edit, products: Value, axes: Sequence[Axis]) -> Value:
    """The outputs of all tiles: (N, points·K, tiles) -> (N, K, *outs), first along the columns."""
    channels = edit.graph.type(products).dim(1)
    assert isinstance(channels, int)
    rows, columns = axes
    filters, width = channels // (rows.points * columns.points), columns.tiles * columns.m
    y = products
    if columns.is_turned:
        rest = rows.points * filters * rows.tiles * columns.tiles
        y = edit.add(MatMul(), _back(edit, y, columns), _reshaped(edit, y, (-1, columns.points, rest)))
        y = edit.add(Transpose(perm=(0, 2, 1)), y)
    if rows.is_turned:
        rest = filters * rows.tiles * width
        y = edit.add(MatMul(), _back(edit, y, rows), _reshaped(edit, y, (-1, rows.points, rest)))
        y = _reshaped(edit, y, (-1, rows.m, filters * rows.tiles, width))
        y = edit.add(Transpose(perm=(0, 2, 1, 3)), y)
    y = _reshaped(edit, y, (-1, filters, rows.tiles * rows.m, width))
    return cropped(edit, y, begins=(0, 0), ends=[axis.m * axis.tiles - axis.out for axis in axes])


def _back(edit: Edit, like: Value, axis: Axis) -> Value:
    return edit.constant(axis.matrices.outputs.astype(_dtype(edit, like)), name="output_transform")


def _spelled(edit: Edit, left: Value, right: Value, shape: Sequence[int], *, stored: bool) -> Value:
    """The product of two constants, that the runtime computes when it loads the model unless it is stored."""
    if not stored:
        return _reshaped(edit, edit.add(MatMul(), left, right), shape)
    (one, other) = (edit.graph.constant(value) for value in (left, right))
    assert one is not None
    assert other is not None
    product = one.numpy().astype(np.float64) @ other.numpy().astype(np.float64)
    return edit.constant(product.reshape(shape).astype(other.numpy().dtype), like=right)


@seen_once
def _is_of_one_scale(tensor: Tensor) -> bool:
    largest = np.abs(tensor.numpy()).max(axis=(0, 1), initial=0.0)
    return bool(largest.min() >= largest.max() / _SCALES > 0.0)


@seen_once
def _stays_finite(tensor: Tensor, tile: Tile, *, strides: Sequence[int]) -> bool:
    weight = tensor.numpy()
    if not is_finite(weight):
        return False
    numbers = zip(tensor.shape[2:], strides, tile, strict=True)
    axes = [Axis(0, 0, 0, taps, stride, m) for taps, stride, m in numbers]
    # no sum of the transform is larger than the largest weight times the largest sum of its factors
    sums = np.abs(kernel_transform([axis for axis in axes if axis.is_turned])).sum(axis=1)
    most = float(np.abs(weight).max(initial=0.0)) * sums.max()
    return bool(most <= np.finfo(weight.dtype).max)


def _dtype(edit: Edit, value: Value) -> "np.dtype[np.float32]":
    return edit.graph.type(value).dtype.numpy


def _reshaped(edit: Edit, x: Value, shape: Sequence[int]) -> Value:
    return edit.add(Reshape(), x, edit.constant(np.asarray(shape, dtype=np.int64)))
