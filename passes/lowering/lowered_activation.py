"""What the rewrites that spell an activation with simpler operations have in common."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Convolution
from convgraph.ir.ops.activation import Activation
from convgraph.passes.rewrite import Rewrite


@dataclass(frozen=True, slots=True, kw_only=True)
class Activated:
    """An activation, and the node that applies it: its own, or a convolution that has it fused."""

    node: int
    activation: Activation


@dataclass(frozen=True, kw_only=True)
class LowersActivation(Rewrite[Activated]):
    """A rewrite that spells an activation without parameter operands, by itself or fused, with others."""

    name: ClassVar[str]

    def find(self, graph: Graph, node: int) -> Activated | None:
        """The activation, or a convolution that has it fused."""
        activation = activation_at(graph, node)
        fits = isinstance(activation, self.lowers)
        return Activated(node=node, activation=activation) if activation is not None and fits else None

    def apply(self, edit: Edit, m: Activated) -> None:
        """Take it off a convolution, and spell it."""
        graph, op = edit.graph, edit.graph.op(m.node)
        x = graph.operand(m.node, 0)
        if isinstance(op, Convolution):
            x = edit.add(replace(op, activation=None), *graph.operands(m.node), like=m.node)
        assert x is not None
        edit.replace(Value(m.node, 0), self.spelled(edit, x, m.activation))

    @abstractmethod
    def spelled(self, edit: Edit, x: Value, activation: Activation) -> Value:
        """The activation of x in other words."""


def activation_at(graph: Graph, node: int) -> Activation | None:
    """The activation that a node applies, by itself or after a convolution."""
    op = graph.op(node)
    activation = op.activation if isinstance(op, Convolution) else op
    return activation if isinstance(activation, Activation) else None


def number(edit: Edit, value: float, *, beside: Value) -> Value:
    """A constant number of the element type of another value."""
    return edit.constant(np.asarray(value, dtype=edit.graph.type(beside).dtype.numpy))
