"""Spell SpaceToDepth with Reshape and Transpose.

    space_to_depth(x, b)  ->  reshape(transpose(reshape(x, N C H/b b W/b b), N b b C H/b W/b), N C·b² H/b W/b)

Only moves elements: exact. Where neither height nor width are known, or not the number of channels, the axes
are split one after the other and the channels joined last.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Op, Reshape, SpaceToDepth, Transpose
from convgraph.passes.rewrite import Measure, Rewrite


@dataclass(frozen=True, slots=True, kw_only=True)
class Squeezed:
    """A SpaceToDepth and what it reads."""

    x: Value
    op: SpaceToDepth
    result: Value


def _squeeze_count(graph: Graph) -> int:
    return sum(isinstance(graph.op(node), SpaceToDepth) for node in graph.nodes())


@dataclass(frozen=True, kw_only=True)
class LowerSpaceToDepthToTranspose(Rewrite[Squeezed]):
    """Spell SpaceToDepth with Reshape and Transpose."""

    name: ClassVar[str] = "lower-space-to-depth-to-transpose"
    roots: ClassVar[tuple[type[Op], ...]] = (SpaceToDepth,)
    lowers: ClassVar[tuple[type[Op], ...]] = (SpaceToDepth,)
    measure: ClassVar[Measure] = staticmethod(_squeeze_count)

    def find(self, graph: Graph, node: int) -> Squeezed | None:
        """Any SpaceToDepth."""
        op, x = graph.op(node), graph.operand(node, 0)
        if x is None or not isinstance(op, SpaceToDepth):
            return None
        return Squeezed(x=x, op=op, result=Value(node, 0))

    def apply(self, edit: Edit, m: Squeezed) -> None:
        """Split the axes, bring the blocks to the channels, join."""
        b, (_, channels, *sizes) = m.op.blocksize, edit.graph.type(m.x).shape or (None,) * 4
        known = [size // b for size in sizes if isinstance(size, int)]
        if known and isinstance(channels, int):
            high, wide = (size // b if isinstance(size, int) else -1 for size in sizes)
            apart = _reshaped(edit, m.x, 0, channels, high, b, wide, b)
            moved = edit.add(Transpose(perm=(0, 3, 5, 1, 2, 4)), apart)
            y = _reshaped(edit, moved, 0, channels * b * b, high, wide)
        else:
            columns = _reshaped(edit, m.x, 0, 0, 0, -1, b)
            turned = edit.add(Transpose(perm=(0, 1, 3, 4, 2)), columns)
            apart = _reshaped(edit, turned, 0, 0, 0, 0, -1, b)  # N C W/b b H/b b
            moved = edit.add(Transpose(perm=(0, 4, 2, 5, 3, 1)), apart)
            y = edit.add(Transpose(perm=(0, 3, 1, 2)), _reshaped(edit, moved, 0, 0, 0, -1))
        edit.replace(m.result, y)


def _reshaped(edit: Edit, x: Value, *shape: int) -> Value:
    return edit.add(Reshape(), x, edit.constant(np.array(shape, dtype=np.int64)))
