"""Multiply by a positive number after an activation or pool, where convolutions that follow take the factor.

    conv(relu(x · c))  ->  conv(relu(x) · c)        conv(maxpool(relu(x / c)))  ->  conv(maxpool(relu(x)) / c)

c > 0 is one number; between may be any Relu, LeakyRelu, MaxPool and AveragePool, and the global pools. The
factor then goes into the weights: HiFi-GAN takes the mean of its branches so, just before an activation.
Exact in real arithmetic; floating point differs by reassociation only.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    AveragePool,
    Div,
    GlobalAveragePool,
    GlobalMaxPool,
    LeakyRelu,
    MaxPool,
    Mul,
    Op,
    Relu,
)
from convgraph.passes.fusion.before_convolutions import convolutions_after
from convgraph.passes.fusion.scalars import beside_a_number, pairs_in_order
from convgraph.passes.rewrite import Measure, Rewrite, requirement

_HOMOGENEOUS = (Relu, LeakyRelu, MaxPool, AveragePool, GlobalAveragePool, GlobalMaxPool)
_MOST = 8  # of them passed; from each node of a chain of thousands, all those after it would be


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledActivation:
    """What is scaled, the operation that does it and its number, and what works on the result, in order."""

    x: Value
    scale: int
    number: float
    steps: tuple[int, ...]


def scales_before_activations(graph: Graph) -> tuple[int, int]:
    """Measure: how many operations there are, then how many activations and pools stand after a scale."""
    return pairs_in_order(graph, first=(Mul, Div), then=_HOMOGENEOUS)


@dataclass(frozen=True, kw_only=True)
class CommuteScaleWithActivation(Rewrite[ScaledActivation]):
    """Multiply by a positive number after an activation or pool, where convolutions take the factor."""

    name: ClassVar[str] = "commute-scale-with-activation"
    roots: ClassVar[tuple[type[Op], ...]] = (Mul, Div)
    measure: ClassVar[Measure] = staticmethod(scales_before_activations)

    def find(self, graph: Graph, node: int) -> ScaledActivation | None:
        """A product or quotient of a number, and what works on it up to convolutions of constant weights."""
        beside = beside_a_number(graph, node)
        if beside is None or (beside[2] and isinstance(graph.op(node), Div)):
            return None
        x, number, _ = beside
        steps: list[int] = []
        use = graph.sole_reader(Value(node, 0))
        while use is not None and isinstance(graph.op(use.node), _HOMOGENEOUS) and len(steps) < _MOST:
            steps.append(use.node)
            use = graph.sole_reader(Value(use.node, 0))
        if not steps or not _convolutions_take_a_factor(graph, Value(steps[-1], 0)):
            return None
        return ScaledActivation(x=x, scale=node, number=number, steps=tuple(steps))

    @requirement
    def the_number_is_positive(self, graph: Graph, m: ScaledActivation) -> bool:
        """The number is above zero: what is negative stays so."""
        return m.number > 0

    @requirement
    def no_pool_numbers_what_it_takes(self, graph: Graph, m: ScaledActivation) -> bool:
        """No pool returns where in the image its results are from, too."""
        return all(len(graph.results(node)) == 1 for node in m.steps)

    def apply(self, edit: Edit, m: ScaledActivation) -> None:
        """Activate and pool first, then scale."""
        graph, value = edit.graph, m.x
        for node in m.steps:
            value = edit.add(graph.op(node), value, like=node)
        (constant,) = (v for v in graph.operands(m.scale) if v != m.x)
        edit.replace(Value(m.steps[-1], 0), edit.add(graph.op(m.scale), value, constant, like=m.scale))


def _convolutions_take_a_factor(graph: Graph, value: Value) -> bool:
    """Whether all that reads a value are convolutions of it with constant weights."""
    convs, readers = convolutions_after(graph, value), graph.readers(value)
    if not convs or len(convs) != len(readers) or graph.is_output(value):
        return False
    return all(graph.constant(graph.operand(conv, 1)) is not None for conv in convs)
