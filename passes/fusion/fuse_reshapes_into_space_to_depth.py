"""Fuse a Reshape, Transpose and Reshape that turn blocks of pixels into channels into one SpaceToDepth.

    reshape(transpose(reshape(x, N C H b W b), N b b C H W), N b²·C H W)  ->  space_to_depth(x, b)
    reshape(transpose(reshape(x, N C H b W b), N C b b H W), N C·b² H W)  ->  gather(space_to_depth(x, b), π)

π puts the channels in the order of the second, a pixel unshuffle, for which there is no operator. A
convolution that follows takes it over. Only moves elements: exact. In onnxruntime the chains took 9 and 6
times as long.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Op, SpaceToDepth
from convgraph.ir.tensor import Dim, times
from convgraph.passes.fusion.channel_order import with_order
from convgraph.passes.fusion.pixel_blocks import FuseShuffle, Shuffled, Sizes, shuffled

_BLOCK_FIRST, _CHANNEL_FIRST = (0, 3, 5, 1, 2, 4), (0, 1, 3, 5, 2, 4)


@dataclass(frozen=True, kw_only=True)
class FuseReshapesIntoSpaceToDepth(FuseShuffle):
    """Fuse a Reshape, Transpose and Reshape that turn blocks of pixels into channels into a SpaceToDepth."""

    name: ClassVar[str] = "fuse-reshapes-into-space-to-depth"
    makes: ClassVar[tuple[type[Op], ...]] = (SpaceToDepth,)

    def find(self, graph: Graph, node: int) -> Shuffled | None:
        """A chain that puts the two axes split off height and width beside the channels, of known number."""
        m = shuffled(graph, node)
        known = m is not None and isinstance(m.apart[1], int)
        return m if known and m is not None and m.perm in (_BLOCK_FIRST, _CHANNEL_FIRST) else None

    def block(self, m: Shuffled) -> tuple[Dim, Dim]:
        """The axes split off height and width."""
        return m.apart[3], m.apart[5]

    def sizes(self, graph: Graph, m: Shuffled) -> tuple[Sizes, Sizes]:
        """N, C, H·b, W·b, and N, C·b², H, W."""
        del graph
        batch, channels, high, block, wide, _ = m.apart
        assert isinstance(block, int)
        before = (batch, channels, times(high, block), times(wide, block))
        return before, (batch, times(channels, block * block), high, wide)

    def apply(self, edit: Edit, m: Shuffled) -> None:
        """Put a SpaceToDepth, and an order of its channels where it needs one, in the place of the three."""
        channels, block = m.apart[1], m.apart[3]
        assert isinstance(channels, int)
        assert isinstance(block, int)
        y = edit.add(SpaceToDepth(blocksize=block), m.x, like=m.result.node)
        numbers = np.arange(block * block * channels).reshape(block * block, channels)
        order = numbers.T if m.perm == _CHANNEL_FIRST else numbers
        edit.replace(m.result, with_order(edit, y, order.reshape(-1).tolist()))
