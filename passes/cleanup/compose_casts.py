"""Cast once, where a cast that loses nothing is followed by another.

    cast(cast(x, wide), t)  ->  cast(x, t)        x itself where it is of type t

where ``wide`` holds every number of the type of x. Exact: the second cast finds the very same numbers. Never
past a narrower type, which rounds, truncates or overflows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Cast, Op
from convgraph.ir.tensor import DataType
from convgraph.passes.cleanup.handed_on import may_stand_for
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class CastTwice:
    """What is cast, the result of the first cast and that of the second."""

    x: Value
    first: Value
    second: Value


@dataclass(frozen=True, kw_only=True)
class ComposeCasts(Rewrite[CastTwice]):
    """Cast once, where a cast that loses nothing is followed by another."""

    name: ClassVar[str] = "compose-casts"
    roots: ClassVar[tuple[type[Op], ...]] = (Cast,)

    def find(self, graph: Graph, node: int) -> CastTwice | None:
        """A Cast of a Cast, to a type of numbers."""
        first = graph.operand(node, 0)
        if first is None or not isinstance(graph.producer(first), Cast):
            return None
        if graph.type(Value(node, 0)).dtype not in _NUMBERS:
            return None
        x = graph.operand(first.node, 0)
        return None if x is None else CastTwice(x=x, first=first, second=Value(node, 0))

    @requirement
    def the_first_cast_loses_nothing(self, graph: Graph, m: CastTwice) -> bool:
        """The type between holds every number of the first one."""
        return _holds(graph.type(m.first).dtype, graph.type(m.x).dtype)

    @requirement
    def a_cast_goes(self, graph: Graph, m: CastTwice) -> bool:
        """Only the second cast reads the first one's result, or undoes it."""
        return _is_undone(graph, m) or graph.sole_reader(m.first) is not None

    def apply(self, edit: Edit, m: CastTwice) -> None:
        """Let the readers read x, or one Cast of it."""
        if _is_undone(edit.graph, m):
            edit.replace(m.second, m.x)
        else:
            op = edit.graph.op(m.second.node)
            edit.replace(m.second, edit.add(op, m.x, like=m.second.node))


def _is_undone(graph: Graph, m: CastTwice) -> bool:
    """Whether the readers can do with x: it has the final type, and no two names that must stay are in it."""
    return graph.type(m.x).dtype is graph.type(m.second).dtype and may_stand_for(graph, m.x, m.second)


class _Range(NamedTuple):
    """Which numbers a type has: so many binary digits, from one place to another, of one sign or both."""

    digits: int
    lowest: int
    highest: int
    is_signed: bool = True


_NUMBERS: Mapping[DataType, _Range] = {
    DataType.FLOAT16: _Range(11, -24, 16),
    DataType.BFLOAT16: _Range(8, -133, 128),
    DataType.FLOAT: _Range(24, -149, 128),
    DataType.DOUBLE: _Range(53, -1074, 1024),
    DataType.INT8: _Range(7, 0, 7),
    DataType.INT16: _Range(15, 0, 15),
    DataType.INT32: _Range(31, 0, 31),
    DataType.INT64: _Range(63, 0, 63),
    DataType.UINT8: _Range(8, 0, 8, is_signed=False),
    DataType.UINT16: _Range(16, 0, 16, is_signed=False),
    DataType.UINT32: _Range(32, 0, 32, is_signed=False),
    DataType.UINT64: _Range(64, 0, 64, is_signed=False),
    DataType.BOOL: _Range(1, 0, 1, is_signed=False),
}


def _holds(wide: DataType, narrow: DataType) -> bool:
    """Whether a type has every number of another."""
    if wide not in _NUMBERS or narrow not in _NUMBERS:
        return False
    a, b = _NUMBERS[wide], _NUMBERS[narrow]
    spans = a.lowest <= b.lowest and a.highest >= b.highest and a.digits >= b.digits
    return spans and (a.is_signed or not b.is_signed)
