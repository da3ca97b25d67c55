"""How Winograd's convolutions are spelled, so that as much as possible stays in the blocked layout.

    Aᵀ[(G W Gᵀ) ⊙ (Bᵀ d B)] A + b        for each tile d of x

* Bᵀ d B: a convolution of single channels along the rows for each point, with the step of the tiles, and as
  many along the columns, of all those side by side in the channels, or of each where they are large. For
  each of the kernels that meet the same tiles (``convgraph.passes.algebra.tiles.Enlarging``) they are there;
* the products: one convolution in a group for each point, pointwise where both axes are turned and no kernel
  falls into blocks. Its weight is computed from the taps when the model is loaded, so that the file does not
  grow; or with ``stored`` written as it is then. The bias is added here, where Aᵀ makes it b everywhere;
* Aᵀ[…]A: a matrix product over the columns' points, which then are pixels of a row, and one over the rows'.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Value
from convgraph.ir.ops import Concat, Conv, Expand, MatMul, Pad, Reshape, Transpose
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.pixels import cropped
from convgraph.passes.algebra.tiles import Along, by_tap, kernel_transform, spread_ones

_APART = 2**20  # elements turned along one axis: more are not copied once again to turn them together


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernels:
    """The weight of a convolution, (K, C, *taps), named after ``like``, and its bias.

    Where its taps are sums of fewer numbers, ``sums`` (taps, numbers) says which, and ``weight`` has these on
    one last axis.
    """

    like: Value
    weight: Array
    bias: Value | None
    sums: Array | None = None


def convolved_in_tiles(
    edit: Edit, x: Value, axes: Sequence[Along], kernels: Kernels, *, node: int, stored: bool
) -> Value:
    """What a convolution, ``node``, makes of x (N, C, H, W), tile by tile: (N, K, *outs)."""
    there = _turned_there(edit, x, axes, channels=kernels.weight.shape[1], stored=stored)
    products = _products(edit, there, axes, kernels, node=node, stored=stored)
    return _turned_back(edit, products, axes)


def _turned_there(edit: Edit, x: Value, axes: Sequence[Along], *, channels: int, stored: bool) -> Value:
    """The tiles at their points: x (N, C, H, W) -> (N, points·C, tiles), numbered (column, row, channel)."""
    images = [x]
    for number, axis in enumerate(axes):
        if axis.is_turned:
            if len(images) * channels * axes[0].tiles * axis.size < _APART:
                images, channels = [_side_by_side(edit, images)], len(images) * channels
            ways = _ways(edit, x, axis, number=number, channels=channels, stored=stored)
            images = [edit.add(conv, image, weight) for conv, weight in ways for image in images]
    return _side_by_side(edit, _for_each_kernel(images, axes))


def _for_each_kernel(images: Sequence[Value], axes: Sequence[Along]) -> list[Value]:
    """The same tiles for each of the kernels along either axis: (kernel, column, kernel, row)."""
    rows, columns = axes
    width = len(images) // (len(columns.matrices.tile) if columns.is_turned else 1)
    of_columns = [images[begin : begin + width] for begin in range(0, len(images), width)]
    repeated = (image for row in of_columns for image in [*row] * rows.kernels)
    return [*repeated] * columns.kernels


def _side_by_side(edit: Edit, images: Sequence[Value]) -> Value:
    return edit.add(Concat(axis=1), *images) if len(images) > 1 else images[0]


def _ways(
    edit: Edit, x: Value, axis: Along, *, number: int, channels: int, stored: bool
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


def _read(row: Array, axis: Along) -> range:
    """The pixels of a tile that a row of Bᵀ reads, evenly spaced, those between them aside."""
    (places,) = np.nonzero(row)
    first, last = int(places[0]), int(places[-1])
    before, after = axis.pads(first, last)
    if min(before, after) < 0:  # no convolution begins inside: zeros are read
        return range(first + min(before, 0), min(last - min(after, 0) + 1, len(row)))
    return range(first, last + 1, int(np.gcd.reduce(places - first)) or 1)


def _products(
    edit: Edit, there: Value, axes: Sequence[Along], kernels: Kernels, *, node: int, stored: bool
) -> Value:
    """A convolution in a group for each point: (N, points·C, tiles) -> (N, points·K, tiles)."""
    (filters, channels), turned = kernels.weight.shape[:2], [axis for axis in axes if axis.is_turned]
    points = int(np.prod([axis.points for axis in axes]))
    turns = kernel_transform(turned)
    if kernels.sums is not None:
        turns = turns @ kernels.sums
    left = edit.constant(turns.astype(kernels.weight.dtype), name="kernel_transform")
    shape = (points * filters, channels, *(axis.blocks for axis in axes))
    operands = [_spelled(edit, left, _taps(edit, kernels, axes, stored=stored), shape, stored=stored)]
    if kernels.bias is not None:
        operands.append(_spread(edit, kernels.bias, turned, stored=stored))
    strides, begins, ends = zip(*(axis.untouched for axis in axes), strict=True)
    pads = (*begins, *ends)
    return edit.add(Conv.of(2, strides=strides, pads=pads, group=points), there, *operands, like=node)


def _taps(edit: Edit, kernels: Kernels, axes: Sequence[Along], *, stored: bool) -> Value:
    """The numbers of a weight as (taps of a block, K·C·blocks), a last block not filled."""
    weight, like = kernels.weight, kernels.like
    if kernels.sums is not None:
        return edit.constant(np.ascontiguousarray(weight.reshape(-1, weight.shape[-1]).T), like=like)
    missing = [axis.blocks * axis.block - axis.taps for axis in axes]
    if stored or not any(missing):
        return edit.constant(by_tap(weight, axes), like=like)
    taps = np.ascontiguousarray(np.moveaxis(weight, (2, 3), (0, 1))).reshape(*weight.shape[2:], -1)
    pads = edit.constant(np.array([0, 0, 0, *missing, 0], dtype=np.int64), name="pads")
    full = edit.add(Pad(), edit.constant(taps, like=like), pads)
    apart = _reshaped(edit, full, (*(n for axis in axes for n in (axis.blocks, axis.block)), taps.shape[-1]))
    first = edit.add(Transpose(perm=(1, 3, 4, 0, 2)), apart)
    return _reshaped(edit, first, (axes[0].block * axes[1].block, -1))


def _spread(edit: Edit, bias: Value, turned: Sequence[Along], *, stored: bool) -> Value:
    """The bias at the points that is the bias at every output: times v ⊗ v, where Aᵀ v = 1."""
    tensor = edit.graph.constant(bias)
    assert tensor is not None
    array = tensor.numpy()
    ones = spread_ones(turned)
    left = edit.constant(ones[:, None].astype(array.dtype), name="ones")
    right = edit.constant(array[None], like=bias)
    return _spelled(edit, left, right, (len(ones) * len(array),), stored=stored)


def _turned_back(edit: Edit, products: Value, axes: Sequence[Along]) -> Value:
    """The outputs of all tiles: (N, points·K, tiles) -> (N, K, *outs), first along the columns."""
    channels = edit.graph.type(products).dim(1)
    assert isinstance(channels, int)
    rows, columns = axes
    filters, width = channels // (rows.points * columns.points), columns.tiles * columns.made
    y = products
    if columns.is_turned:
        rest = rows.points * filters * rows.tiles * columns.tiles
        y = edit.add(MatMul(), _back(edit, y, columns), _reshaped(edit, y, (-1, columns.points, rest)))
        y = edit.add(Transpose(perm=(0, 2, 1)), y)
    if rows.is_turned:
        rest = filters * rows.tiles * width
        y = edit.add(MatMul(), _back(edit, y, rows), _reshaped(edit, y, (-1, rows.points, rest)))
        y = _reshaped(edit, y, (-1, rows.made, filters * rows.tiles, width))
        y = edit.add(Transpose(perm=(0, 2, 1, 3)), y)
    y = _reshaped(edit, y, (-1, filters, rows.tiles * rows.made, width))
    begins, ends = zip(*(axis.surplus for axis in axes), strict=True)
    return cropped(edit, y, begins=begins, ends=ends)


def _back(edit: Edit, like: Value, axis: Along) -> Value:
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


def _dtype(edit: Edit, value: Value) -> "np.dtype[np.float32]":
    return edit.graph.type(value).dtype.numpy


def _reshaped(edit: Edit, x: Value, shape: Sequence[int]) -> Value:
    return edit.add(Reshape(), x, edit.constant(np.asarray(shape, dtype=np.int64)))
