"""Read a value itself, where a Concat puts all its parts together again.

    concat(…, x[: a], x[a : b], x[b :], …)  ->  concat(…, x, …)        concat(split(x)) -> x

along the axis of the Concat. Exact: elements are copied.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Concat, Op
from convgraph.passes.cleanup.parts import part
from convgraph.passes.rewrite import Measure, Rewrite, operand_count


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedParts:
    """A Concat, and what it may read instead of what it does."""

    node: int
    operands: tuple[Value | None, ...]


@dataclass(frozen=True, kw_only=True)
class RemoveConcatOfParts(Rewrite[JoinedParts]):
    """Read a value itself, where a Concat puts all its parts together again."""

    name: ClassVar[str] = "remove-concat-of-parts"
    roots: ClassVar[tuple[type[Op], ...]] = (Concat,)
    measure: ClassVar[Measure] = staticmethod(operand_count)

    def find(self, graph: Graph, node: int) -> JoinedParts | None:
        """A Concat of all parts of a value, one after the other, perhaps with something else around them."""
        op, operands, rank = graph.op(node), graph.operands(node), graph.type(Value(node, 0)).rank
        if not isinstance(op, Concat) or not rank:
            return None
        for begin in range(len(operands)):
            count, x = _whole(graph, islice(operands, begin, None), op.axis % rank)
            if x is not None and count > 1:
                return JoinedParts(node=node, operands=(*operands[:begin], x, *operands[begin + count :]))
        return None

    def apply(self, edit: Edit, m: JoinedParts) -> None:
        """Put the value in the place of its parts."""
        alone = m.operands[0] if len(m.operands) == 1 else None
        joined = alone or edit.add(edit.graph.op(m.node), *m.operands, like=m.node)
        edit.replace(Value(m.node, 0), joined)


def _whole(graph: Graph, operands: Iterable[Value | None], axis: int) -> tuple[int, Value | None]:
    """How many of these, from the first on, are all parts of one value, and this; None when they are not."""
    x, reached = None, 0
    for count, operand in enumerate(operands, start=1):
        found = part(graph, operand, axis)
        if found is None or found.start != reached or (x is not None and found.x != x):
            break
        x = found.x
        if found.end is None:
            return count, x
        reached = found.end
    return 0, None
