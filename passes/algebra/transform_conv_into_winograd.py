"""Convolve tiles of an image with fewer multiplications, by Winograd's short convolutions.

    conv(x, W, b)  ->  Aᵀ[(G W Gᵀ) ⊙ (Bᵀ d B)] A + b        for each tile d of x, m × m outputs at a time

A 3×3 kernel meets a tile of n × n pixels, n = m + 2, at n² points instead of 9·m² times
(``convgraph.passes.algebra.cook_toom``): 36 multiplications instead of 144 for m = 4, 16 instead of 36 for
m = 2, for each pair of channels; what turns tiles there and back grows with the number of channels alone. It
is spelled so that as much as possible stays in the blocked layout of convolutions:

* Bᵀ d B: n convolutions of single channels along the rows, with stride m, side by side in the channels, then
  n along the columns of all those;
* the products: one pointwise convolution in n² groups. Its weight is computed from the nine taps when the
  model is loaded, so that the file does not grow; the bias is added here, where Aᵀ makes it b everywhere;
* Aᵀ[…]A: a matrix product over the columns' points, which then are pixels of a row, and one over the rows'.
  A fused activation follows it.

Which m, if not the ``tile`` that is asked for, the target's prices say; only a target that predicts time can
weigh the additional passes over memory. Rounds more than the convolution does: by about 3e-6 of the output's
largest value for m = 4, which the comparison allows such kernels (``convgraph.numerics.declared``).

Source: Winograd, Arithmetic Complexity of Computations (1980); Lavin and Gray, Fast Algorithms for
Convolutional Neural Networks (2016).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from convgraph.analysis.target import OnnxruntimeCpu, Target
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Concat, Conv, MatMul, Op, Reshape, Transpose
from convgraph.ir.tensor import Array, DataType, Tensor
from convgraph.passes.algebra.constant_weight import WeightedConv, constant_weight, seen_once
from convgraph.passes.algebra.cook_toom import POINTS, matrices
from convgraph.passes.algebra.outer_taps import convolution, known_pads
from convgraph.passes.algebra.pixels import cropped
from convgraph.passes.fusion.after_convolution import is_finite
from convgraph.passes.rewrite import Measure, Offer, PricedRewrite, requirement

_TAPS = 3
_LEAST, _LEAST_ON_ANY = 0.3, 0.56  # of the convolution's predicted time, as measured on one thread and on two
_SCALES = 2.0**12  # from the least to the largest tap
_PRECISE = (DataType.FLOAT, DataType.DOUBLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class TiledConv(WeightedConv):
    """A convolution, and the m × m outputs to compute at a time; 0 where the target has to say."""

    tile: int


def predicted_seconds(graph: Graph) -> float:
    """Measure: how long a run takes by the prices of onnxruntime's CPU provider."""
    return OnnxruntimeCpu().price(graph)[0]


