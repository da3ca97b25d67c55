"""Convolve tiles of an image with fewer multiplications, by Winograd's short convolutions.

    conv(x, W, b)  ->  Aᵀ[(G W Gᵀ) ⊙ (Bᵀ d B)] A + b        for each tile d of x, m × m outputs at a time

A 3×3 kernel meets a tile of n × n pixels, n = m + 2, at n² points instead of 9·m² times
(``convgraph.passes.algebra.cook_toom``): 36 multiplications instead of 144 for m = 4, 16 instead of 36 for
m = 2, for each pair of channels; what turns tiles there and back grows with the number of channels alone. Or
along one axis, 18 instead of 36 for m = 4, with half as much to turn. It is spelled so that as much as
possible stays in the blocked layout of convolutions:

* Bᵀ d B: n convolutions of single channels along the rows, with stride m, side by side in the channels, then
  n along the columns of all those;
* the products: one convolution in a group for each point, pointwise where both axes are turned. Its weight is
  computed from the nine taps when the model is loaded, so that the file does not grow; the bias is added
  here, where Aᵀ makes it b everywhere;
* Aᵀ[…]A: a matrix product over the columns' points, which then are pixels of a row, and one over the rows'.
  A fused activation follows it.

Which tiles, if not those that are asked for, the target's prices say; only a target that predicts time can
weigh the additional passes over memory. Rounds more than the convolution does: by about 3e-6 of the output's
largest value for m = 4, which the comparison allows such kernels (``convgraph.numerics.declared``).

Source: Winograd, Arithmetic Complexity of Computations (1980); Lavin and Gray, Fast Algorithms for
Convolutional Neural Networks (2016).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import ClassVar, NamedTuple

import numpy as np

from convgraph.analysis.target import Price
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Concat, Conv, MatMul, Op, Reshape, Transpose
from convgraph.ir.tensor import Array, DataType, Tensor
from convgraph.passes.algebra.constant_weight import (
    TakesWeightsApart,
    WeightedConv,
    constant_weight,
    seen_once,
)
from convgraph.passes.algebra.cook_toom import matrices
from convgraph.passes.algebra.outer_taps import convolution, known_pads
from convgraph.passes.algebra.pixels import cropped
from convgraph.passes.fusion.after_convolution import is_finite
from convgraph.passes.rewrite import Offer, requirement
from convgraph.passes.timed import TimedRewrite

Tile = tuple[int, int]
"""How many rows and columns of outputs are computed at a time; 1: that axis is convolved as before."""

TILES: tuple[Tile, ...] = ((4, 4), (4, 1), (2, 2))
"""Those that are weighed against each other."""

_TAPS = 3
_LEAST = 0.35  # of the convolution's predicted time, for a gain on a single thread as measured
_LEAST_ALONG_ONE, _LEAST_ALONG_BOTH = 0.36, 0.56  # for one on two threads, too
_SCALES = 2.0**12  # from the least to the largest tap
_PRECISE = (DataType.FLOAT, DataType.DOUBLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class TiledConv(WeightedConv):
    """A convolution, and the tile to compute at a time; None where the target has to say."""

    tile: Tile | None


@dataclass(frozen=True, kw_only=True)
class TransformConvIntoWinograd(TakesWeightsApart[TiledConv], TimedRewrite[TiledConv]):
    """Convolve tiles of an image with fewer multiplications, by Winograd's short convolutions."""

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

    def margin(self, match: TiledConv) -> float:
        """What it has to save: on several threads more, the more there is to turn, which one thread does."""
        on_any = _LEAST_ALONG_ONE if match.tile is None or 1 in match.tile else _LEAST_ALONG_BOTH
        return _LEAST if self.judge.threads == 1 else on_any

    def find(self, graph: Graph, node: int) -> TiledConv | None:
        """A convolution of all channels, its kernel 3×3, that moves pixel by pixel, not in half precision."""
        op, weight = convolution(graph, node), graph.operand(node, 1)
        assert weight is not None
        steps, kind = {*op.strides, *op.dilations, op.group}, graph.type(weight)
        fits = steps == {1} and (kind.shape or ())[2:] == (_TAPS, _TAPS) and kind.dtype in _PRECISE
        return TiledConv(conv=node, tile=self.tile) if fits and self.can_be_judged else None

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
        return all(_stays_finite(tensor, tile) for tile in TILES)

    def replaces(self, graph: Graph, match: TiledConv) -> tuple[int, ...]:
        """The convolution."""
        return (match.conv,)

    def offer(self, graph: Graph, match: TiledConv) -> Offer:
        """What it would change, with the tiles that are cheapest."""
        if match.tile is not None:
            return super().offer(graph, match)
        offers = [super(TransformConvIntoWinograd, self).offer(graph, one) for one in _tiled(match)]
        return max(offers, key=self._rank)

    def _rank(self, offer: Offer) -> tuple[bool, Price]:
        return self.pays(offer), offer.saving

    def apply(self, edit: Edit, m: TiledConv) -> None:
        """Put the tiles there, their products, and what they come to, in the convolution's place."""
        if m.tile is None:
            m = max(_tiled(m), key=lambda one: self._rank(self.offer(edit.graph, one)))
        graph, op, axes = edit.graph, convolution(edit.graph, m.conv), _axes(edit.graph, m)
        x, _, *rest = graph.operands(m.conv)
        assert x is not None
        bias, parameters = (rest[0] if rest else None), rest[1:]
        channels = constant_weight(graph, m.conv)[1].shape[1]  # of x they may not be known
        there = _turned_there(edit, x, axes, channels=channels)
        products = _products(edit, m.conv, there, bias, axes)
        y = _turned_back(edit, products, axes)
        if op.activation is not None:
            y = edit.add(op.activation, y, *parameters)
        edit.replace(Value(m.conv, 0), y)


