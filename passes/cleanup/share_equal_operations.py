"""Compute once what is computed twice.

    y = f(a, b), z = f(a, b)  ->  y = z = f(a, b)
    y = a + b, z = b + a  ->  y = z = a + b        and other operations whose two operands may be turned round

Exact: an operation of ONNX has no effect but its results, and from the same operands computes the same,
unless it is random. A graph output that goes becomes an Identity. Of ``share-equal-constants`` this learns
which constants are the same.
"""

from collections.abc import Collection, Hashable
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import (
    Add,
    And,
    Equal,
    Identity,
    Max,
    Mean,
    Min,
    Mul,
    Op,
    Opaque,
    Or,
    Sum,
    Xor,
)
from convgraph.passes.cleanup.repeatable import is_repeatable
from convgraph.passes.rewrite import Measure, Rewrite, requirement

_SYMMETRIC = (Add, Mul, And, Or, Xor, Equal, Max, Min, Sum, Mean)
_FEW = 64  # readers of a value to look at: where thousands read it, those at the front may still be found


@dataclass(frozen=True, slots=True, kw_only=True)
class Twins:
    """Two nodes that compute the same; ``kept`` is the earlier one."""

    kept: int
    gone: int


def operations(graph: Graph) -> int:
    """Measure: how many operations there are that do not merely hand their operand on."""
    return sum(not isinstance(graph.op(node), Identity) for node in graph.compute_nodes())


@dataclass(frozen=True, kw_only=True)
class ShareEqualOperations(Rewrite[Twins]):
    """Compute once what is computed twice."""

    name: ClassVar[str] = "share-equal-operations"
    roots: ClassVar[tuple[type[Op], ...]] = (Op,)
    measure: ClassVar[Measure] = staticmethod(operations)

    def find(self, graph: Graph, node: int) -> Twins | None:
        """Two nodes of equal operations on equal operands; the one that fewest read tells where to look."""
        fewest: Collection[int] = ()
        for value in graph.operands(node):
            readers = () if value is None else graph.nx.succ[value.node]
            if len(readers) == 1:
                return None
            if value is not None and (not fewest or len(readers) < len(fewest)):
                fewest = readers
        if not fewest or not _is_plain(graph.op(node)):
            return None
        twin = next((n for n in islice(fewest, _FEW) if n != node and _are_equal(graph, node, n)), None)
        if twin is None:
            return None
        kept, gone = sorted((node, twin), key=lambda n: (graph.info(n).order, n))
        return Twins(kept=kept, gone=gone)

    @requirement
    def it_always_computes_the_same(self, graph: Graph, m: Twins) -> bool:
        """It is neither random nor in training mode."""
        return is_repeatable(graph, m.gone)

    def apply(self, edit: Edit, m: Twins) -> None:
        """Let the readers of the one read the other."""
        pairs = zip(edit.graph.results(m.gone), edit.graph.results(m.kept), strict=True)
        for gone, kept in pairs:
            edit.replace(gone, kept)


def _is_plain(op: Op) -> bool:
    """Whether an operation is ONNX's own and runs no body.

    An Identity is there for its name, and what makes numbers of quantised ones next to each operation that
    computes with them: runtimes look for it there.
    """
    if isinstance(op, Opaque):
        return not op.domain and not op.subgraphs and op.op_type != "DequantizeLinear"
    return not isinstance(op, Identity)


def _are_equal(graph: Graph, one: int, other: int) -> bool:
    if type(graph.op(one)) is not type(graph.op(other)):
        return False
    if _operands(graph, one) != _operands(graph, other) or _says(graph.op(one)) != _says(graph.op(other)):
        return False
    results = [[graph.value_info(value) for value in graph.results(node)] for node in (one, other)]
    if [bool(info.name) for info in results[0]] != [bool(info.name) for info in results[1]]:
        return False  # a result that one was not asked for
    return all(a.type.admits(b.type) for a, b in zip(*results, strict=True))


def _operands(graph: Graph, node: int) -> Hashable:
    operands = graph.operands(node)
    turns = len(operands) == 2 and isinstance(graph.op(node), _SYMMETRIC)
    return frozenset(operands) if turns else operands


def _says(op: Op) -> object:
    """What two operations have in common that are the same; in words, −0 differs from 0."""
    if isinstance(op, Opaque):
        return op.op_type, op.overload, op.arity, dict(op.encoded)
    return repr(op)
