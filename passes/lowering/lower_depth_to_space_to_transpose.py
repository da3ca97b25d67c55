"""Spell DepthToSpace with Reshape and Transpose.

    depth_to_space(x, b)  ->  reshape(transpose(reshape(x, N C b b H W), N C H b W b), N C H·b W·b)

for mode CRD; mode DCR has the channel after the block. Only moves elements: exact. Height and width may be
symbolic, the number of channels must be known.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import DepthToSpace, Op
from convgraph.passes.algebra.pixels import interleaved
from convgraph.passes.rewrite import Measure, Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class Shuffle:
    """A DepthToSpace and what it reads."""

    x: Value
    op: DepthToSpace
    result: Value


def _shuffle_count(graph: Graph) -> int:
    return sum(isinstance(graph.op(node), DepthToSpace) for node in graph.nodes())


@dataclass(frozen=True, kw_only=True)
class LowerDepthToSpaceToTranspose(Rewrite[Shuffle]):
    """Spell DepthToSpace with Reshape and Transpose."""

    name: ClassVar[str] = "lower-depth-to-space-to-transpose"
    roots: ClassVar[tuple[type[Op], ...]] = (DepthToSpace,)
    lowers: ClassVar[tuple[type[Op], ...]] = (DepthToSpace,)
    measure: ClassVar[Measure] = staticmethod(_shuffle_count)

    def find(self, graph: Graph, node: int) -> Shuffle | None:
        """Any DepthToSpace."""
        op, x = graph.op(node), graph.operand(node, 0)
        if x is None or not isinstance(op, DepthToSpace):
            return None
        return Shuffle(x=x, op=op, result=Value(node, 0))

    @requirement
    def the_number_of_channels_is_known(self, graph: Graph, m: Shuffle) -> bool:
        """The number of channels is known."""
        return isinstance(graph.type(m.x).dim(1), int)

    def apply(self, edit: Edit, m: Shuffle) -> None:
        """Reshape, transpose, reshape."""
        block = (m.op.blocksize, m.op.blocksize)
        edit.replace(m.result, interleaved(edit, m.x, block=block, block_first=m.op.mode == "DCR"))
