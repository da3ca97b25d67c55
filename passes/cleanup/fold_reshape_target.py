"""Write the shape a Reshape makes as a constant, where all sizes in it but one are known or stay.

    reshape(x, concat(a, n, b)) -> reshape(x, [a, −1, b])        n any one number
    reshape(x, concat(n, −1, b)) -> reshape(x, [0, −1, b])        n the size of x on the same axis

Exact: 0 copies a size, and −1 is what the number of elements leaves. Networks of an open batch or picture,
exported with sizes that they measure and calculate while they run, are full of these.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, repeat
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Constant, Input, Op, Reshape
from convgraph.ir.tensor import Dim
from convgraph.passes.cleanup.measured_sizes import measured_sizes
from convgraph.passes.cleanup.size_arithmetic import Size, multiple
from convgraph.passes.rewrite import Measure, Rewrite, requirement

_COPIED, _OPEN = 0, -1


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedTarget:
    """A Reshape, and the sizes it asks for: numbers, 0 for one that stays, −1 for one to work out."""

    node: int
    sizes: tuple[int, ...]


def computed_targets(graph: Graph) -> int:
    """Measure: how many Reshapes have a shape that is not constant."""
    reshapes = (node for node in graph.compute_nodes() if isinstance(graph.op(node), Reshape))
    return sum(graph.constant(graph.operand(node, 1)) is None for node in reshapes)


@dataclass(frozen=True, kw_only=True)
class FoldReshapeTarget(Rewrite[JoinedTarget]):
    """Write the shape a Reshape makes as a constant, where all sizes in it but one are known or stay."""

    name: ClassVar[str] = "fold-reshape-target"
    roots: ClassVar[tuple[type[Op], ...]] = (Reshape,)
    measure: ClassVar[Measure] = staticmethod(computed_targets)

    def find(self, graph: Graph, node: int) -> JoinedTarget | None:
        """A Reshape to a shape that is computed, of a known number of sizes."""
        op, (x, target) = graph.op(node), graph.operands(node)
        if not isinstance(op, Reshape) or x is None or target is None:
            return None
        if isinstance(graph.producer(target), (Constant, Input)):
            return None
        sizes = measured_sizes(graph, target)
        if sizes is None or (op.allowzero and 0 in sizes):  # a 0 that copies nothing
            return None
        if any(isinstance(size, int) and size < _OPEN for size in sizes):  # no Reshape takes that
            return None
        return JoinedTarget(node=node, sizes=spelled(sizes, graph.type(x).shape or ()))

    @requirement
    def one_size_at_most_is_open(self, graph: Graph, m: JoinedTarget) -> bool:
        """All sizes but one are numbers, or stay what they are on their axis."""
        return m.sizes.count(_OPEN) <= 1

    def apply(self, edit: Edit, m: JoinedTarget) -> None:
        """Put a Reshape to a constant shape in its place."""
        target = edit.constant(np.array(m.sizes, np.int64), name="shape")
        reshaped = edit.add(Reshape(), edit.graph.operand(m.node, 0), target, like=m.node)
        edit.replace(Value(m.node, 0), reshaped)


def spelled(sizes: Iterable[Size], before: tuple[Dim, ...]) -> tuple[int, ...]:
    """The sizes as Reshape takes them, from those before, axis by axis."""
    return tuple(
        size if isinstance(size, int) else _COPIED if multiple(size, own) == 1 else _OPEN
        for size, own in zip(sizes, chain(before, repeat(None)), strict=False)
    )
