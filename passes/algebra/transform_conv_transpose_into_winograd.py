"""Compute tiles of a transposed convolution with fewer multiplications, by Winograd's short convolutions.

    conv_transpose(x, W, b; stride 2)  ->  Aᵀ[(G W Gᵀ) ⊙ (Bᵀ d B)] A + b        for each tile d of x

Each phase of the output is a convolution of x with every other tap. All of them meet the same tiles of x,
which are turned once (``convgraph.passes.algebra.tiles.Enlarging``): a tile of 5 × 5 pixels makes 8 × 8
outputs of a 4×4 kernel with 100 multiplications instead of 256, one of 3 × 3 pixels 4 × 4 outputs with 36
instead of 64, for each pair of channels; and what turns the products back interleaves the phases, too.

Such kernels are in generators and decoders, and come of 3×3 convolutions that follow an enlargement by
repeated pixels (``convgraph.passes.algebra.fold_nearest_resize_into_conv``), which took 576. The nine taps
are stored then, as ``convgraph.passes.algebra.sum_kernels_at_load`` does, and summed as they are transformed.

It rounds as convolutions of 2×2 taps do. How it is spelled ``convgraph.passes.algebra.winograd`` says; a
fused activation follows it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import ConvTranspose, Op
from convgraph.passes.algebra.constant_weight import constant_weight, weight_tensor
from convgraph.passes.algebra.into_winograd import IntoWinograd, TiledConv, bias_of, image_of, kernel_of
from convgraph.passes.algebra.outer_taps import known_pads
from convgraph.passes.algebra.sum_kernels_at_load import taps_moved
from convgraph.passes.algebra.tiles import Along, Enlarging, Tile, enlarging_tiles
from convgraph.passes.algebra.transposed import BEFORE_IT_IS_SPELLED, transposed
from convgraph.passes.algebra.winograd import Kernels
from convgraph.passes.rewrite import requirement

_AXES = 2
_LEAST, _LEAST_OF_ANY = (
    0.2,
    0.35,
)  # of the predicted time, for a gain on a single thread, and on two, as measured


@dataclass(frozen=True, kw_only=True)
class TransformConvTransposeIntoWinograd(IntoWinograd):
    """Compute tiles of a transposed convolution with fewer multiplications, by Winograd's."""

    name: ClassVar[str] = "transform-conv-transpose-into-winograd"
    roots: ClassVar[tuple[type[Op], ...]] = (ConvTranspose,)
    after: ClassVar[tuple[str, ...]] = BEFORE_IT_IS_SPELLED

    def margin(self, match: TiledConv) -> float:
        """What it has to save: less than a convolution, which passes over memory less often."""
        return _LEAST if self.judge.threads == 1 else _LEAST_OF_ANY

    def tiles(self, graph: Graph, conv: int) -> Sequence[Tile]:
        """Those for a kernel of two axes that every phase has as many taps of."""
        kernel, outs = kernel_of(graph, conv), graph.type(Value(conv, 0)).shape or ()
        if len(kernel) != _AXES or 0 in outs:
            return ()
        return enlarging_tiles(kernel, transposed(graph, conv).strides)

    @requirement
    def less_is_cropped_than_a_kernel(self, graph: Graph, m: TiledConv) -> bool:
        """Less is cropped at the begin than the kernel is long, as far as it is known."""
        pads = known_pads(graph, m.conv) or ()
        return all(pad < taps for pad, taps in zip(pads, kernel_of(graph, m.conv), strict=False))

    def axes(self, graph: Graph, match: TiledConv, tile: Tile) -> Sequence[Along]:
        """Sizes, taps, strides and pads of the transposed convolution."""
        pads, kernel = known_pads(graph, match.conv), kernel_of(graph, match.conv)
        assert pads is not None
        strides, sizes = transposed(graph, match.conv).strides, image_of(graph, match.conv)
        outs = [size for size in (graph.type(Value(match.conv, 0)).shape or ())[2:] if isinstance(size, int)]
        return [
            Enlarging(*axis) for axis in zip(sizes, outs, kernel, strides, pads[:_AXES], tile, strict=True)
        ]

    def kernels(self, graph: Graph, conv: int) -> Kernels:
        """The weight (C, K, *taps), filters first, or the taps that its elements are sums of."""
        like, weight = constant_weight(graph, conv)
        tensor, bias = weight_tensor(graph, conv), bias_of(graph, conv)
        found = None if tensor is None else taps_moved(tensor, transposed(graph, conv).strides)
        taps, sums = (weight, None) if found is None else found
        return Kernels(like=like, weight=taps.swapaxes(0, 1), bias=bias, sums=sums)
