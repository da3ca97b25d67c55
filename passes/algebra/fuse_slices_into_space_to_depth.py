"""Make one SpaceToDepth of slices that take every pixel of each block, joined as channels.

    concat(x[…, i₁::r, j₁::r], …, x[…, iₙ::r, jₙ::r])  ->  gather(space_to_depth(x; r), π)        n = r²

when the (i, j) are all the pixels of an r×r block, in any order; π puts the channels in that order and is
left out where it changes nothing. A convolution that follows takes both over. The slices can only be joined
when height and width are multiples of r. Exact: nothing is computed.

Source: the Focus layer of YOLOv5 (Jocher, 2020), which is spelled so.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isqrt
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Concat, Op, Slice, SpaceToDepth
from convgraph.ir.ops.layout import FAR, Cut
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes.fusion.channel_order import with_order
from convgraph.passes.rewrite import Measure, PricedRewrite, requirement, target_cost

_ROWS, _COLUMNS = 2, 3  # of (N, C, H, W)
_MOVED_EVERYWHERE = (DataType.FLOAT, DataType.DOUBLE)  # runtimes lack SpaceToDepth of other elements


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Every ``step``-th pixel of x from (row, column) on, and the nodes that take them."""

    x: Value
    row: int
    column: int
    step: int
    nodes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedPhases:
    """Slices of one value, what joins them, and the size of the block."""

    phases: tuple[Phase, ...]
    result: Value
    block: int


@dataclass(frozen=True, kw_only=True)
class FuseSlicesIntoSpaceToDepth(PricedRewrite[JoinedPhases]):
    """Make one SpaceToDepth of slices that take every pixel of each block, joined as channels."""

    name: ClassVar[str] = "fuse-slices-into-space-to-depth"
    roots: ClassVar[tuple[type[Op], ...]] = (Concat,)
    makes: ClassVar[tuple[type[Op], ...]] = (SpaceToDepth,)
    measure: ClassVar[Measure] = staticmethod(target_cost)

    def find(self, graph: Graph, node: int) -> JoinedPhases | None:
        """A Concat on the channel axis of r² slices of one image, each with steps of r."""
        op, pieces = graph.op(node), graph.operands(node)
        block, result = isqrt(len(pieces)), Value(node, 0)
        kind = graph.type(result)
        if not isinstance(op, Concat) or kind.rank != 4 or op.axis % 4 != 1 or block < 2:
            return None
        found = [None if piece is None else _phase(graph, piece) for piece in pieces]
        phases = tuple(phase for phase in found if phase is not None and phase.step == block)
        if len(phases) != block * block or len({phase.x for phase in phases}) > 1:
            return None
        channels = graph.type(phases[0].x).dim(1)
        if not isinstance(channels, int) or kind.dtype not in _MOVED_EVERYWHERE:
            return None
        return JoinedPhases(phases=phases, result=result, block=block)

    @requirement
    def each_pixel_of_a_block_is_taken_once(self, graph: Graph, m: JoinedPhases) -> bool:
        """The slices begin at all the pixels of the first block, at each once."""
        return sorted(_places(m)) == list(range(m.block**2))

    def replaces(self, graph: Graph, match: JoinedPhases) -> Iterable[int]:
        """The slices and what joins them."""
        return {node for phase in match.phases for node in phase.nodes} | {match.result.node}

    def apply(self, edit: Edit, m: JoinedPhases) -> None:
        """Put a SpaceToDepth, and an order of its channels, in their place."""
        x, places = m.phases[0].x, np.asarray(_places(m))
        y = edit.add(SpaceToDepth(blocksize=m.block), x, like=m.result.node)
        channels = edit.graph.type(x).dim(1)
        assert isinstance(channels, int)
        order = (places[:, None] * channels + np.arange(channels)).reshape(-1)
        edit.replace(m.result, with_order(edit, y, order.tolist()))


def _places(m: JoinedPhases) -> list[int]:
    """Where among a block's pixels, row by row, each slice begins."""
    return [phase.row * m.block + phase.column for phase in m.phases]


def _phase(graph: Graph, value: Value) -> Phase | None:
    """The Slices that make a value, one after the other, as one; None unless they cut rows and columns."""
    cuts: dict[int, Cut] = {}
    nodes: list[int] = []
    while _ROWS not in cuts or _COLUMNS not in cuts:
        op, (x, *numbers) = graph.producer(value), graph.operands(value.node) or (None,)
        if not isinstance(op, Slice) or x is None:
            return None
        starts, ends, *rest = (None if number is None else graph.type(number) for number in numbers)
        assert starts is not None
        assert ends is not None
        cut = op.cuts(graph.type(x), starts, ends, *rest)
        if not cut or not all(_is_phase(one, graph.type(x).dim(axis)) for axis, one in cut.items()):
            return None
        if not cut.keys().isdisjoint(cuts) or not cut.keys() <= {_ROWS, _COLUMNS}:
            return None
        cuts |= cut
        nodes.append(value.node)
        value = x
    (row, _, step), (column, _, other) = cuts[_ROWS], cuts[_COLUMNS]
    return Phase(x=value, row=row, column=column, step=step, nodes=tuple(nodes)) if step == other else None


def _is_phase(cut: Cut, size: Dim) -> bool:
    """Whether a cut runs to the end, from an element of the first block."""
    to_the_end = cut.end >= (size if isinstance(size, int) else FAR)
    return cut.step >= 2 and 0 <= cut.start < cut.step and to_the_end