class _Axis(NamedTuple):
    """One spatial axis of an image in tiles: its size, the zeros at either end, and the outputs of a tile."""

    size: int
    begin: int
    end: int
    m: int

    @property
    def is_turned(self) -> bool:
        """Whether tiles are transformed along it."""
        return self.m > 1

    @property
    def points(self) -> int:
        """At how many points products are computed."""
        return self.m + _TAPS - 1 if self.is_turned else 1

    @property
    def out(self) -> int:
        """How many outputs there are."""
        return self.size + self.begin + self.end - _TAPS + 1

    @property
    def tiles(self) -> int:
        """How many tiles, the last perhaps not full."""
        return -(-self.out // self.m)

    @property
    def zeros(self) -> int:
        """How many zeros the last tile reaches beyond the image."""
        return self.m * self.tiles + _TAPS - 1 - self.size - self.begin


def _axes(graph: Graph, m: TiledConv) -> list[_Axis]:
    """The axes of a convolution whose image is of known size."""
    x, pads = graph.operand(m.conv, 0), known_pads(graph, m.conv)
    assert x is not None
    assert pads is not None
    assert m.tile is not None
    sizes = [size for size in (graph.type(x).shape or ())[2:] if isinstance(size, int)]
    return [_Axis(*axis) for axis in zip(sizes, pads[:2], pads[2:], m.tile, strict=True)]


def _tiled(match: TiledConv) -> list[TiledConv]:
    """The match with each of the tiles."""
    return [replace(match, tile=tile) for tile in TILES]


def _turned_there(edit: Edit, x: Value, axes: Sequence[_Axis], *, channels: int) -> Value:
    """The tiles at their points: x (N, C, H, W) -> (N, points·C, tiles), numbered (column, row, channel)."""
    for number, axis in enumerate(axes):
        if axis.is_turned:
            x = _along(edit, x, axis, number=number, channels=channels)
            channels *= axis.points
    return x


def _along(edit: Edit, x: Value, axis: _Axis, *, number: int, channels: int) -> Value:
    """Bᵀ along one axis: a convolution for each of its rows, of each channel by itself."""
    pads, strides, kernel = [0, 0, 0, 0], [1, 1], [1, 1]
    pads[number], pads[2 + number] = axis.begin, axis.zeros
    strides[number], kernel[number] = axis.m, axis.points
    conv = Conv.of(2, strides=strides, pads=pads, group=channels)
    ones = edit.constant(np.ones((channels, 1), dtype=_dtype(edit, x)), name="ones")
    made = []
    for row in matrices(axis.m).tile:
        taps = edit.constant(row[None].astype(_dtype(edit, x)), name="points")
        made.append(edit.add(conv, x, _spelled(edit, ones, taps, (channels, 1, *kernel))))
    return edit.add(Concat(axis=1), *made)


def _products(edit: Edit, node: int, tiles: Value, bias: Value | None, axes: list[_Axis]) -> Value:
    """A convolution in a group for each point: (N, points·C, tiles) -> (N, points·K, tiles)."""
    value, weight = constant_weight(edit.graph, node)
    (filters, channels), turned = weight.shape[:2], [axis for axis in axes if axis.is_turned]
    points = int(np.prod([axis.points for axis in axes]))
    kernel = [1 if axis.is_turned else _TAPS for axis in axes]
    turns = _kernel_transform([axis.m for axis in turned])
    left = edit.constant(turns.astype(weight.dtype), name="kernel_transform")
    taps = edit.constant(_by_tap(weight, axes), like=value)
    operands = [_spelled(edit, left, taps, (points * filters, channels, *kernel))]
    if bias is not None:
        operands.append(_spread(edit, bias, turned))
    outside = [*(axis.begin for axis in axes), *(axis.end for axis in axes)]
    pads = [0 if axis.is_turned else pad for axis, pad in zip(2 * axes, outside, strict=True)]
    return edit.add(Conv.of(2, pads=pads, group=points), tiles, *operands, like=node)


def _spread(edit: Edit, bias: Value, turned: Sequence[_Axis]) -> Value:
    """The bias at the points that is the bias at every output: times v ⊗ v, where Aᵀ v = 1."""
    tensor = edit.graph.constant(bias)
    assert tensor is not None
    array = tensor.numpy()
    ones = reduce(np.kron, [matrices(axis.m).ones for axis in reversed(turned)])
    left = edit.constant(ones[:, None].astype(array.dtype), name="ones")
    return _spelled(edit, left, edit.constant(array[None], like=bias), (len(ones) * len(array),))


def _turned_back(edit: Edit, products: Value, axes: Sequence[_Axis]) -> Value:
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


def _back(edit: Edit, like: Value, axis: _Axis) -> Value:
    return edit.constant(matrices(axis.m).outputs.astype(_dtype(edit, like)), name="output_transform")


def _spelled(edit: Edit, left: Value, right: Value, shape: Sequence[int]) -> Value:
    """The product of two constants, that the runtime computes when it loads the model."""
    return _reshaped(edit, edit.add(MatMul(), left, right), shape)


def _kernel_transform(turned: Sequence[int]) -> Array:
    """G, or G ⊗ G for points numbered (column, row) and taps numbered (row, column): (points, taps)."""
    turns = [matrices(m).kernel for m in turned]
    if len(turns) == 1:
        return turns[0]
    (rows, _), (columns, _) = (one.shape for one in turns)
    return np.kron(*turns).reshape(rows, columns, -1).swapaxes(0, 1).reshape(rows * columns, -1)


def _by_tap(weight: Array, axes: Sequence[_Axis]) -> Array:
    """The weight (K, C, 3, 3) as (taps of the axes that are turned, K·C·taps of the others)."""
    turned = [2 + number for number, axis in enumerate(axes) if axis.is_turned]
    others = [place for place in range(weight.ndim) if place not in turned]
    return np.ascontiguousarray(weight.transpose(*turned, *others).reshape(_TAPS ** len(turned), -1))


@seen_once
def _is_of_one_scale(tensor: Tensor) -> bool:
    largest = np.abs(tensor.numpy()).max(axis=(0, 1), initial=0.0)
    return bool(largest.min() >= largest.max() / _SCALES > 0.0)


@seen_once
def _stays_finite(tensor: Tensor, tile: Tile) -> bool:
    weight = tensor.numpy()
    if not is_finite(weight):
        return False
    turned = [m for m in tile if m > 1]
    # no sum of the transform is larger than the largest weight times the largest sum of its factors
    most = float(np.abs(weight).max(initial=0.0)) * np.abs(_kernel_transform(turned)).sum(axis=1).max()
    return bool(most <= np.finfo(weight.dtype).max)


def _dtype(edit: Edit, value: Value) -> "np.dtype[np.float32]":
    return edit.graph.type(value).dtype.numpy


def _reshaped(edit: Edit, x: Value, shape: Sequence[int]) -> Value:
    return edit.add(Reshape(), x, edit.constant(np.asarray(shape, dtype=np.int64)))
