"""What the rewrites into Winograd's convolutions have in common: when they may apply, and what they cost.

Which tiles, if not those that are asked for, the target's prices say; only a target that predicts time can
weigh the additional passes over memory. Its predictions have to say more for them than for other rewrites,
as these passes are what it is least sure of.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from convgraph.analysis.target import Price
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Concat, MatMul, Op, Transpose
from convgraph.ir.tensor import DataType, Tensor
from convgraph.passes.algebra.constant_weight import (
    TakesWeightsApart,
    WeightedConv,
    convolution,
    seen_once,
)
from convgraph.passes.algebra.outer_taps import known_pads
from convgraph.passes.algebra.tiles import Along, Tile, kernel_transform
from convgraph.passes.algebra.winograd import Kernels, convolved_in_tiles
from convgraph.passes.fusion.after_convolution import is_finite
from convgraph.passes.rewrite import Offer, requirement
from convgraph.passes.timed import TimedRewrite

_SMALL, _ROUGHER = 4, 0.03  # outputs of a tile; how much cheaper a larger one is, as predicted, to be taken
_SCALES = 2.0**12  # from the least to the largest tap
_PRECISE = (DataType.FLOAT, DataType.DOUBLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class TiledConv(WeightedConv):
    """A convolution, and the tile to compute at a time; None where the target has to say."""

    tile: Tile | None


@dataclass(frozen=True, kw_only=True)
class IntoWinograd(TakesWeightsApart[TiledConv], TimedRewrite[TiledConv]):
    """A rewrite of convolutions into products at the points of tiles.

    ``tile`` are the tiles to take, ``store_transforms`` says that kernels are written transformed: the model
    grows, and nothing is left to whoever loads it.
    """

    name: ClassVar[str]
    makes: ClassVar[tuple[type[Op], ...]] = (Concat, MatMul, Transpose)
    reads_weights: ClassVar[bool] = False

    tile: Tile | None = None
    store_transforms: bool = False

    def tiles(self, graph: Graph, conv: int) -> Sequence[Tile]:
        """Those that are weighed against each other; none where it is not worth it."""
        raise NotImplementedError

    def axes(self, graph: Graph, match: TiledConv, tile: Tile) -> Sequence[Along]:
        """The axes of an image of known size in such tiles."""
        raise NotImplementedError

    def kernels(self, graph: Graph, conv: int) -> Kernels:
        """The weight and bias, filters first."""
        raise NotImplementedError

    def find(self, graph: Graph, node: int) -> TiledConv | None:
        """A convolution of all channels of an image, its kernel long enough, not in half precision."""
        op, weight = convolution(graph, node), graph.operand(node, 1)
        assert weight is not None
        plain = {*op.dilations, op.group} == {1} and graph.type(weight).dtype in _PRECISE
        fits = plain and self.can_be_judged and bool(self.tiles(graph, node))
        return TiledConv(conv=node, tile=self.tile) if fits else None

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
        return _is_of_one_scale(_tensor(graph, m))

    @requirement
    def the_new_weights_are_finite(self, graph: Graph, m: TiledConv) -> bool:
        """The new weights stay within the range of their element type."""
        largest, ways = _largest(_tensor(graph, m)), self.tiles(graph, m.conv)
        most = max(largest * _growth(self.axes(graph, m, tile)) for tile in ways)
        return most <= float(np.finfo(_tensor(graph, m).dtype.numpy).max)

    def replaces(self, graph: Graph, match: TiledConv) -> tuple[int, ...]:
        """The convolution."""
        return (match.conv,)

    def offer(self, graph: Graph, match: TiledConv) -> Offer:
        """What it would change, with the tiles that are cheapest."""
        if match.tile is not None:
            return super().offer(graph, match)
        return self.offer(graph, self._cheapest(graph, match))

    def _cheapest(self, graph: Graph, match: TiledConv) -> TiledConv:
        """The match with the best of the tiles."""
        tiled = (replace(match, tile=tile) for tile in self.tiles(graph, match.conv))
        return max(tiled, key=lambda one: self._rank(one, self.offer(graph, one)))

    def _rank(self, match: TiledConv, offer: Offer) -> tuple[bool, Price]:
        """Whether it pays, and what it saves; of large tiles, which round more, a little less."""
        is_large = match.tile is not None and min(match.tile) > 1 and max(match.tile) > _SMALL
        seconds, *others = offer.saving
        return self.pays(offer), (seconds - is_large * _ROUGHER * offer.after[0], *others)

    def apply(self, edit: Edit, m: TiledConv) -> None:
        """Put the tiles there, their products, and what they come to, in the convolution's place."""
        if m.tile is None:
            m = self._cheapest(edit.graph, m)
        op, (x, _, *rest) = convolution(edit.graph, m.conv), edit.graph.operands(m.conv)
        assert x is not None
        assert m.tile is not None
        axes, kernels = self.axes(edit.graph, m, m.tile), self.kernels(edit.graph, m.conv)
        y = convolved_in_tiles(edit, x, axes, kernels, node=m.conv, stored=self.store_transforms)
        if op.activation is not None:
            y = edit.add(op.activation, y, *rest[1:])
        edit.replace(Value(m.conv, 0), y)


def kernel_of(graph: Graph, conv: int) -> tuple[int, ...]:
    """How many taps there are along each axis; none where that is not known."""
    weight = graph.operand(conv, 1)
    assert weight is not None
    return (graph.type(weight).static_shape or ())[2:]


def image_of(graph: Graph, conv: int) -> list[int]:
    """The sizes of the image along each axis, as far as they are known."""
    x = graph.operand(conv, 0)
    assert x is not None
    return [size for size in (graph.type(x).shape or ())[2:] if isinstance(size, int)]


def bias_of(graph: Graph, conv: int) -> Value | None:
    """The bias, if there is one."""
    return next(iter(graph.operands(conv)[2:]), None)


def _tensor(graph: Graph, match: TiledConv) -> Tensor:
    tensor = graph.constant(graph.operand(match.conv, 1))
    assert tensor is not None
    return tensor


@seen_once
def _is_of_one_scale(tensor: Tensor) -> bool:
    largest = np.abs(tensor.numpy()).max(axis=(0, 1), initial=0.0)
    return bool(largest.min() >= largest.max() / _SCALES > 0.0)


@seen_once
def _largest(tensor: Tensor) -> float:
    weight = tensor.numpy()
    return float(np.abs(weight).max(initial=0.0)) if is_finite(weight) else np.inf


def _growth(axes: Sequence[Along]) -> float:
    """By how much a transform may exceed the largest weight: by the largest sum of its factors."""
    factors = kernel_transform([axis for axis in axes if axis.is_turned])
    return float(np.abs(factors).sum(axis=1).max())
