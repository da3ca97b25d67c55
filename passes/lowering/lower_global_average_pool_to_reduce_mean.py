"""Spell a global average pool as a mean over the spatial axes.

    global_average_pool(x)  ->  reduce_mean(x, axes 2 and on, kept)

Exact: the same mean.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import GlobalAveragePool, Op, ReduceMean
from convgraph.passes.rewrite import Measure, Rewrite


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """A global average pool: what it reads and makes."""

    x: Value
    result: Value


def _pool_count(graph: Graph) -> int:
    return sum(isinstance(graph.op(node), GlobalAveragePool) for node in graph.nodes())


@dataclass(frozen=True, kw_only=True)
class LowerGlobalAveragePoolToReduceMean(Rewrite[Pooled]):
    """Spell a global average pool as a mean over the spatial axes."""

    name: ClassVar[str] = "lower-global-average-pool-to-reduce-mean"
    roots: ClassVar[tuple[type[Op], ...]] = (GlobalAveragePool,)
    lowers: ClassVar[tuple[type[Op], ...]] = (GlobalAveragePool,)
    measure: ClassVar[Measure] = staticmethod(_pool_count)

    def find(self, graph: Graph, node: int) -> Pooled | None:
        """A global average pool over any number of axes that is known, and not none."""
        x = graph.operand(node, 0)
        return None if x is None or (graph.type(x).rank or 0) < 3 else Pooled(x=x, result=Value(node, 0))

    def apply(self, edit: Edit, m: Pooled) -> None:
        """Take the mean along every spatial axis."""
        axes = np.arange(2, edit.graph.type(m.x).rank or 2, dtype=np.int64)
        edit.replace(m.result, edit.add(ReduceMean(), m.x, edit.constant(axes), like=m.result.node))
