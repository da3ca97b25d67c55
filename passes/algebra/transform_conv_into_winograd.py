"""Convolve tiles of an image with fewer multiplications, by Winograd's short convolutions.

    conv(x, W, b)  ->  Aᵀ[(G W Gᵀ) ⊙ (Bᵀ d B)] A + b        for each tile d of x, m × m outputs at a time

An r×r kernel meets a tile of n × n pixels, n = m + r − 1, at n² points instead of r²·m² times
(``convgraph.passes.algebra.cook_toom``): with 3×3, 36 multiplications instead of 144 for m = 4, 16 instead
of 36 for m = 2; with 5×5, 64 instead of 400; for each pair of channels. What turns tiles there and back
grows with the number of channels alone. Or along one axis, 24 instead of 54 for m = 6, with half as much to
turn: the way of kernels that have one axis only. Kernels of 7 taps and more fall into blocks of 4
(``convgraph.passes.algebra.tiles``), 14 multiplications instead of 28 along an axis, 21 instead of 44 of 11
taps. How it is spelled ``convgraph.passes.algebra.winograd`` says; a fused activation follows it.

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
from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, Op
from convgraph.passes.algebra.constant_weight import constant_weight
from convgraph.passes.algebra.into_winograd import IntoWinograd, TiledConv, bias_of, image_of, kernel_of
from convgraph.passes.algebra.outer_taps import convolution, known_pads
from convgraph.passes.algebra.tiles import Along, Axis, Tile, tiles
from convgraph.passes.algebra.winograd import Kernels

_AXES = 2
_ALONG_ONE, _ALONG_BOTH = 0.25, 0.35  # of the predicted time, for a gain on a single thread as measured
_ALONG_ONE_OF_ANY, _ALONG_BOTH_OF_ANY = 0.36, 0.56  # for one on two threads, too


@dataclass(frozen=True, kw_only=True)
class TransformConvIntoWinograd(IntoWinograd):
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

    def margin(self, match: TiledConv) -> float:
        """What it has to save: the more the more there is to turn, on several threads above all."""
        along_one = match.tile is None or 1 in match.tile
        if self.judge.threads == 1:
            return _ALONG_ONE if along_one else _ALONG_BOTH
        return _ALONG_ONE_OF_ANY if along_one else _ALONG_BOTH_OF_ANY

    def tiles(self, graph: Graph, conv: int) -> Sequence[Tile]:
        """Those for a kernel of two axes, long enough for how it moves."""
        kernel = kernel_of(graph, conv)
        return tiles(kernel, convolution(graph, conv).strides) if len(kernel) == _AXES else ()

    def axes(self, graph: Graph, match: TiledConv, tile: Tile) -> Sequence[Along]:
        """Sizes, pads, taps and strides of the convolution."""
        pads, kernel = known_pads(graph, match.conv), kernel_of(graph, match.conv)
        assert pads is not None
        strides, sizes = convolution(graph, match.conv).strides, image_of(graph, match.conv)
        numbers = zip(sizes, pads[:_AXES], pads[_AXES:], kernel, strides, tile, strict=True)
        return [Axis(*axis) for axis in numbers]

    def kernels(self, graph: Graph, conv: int) -> Kernels:
        """Weight and bias as they are."""
        like, weight = constant_weight(graph, conv)
        return Kernels(like=like, weight=weight, bias=bias_of(graph, conv))
