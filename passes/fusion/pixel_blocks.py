"""Reshape, Transpose, Reshape of an image: what the rewrites that recover pixel shuffles have in common."""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Op, Reshape, Transpose
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes.fusion.channel_order import agree, rearranged
from convgraph.passes.rewrite import Rewrite, requirement

_MOVED_EVERYWHERE = (DataType.FLOAT, DataType.DOUBLE)  # runtimes lack shuffles of other elements
Sizes = tuple[Dim, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shuffled:
    """An image with its axes split into six, those permuted, and joined again."""

    x: Value
    perm: tuple[int, ...]
    apart: Sizes
    mixed: Value
    result: Value


def shuffled(graph: Graph, node: int) -> Shuffled | None:
    """The image that a Reshape at the end of such a chain rearranges."""
    chain = rearranged(graph, Value(node, 0))
    if chain is None:
        return None
    mixed, split, x = chain
    transpose, apart = graph.producer(mixed), graph.type(split).shape or ()
    ranks = (graph.type(x).rank, len(apart), graph.type(Value(node, 0)).rank)
    if ranks != (4, 6, 4) or not isinstance(transpose, Transpose):
        return None
    if graph.type(x).dtype not in _MOVED_EVERYWHERE:
        return None
    return Shuffled(x=x, perm=transpose.order(6), apart=apart, mixed=mixed, result=Value(node, 0))


@dataclass(frozen=True, kw_only=True)
class FuseShuffle(Rewrite[Shuffled]):
    """A rewrite of such a chain, with one operation that moves pixels in its place."""

    name: ClassVar[str]
    roots: ClassVar[tuple[type[Op], ...]] = (Reshape,)

    def block(self, m: Shuffled) -> tuple[Dim, Dim]:
        """The height and the width of the block of pixels."""
        raise NotImplementedError

    def sizes(self, graph: Graph, m: Shuffled) -> tuple[Sizes, Sizes]:
        """The sizes that x, split, and the result, as joined, have to have."""
        raise NotImplementedError

    @requirement
    def the_block_is_square(self, graph: Graph, m: Shuffled) -> bool:
        """As many rows as columns of pixels, a known number, go together."""
        del graph
        high, wide = self.block(m)
        return high == wide and isinstance(high, int)

    @requirement
    def the_axes_are_split_and_joined_so(self, graph: Graph, m: Shuffled) -> bool:
        """Splitting the axes of the image, and joining the permuted ones, are known to give these sizes."""
        before, after = self.sizes(graph, m)
        return agree(before, graph.type(m.x).shape) and agree(after, graph.type(m.result).shape)

    @requirement
    def nothing_else_reads_the_permuted_pixels(self, graph: Graph, m: Shuffled) -> bool:
        """Only the last Reshape reads what is permuted, and the graph does not return it."""
        return graph.sole_reader(m.mixed) is not None
