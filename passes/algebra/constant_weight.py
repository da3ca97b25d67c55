"""What the rewrites that look into a convolution's weight have in common."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import wraps
from typing import ClassVar, Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from convgraph.analysis.cost import weight
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Convolution
from convgraph.ir.tensor import Array, Tensor
from convgraph.passes.rewrite import Measure, Rewrite, requirement, target_cost


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedConv:
    """A convolution node."""

    conv: int


M = TypeVar("M", bound=WeightedConv)
_P = ParamSpec("_P")
_Fact = TypeVar("_Fact")


@dataclass(frozen=True, kw_only=True)
class LooksIntoWeight(Rewrite[M]):
    """A rewrite of a convolution because of the numbers in its weight."""

    name: ClassVar[str]
    measure: ClassVar[Measure] = staticmethod(target_cost)

    @requirement
    def the_weight_is_constant(self, graph: Graph, m: M) -> bool:
        """The weight is a constant that no caller can override."""
        return graph.constant(graph.operand(m.conv, 1)) is not None


@dataclass(frozen=True, kw_only=True)
class TakesWeightsApart(Rewrite[M]):
    """A rewrite that makes other weights of a convolution's, whatever the numbers in them."""

    name: ClassVar[str]

    @requirement
    def the_weights_are_constant(self, graph: Graph, m: M) -> bool:
        """Weight and bias are constants that no caller can override."""
        operands = graph.operands(m.conv)[1:3]
        return all(graph.constant(value) is not None for value in operands if value is not None)


def seen_once(
    fact: Callable[Concatenate[Tensor, _P], _Fact],
) -> Callable[Concatenate[Tensor, _P], _Fact]:
    """Look into a tensor, whose numbers never change, only once: what was seen is kept as long as it is."""
    known: WeakKeyDictionary[Tensor, dict[Hashable, _Fact]] = WeakKeyDictionary()

    @wraps(fact)
    def seen(tensor: Tensor, /, *args: _P.args, **options: _P.kwargs) -> _Fact:
        facts = known.setdefault(tensor, {})
        asked = (args, *options.items())
        if asked not in facts:
            facts[asked] = fact(tensor, *args, **options)
        return facts[asked]

    return seen


def weight_at(graph: Graph, conv: int) -> Array | None:
    """The weight of a convolution, perhaps one that a caller may override; None when it is computed."""
    tensor = weight_tensor(graph, conv)
    return None if tensor is None else tensor.numpy()


def weight_tensor(graph: Graph, conv: int) -> Tensor | None:
    """The same, not read as yet."""
    value = graph.operand(conv, 1)
    return None if value is None else weight(graph, value)


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