@dataclass(frozen=True, kw_only=True)
class TransformConvIntoWinograd(PricedRewrite[TiledConv]):
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
    measure: ClassVar[Measure] = staticmethod(predicted_seconds)
    reads_weights: ClassVar[bool] = False
    counts_tell: ClassVar[bool] = False

    tile: int = 0

    @property
    def judge(self) -> Target:
        """The target that prices it: without any other onnxruntime, as counts alone do not tell."""
        return self.target or OnnxruntimeCpu()

    @property
    def margin(self) -> float:
        """What it has to save: where it may run on several threads much more, as tiles are turned by one."""
        return _LEAST if self.judge.threads == 1 else _LEAST_ON_ANY

    def find(self, graph: Graph, node: int) -> TiledConv | None:
        """A convolution of all channels, its kernel 3×3, that moves pixel by pixel, not in half precision."""
        op, weight = convolution(graph, node), graph.operand(node, 1)
        assert weight is not None
        steps = (*op.strides, *op.dilations, op.group)
        if (
            not self.can_be_judged
            or set(steps) != {1}
            or (graph.type(weight).shape or ())[2:] != (_TAPS, _TAPS)
        ):
            return None
        return TiledConv(conv=node, tile=self.tile)

    @requirement
    def the_weights_are_constant(self, graph: Graph, m: TiledConv) -> bool:
        """The weight and the bias are constants that no caller can override."""
        _, weight, *rest = graph.operands(m.conv)
        return all(graph.constant(v) is not None for v in (weight, *rest[:1]) if v is not None)

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
        return all(_stays_finite(tensor, tile) for tile in POINTS)

    def replaces(self, graph: Graph, match: TiledConv) -> tuple[int, ...]:
        """The convolution."""
        return (match.conv,)

    def offer(self, graph: Graph, match: TiledConv) -> Offer:
        """What it would change, with the tiles that are cheapest."""
        if match.tile:
            return super().offer(graph, match)
        offers = [super(TransformConvIntoWinograd, self).offer(graph, one) for one in _sized(match)]
        return max(offers, key=lambda offer: offer.saving)

    def apply(self, edit: Edit, m: TiledConv) -> None:
        """Put the tiles there, their products, and what they come to, in the convolution's place."""
        if not m.tile:
            m = max(_sized(m), key=lambda one: self.offer(edit.graph, one).saving)
        graph, op = edit.graph, convolution(edit.graph, m.conv)
        x, _, *rest = graph.operands(m.conv)
        assert x is not None
        bias, parameters = (rest[0] if rest else None), rest[1:]
        tiling = _Tiling.of(graph, m)
        products = _products(edit, m, _turned_there(edit, x, tiling), bias)
        y = _turned_back(edit, products, tiling)
        if op.activation is not None:
            y = edit.add(op.activation, y, *parameters)
        edit.replace(Value(m.conv, 0), y)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tiling:
    """How an image is cut into overlapping tiles, ``m`` pixels apart, that make ``outs``.

    ``begins`` and ``ends`` are the zeros around it, ``counts`` the number of tiles along each axis.
    """

    m: int
    channels: int
    filters: int
    begins: tuple[int, int]
    ends: tuple[int, int]
    counts: tuple[int, int]
    outs: tuple[int, int]

    @property
    def points(self) -> int:
        """How many along an axis."""
        return self.m + _TAPS - 1

    @classmethod
    def of(cls, graph: Graph, match: TiledConv) -> "_Tiling":
        """The tiles of a convolution whose image is of known size."""
        x, pads = graph.operand(match.conv, 0), known_pads(graph, match.conv)
        filters, channels = constant_weight(graph, match.conv)[1].shape[:2]
        assert x is not None
        assert pads is not None
        m, begins, ends = match.tile, pads[:2], pads[2:]
        sizes = [size for size in (graph.type(x).shape or ())[2:] if isinstance(size, int)]
        outs = [s + b + e - _TAPS + 1 for s, b, e in zip(sizes, begins, ends, strict=True)]
        counts = [-(-out // m) for out in outs]
        reach = [m * n + _TAPS - 1 - s - b for n, s, b in zip(counts, sizes, begins, strict=True)]
        return cls(
            m=m,
            channels=channels,
            filters=filters,
            begins=(begins[0], begins[1]),
            ends=(reach[0], reach[1]),
            counts=(counts[0], counts[1]),
            outs=(outs[0], outs[1]),
        )


def _sized(match: TiledConv) -> list[TiledConv]:
    """The match with each number of outputs that there are points for, the most first."""
    return [replace(match, tile=tile) for tile in sorted(POINTS, reverse=True)]


def _turned_there(edit: Edit, x: Value, tiling: _Tiling) -> Value:
    """The tiles at their points: x (N, C, H, W) -> (N, n²·C, tiles), numbered (column, row, channel)."""
    rows = _along(edit, x, tiling, axis=0, channels=tiling.channels)
    return _along(edit, rows, tiling, axis=1, channels=tiling.points * tiling.channels)


def _along(edit: Edit, x: Value, tiling: _Tiling, *, axis: int, channels: int) -> Value:
    """Bᵀ along one axis: a convolution for each of its rows, of each channel by itself."""
    other = 1 - axis
    pads = [0, 0, 0, 0]
    pads[axis], pads[2 + axis] = tiling.begins[axis], tiling.ends[axis]
    strides, kernel = [1, 1], [1, 1]
    strides[axis], kernel[axis] = tiling.m, tiling.points
    assert kernel[other] == 1
    conv = Conv.of(2, strides=strides, pads=pads, group=channels)
    ones = edit.constant(np.ones((channels, 1), dtype=_dtype(edit, x)), name="ones")
    made = []
    for row in matrices(tiling.m).tile:
        taps = edit.constant(row[None].astype(_dtype(edit, x)), name="points")
        made.append(edit.add(conv, x, _spelled(edit, ones, taps, (channels, 1, *kernel))))
    return edit.add(Concat(axis=1), *made)


def _products(edit: Edit, m: TiledConv, tiles: Value, bias: Value | None) -> Value:
    """A pointwise convolution in a group for each point: (N, n²·C, tiles) -> (N, n²·K, tiles)."""
    graph, numbers = edit.graph, matrices(m.tile)
    value, weight = constant_weight(graph, m.conv)
    filters, channels = weight.shape[:2]
    points = len(numbers.tile) ** 2
    turns = edit.constant(_kernel_transform(m.tile).astype(weight.dtype), name="kernel_transform")
    taps = edit.constant(_by_tap(weight), like=value)
    operands = [_spelled(edit, turns, taps, (points * filters, channels, 1, 1))]
    if bias is not None:
        # Aᵀ v = 1: the bias times v ⊗ v at the points is the bias at every output
        spread = edit.constant(np.kron(numbers.ones, numbers.ones)[:, None].astype(weight.dtype), name="ones")
        tensor = graph.constant(bias)
        assert tensor is not None
        row = edit.constant(tensor.numpy()[None], like=bias)
        operands.append(_spelled(edit, spread, row, (points * filters,)))
    return edit.add(Conv.of(2, group=points), tiles, *operands, like=m.conv)


def _turned_back(edit: Edit, products: Value, tiling: _Tiling) -> Value:
    """The outputs of all tiles: (N, n²·K, tiles) -> (N, K, *outs), first along the columns, then the rows."""
    m, n, (rows, columns) = tiling.m, tiling.points, tiling.counts
    back = edit.constant(matrices(m).outputs.astype(_dtype(edit, products)), name="output_transform")
    lines = tiling.filters * rows
    apart = _reshaped(edit, products, (-1, n, n * lines * columns))
    within = edit.add(Transpose(perm=(0, 2, 1)), edit.add(MatMul(), back, apart))
    whole = edit.add(MatMul(), back, _reshaped(edit, within, (-1, n, lines * columns * m)))
    ordered = edit.add(Transpose(perm=(0, 2, 1, 3)), _reshaped(edit, whole, (-1, m, lines, columns * m)))
    y = _reshaped(edit, ordered, (-1, tiling.filters, rows * m, columns * m))
    surplus = [m * count - out for count, out in zip(tiling.counts, tiling.outs, strict=True)]
    return cropped(edit, y, begins=(0, 0), ends=surplus)


def _spelled(edit: Edit, left: Value, right: Value, shape: Sequence[int]) -> Value:
    """The product of two constants, that the runtime computes when it loads the model."""
    return _reshaped(edit, edit.add(MatMul(), left, right), shape)


def _kernel_transform(tile: int) -> Array:
    """G ⊗ G for points numbered (column, row) and taps numbered (row, column): (n², 9)."""
    turns = matrices(tile).kernel
    points = len(turns) ** 2
    return np.kron(turns, turns).reshape(points, _TAPS, _TAPS).swapaxes(1, 2).reshape(points, -1)


def _by_tap(weight: Array) -> Array:
    """The weight (K, C, 3, 3) as (9, K·C)."""
    return np.ascontiguousarray(weight.transpose(2, 3, 0, 1).reshape(_TAPS * _TAPS, -1))


@seen_once
def _is_of_one_scale(tensor: Tensor) -> bool:
    largest = np.abs(tensor.numpy()).max(axis=(0, 1), initial=0.0)
    return bool(largest.min() >= largest.max() / _SCALES > 0.0)


@seen_once
def _stays_finite(tensor: Tensor, tile: int) -> bool:
    weight = tensor.numpy()
    if not is_finite(weight):
        return False
    # no sum of the transform is larger than the largest weight times the largest sum of its factors
    most = float(np.abs(weight).max(initial=0.0)) * np.abs(_kernel_transform(tile)).sum(axis=1).max()
    return bool(most <= np.finfo(weight.dtype).max)


def _dtype(edit: Edit, value: Value) -> "np.dtype[np.float32]":
    return edit.graph.type(value).dtype.numpy


def _reshaped(edit: Edit, x: Value, shape: Sequence[int]) -> Value:
    return edit.add(Reshape(), x, edit.constant(np.asarray(shape, dtype=np.int64)))
