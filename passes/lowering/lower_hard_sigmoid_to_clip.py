"""Spell a hard sigmoid with a product, a sum and a Clip.

    hard_sigmoid(x; α, β)  ->  clip(α·x + β, 0, 1)

By itself, or fused into a convolution. Exact: its definition.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, Clip, Convolution, HardSigmoid, Mul, Op
from convgraph.ir.ops.activation import Activation
from convgraph.passes.lowering.lowered_activation import LowersActivation, activation_at, number
from convgraph.passes.rewrite import Measure


def _count(graph: Graph) -> int:
    return sum(isinstance(activation_at(graph, node), HardSigmoid) for node in graph.nodes())


@dataclass(frozen=True, kw_only=True)
class LowerHardSigmoidToClip(LowersActivation):
    """Spell a hard sigmoid with a product, a sum and a Clip."""

    name: ClassVar[str] = "lower-hard-sigmoid-to-clip"
    roots: ClassVar[tuple[type[Op], ...]] = (HardSigmoid, Convolution)
    lowers: ClassVar[tuple[type[Op], ...]] = (HardSigmoid,)
    measure: ClassVar[Measure] = staticmethod(_count)

    def spelled(self, edit: Edit, x: Value, activation: Activation) -> Value:
        """The line, and its two bounds."""
        assert isinstance(activation, HardSigmoid)
        steep = edit.add(Mul(), x, number(edit, activation.alpha, beside=x))
        line = edit.add(Add(), steep, number(edit, activation.beta, beside=x))
        return edit.add(Clip(), line, number(edit, 0, beside=x), number(edit, 1, beside=x))
