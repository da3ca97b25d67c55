"""Store once what is stored twice.

    c, d of one type and shape, and the same in every bit  ->  c for all readers of both

Exact: 0 and −0, and numbers that are none, of different bits are kept apart. So is what a ConvTranspose has
for its weight from what others read: compilers turn it round where they find it. An initializer that a caller
may override is no constant.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Constant, ConvTranspose, Op
from convgraph.ir.tensor import Tensor
from convgraph.passes.rewrite import Measure, Rewrite, node_count

Look = Callable[[Graph, Value], Hashable]

_SMALL = 1 << 14  # bytes, read without a second thought
_GLIMPSE = 16  # elements


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """Constants to go, each with the one that is kept in its place."""

    pairs: tuple[tuple[Value, Value], ...]


@dataclass(frozen=True, kw_only=True)
class ShareEqualConstants(Rewrite[Copies]):
    """Store once what is stored twice."""

    name: ClassVar[str] = "share-equal-constants"
    roots: ClassVar[tuple[type[Op], ...]] = (Op,)
    measure: ClassVar[Measure] = staticmethod(node_count)

    def find(self, graph: Graph, node: int) -> Copies | None:
        """All copies of constants: the graph is looked at as a whole, at its first input."""
        if node != self.root(graph, node):
            return None
        pairs = tuple(pair for group in _equal(graph) for pair in _replacements(graph, group))
        return Copies(pairs=pairs) if pairs else None

    def root(self, graph: Graph, node: int) -> int:
        """The first input, visited before what reads it; without one, where the first output is made."""
        ends = graph.inputs or graph.outputs
        return ends[0].node if ends else -1

    def is_evident(self, graph: Graph, match: Copies) -> bool:
        """Each constant that goes has every bit of the one that stays."""
        return all(_contents(graph, gone) == _contents(graph, kept) for gone, kept in match.pairs)

    def apply(self, edit: Edit, m: Copies) -> None:
        """Let the readers of the copies read what is kept."""
        for gone, kept in m.pairs:
            edit.replace(gone, kept)


def _equal(graph: Graph) -> Iterable[list[Value]]:
    """Constants that are the same, in groups.

    What is large is read only where what is quickly seen of it is the same already.
    """
    constants = [Value(node, 0) for node in graph.nx if isinstance(graph.op(node), Constant)]
    groups: Iterable[list[Value]] = [constants]
    for look in (_kind, _glimpse, _contents):
        groups = _apart(graph, groups, look)
    return groups


def _apart(graph: Graph, groups: Iterable[list[Value]], look: Look) -> Iterator[list[Value]]:
    """Each group split into those that look the same, without those left alone."""
    for group in groups:
        found: dict[Hashable, list[Value]] = {}
        for value in group:
            found.setdefault(look(graph, value), []).append(value)
        yield from (part for part in found.values() if len(part) > 1)


def _replacements(graph: Graph, group: Iterable[Value]) -> Iterator[tuple[Value, Value]]:
    """Each copy with the constant to keep: a graph output if there is one, else the first."""
    kept, *copies = sorted(group, key=lambda v: (not graph.is_output(v), graph.info(v.node).order, v))
    yield from ((copy, kept) for copy in copies if not graph.is_output(copy))


def _kind(graph: Graph, value: Value) -> Hashable:
    """What is known without reading anything: the type, and whether a ConvTranspose has it for its weight."""
    tensor = _tensor(graph, value)
    uses = graph.readers(value) if len(tensor.shape) > 2 else ()
    transposed = any(use.slot == 1 and isinstance(graph.op(use.node), ConvTranspose) for use in uses)
    return tensor.dtype, tensor.shape, transposed


def _glimpse(graph: Graph, value: Value) -> Hashable:
    """The bytes at either end of what is large: enough to tell most weights of one shape apart."""
    tensor = _tensor(graph, value)
    if tensor.nbytes <= _SMALL:
        return None
    elements = tensor.numpy().reshape(-1)
    return elements[:_GLIMPSE].tobytes(), elements[-_GLIMPSE:].tobytes()


def _contents(graph: Graph, value: Value) -> Hashable:
    """Every bit."""
    return _tensor(graph, value).digest()


def _tensor(graph: Graph, value: Value) -> Tensor:
    op = graph.producer(value)
    assert isinstance(op, Constant)
    return op.tensor
