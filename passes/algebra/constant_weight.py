"""What the rewrites that look into a convolution's weight have in common."""

from dataclasses import dataclass
from typing import ClassVar, TypeVar

from convgraph.analysis.cost import weight
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Convolution
from convgraph.ir.tensor import Array
from convgraph.passes.rewrite import Measure, Rewrite, requirement, target_cost


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedConv:
    """A convolution node."""

    conv: int


M = TypeVar("M", bound=WeightedConv)


@dataclass(frozen=True, kw_only=True)
class LooksIntoWeight(Rewrite[M]):
    """A rewrite of a convolution because of the numbers in its weight."""

    name: ClassVar[str]
    measure: ClassVar[Measure] = staticmethod(target_cost)

    @requirement
    def the_weight_is_constant(self, graph: Graph, m: M) -> bool:
        """The weight is a constant that no caller can override."""
        return graph.constant(graph.operand(m.conv, 1)) is not None


def weight_at(graph: Graph, conv: int) -> Array | None:
    """The weight of a convolution, perhaps one that a caller may override; None when it is computed."""
    value = graph.operand(conv, 1)
    tensor = None if value is None else weight(graph, value)
    return None if tensor is None else tensor.numpy()


def constant_weight(graph: Graph, conv: int) -> tuple[Value, Array]:
    """The weight of a convolution that is known to be constant."""
    value = graph.operand(conv, 1)
    tensor = graph.constant(value)
    assert value is not None
    assert tensor is not None
    return value, tensor.numpy()


def convolution(graph: Graph, node: int) -> Convolution:
    """The operation of a node that is known to be a convolution."""
    op = graph.op(node)
    assert isinstance(op, Convolution)
    return op
