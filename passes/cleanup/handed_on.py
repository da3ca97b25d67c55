"""Results that always equal a value the graph has anyway, and that their readers can read instead."""

from dataclasses import dataclass

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Input
from convgraph.ir.tensor import TensorType
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOn:
    """``result`` always equals ``source``."""

    source: Value
    result: Value


@dataclass(frozen=True, kw_only=True)
class HandedOn(Rewrite[PassedOn]):
    """Let what reads a result read the value that it always equals."""

    @requirement
    def the_names_of_the_interface_stay(self, graph: Graph, m: PassedOn) -> bool:
        """It does not join a graph output to a graph input or another output, two names that must stay."""
        return may_stand_for(graph, m.source, m.result)

    def apply(self, edit: Edit, m: PassedOn) -> None:
        """Let the readers read the source."""
        edit.replace(m.result, m.source)


@dataclass(frozen=True, kw_only=True)
class BroadcastOn(HandedOn):
    """The same where other operands could give the result more elements than the value has."""

    @requirement
    def nothing_widens_it(self, graph: Graph, m: PassedOn) -> bool:
        """No other operand has an axis that the value lacks, or more elements on one than it surely has."""
        kind = graph.type(m.source)
        others = set(graph.operands(m.result.node)) - {m.source}
        return all(other is None or _broadcasts_into(graph.type(other), kind) for other in others)


def may_stand_for(graph: Graph, source: Value, result: Value) -> bool:
    """Whether ``source`` can take the place of ``result`` without an Identity that keeps a name."""
    fixed = graph.is_output(source) or isinstance(graph.producer(source), Input)
    return not (fixed and graph.is_output(result))


def _broadcasts_into(kind: TensorType, value: TensorType) -> bool:
    if not kind.shape or value.rank is None or len(kind.shape) > value.rank:
        return kind.shape == ()
    sizes = enumerate(kind.shape, start=-len(kind.shape))
    return all(size == 1 or (size is not None and size == value.dim(axis)) for axis, size in sizes)
