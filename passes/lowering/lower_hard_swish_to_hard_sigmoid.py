"""Spell a hard swish as a product with a hard sigmoid.

    hard_swish(x)  ->  x · hard_sigmoid(x; 1/6, 1/2)

By itself, or fused into a convolution. Exact: its definition, up to the rounding of 1/6.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Convolution, HardSigmoid, HardSwish, Mul, Op
from convgraph.ir.ops.activation import Activation
from convgraph.passes.lowering.lowered_activation import LowersActivation, activation_at
from convgraph.passes.rewrite import Measure


def _count(graph: Graph) -> int:
    return sum(isinstance(activation_at(graph, node), HardSwish) for node in graph.nodes())


@dataclass(frozen=True, kw_only=True)
class LowerHardSwishToHardSigmoid(LowersActivation):
    """Spell a hard swish as a product with a hard sigmoid."""

    name: ClassVar[str] = "lower-hard-swish-to-hard-sigmoid"
    roots: ClassVar[tuple[type[Op], ...]] = (HardSwish, Convolution)
    lowers: ClassVar[tuple[type[Op], ...]] = (HardSwish,)
    measure: ClassVar[Measure] = staticmethod(_count)

    def spelled(self, edit: Edit, x: Value, activation: Activation) -> Value:
        """X times its gate."""
        del activation
        return edit.add(Mul(), x, edit.add(HardSigmoid(alpha=1 / 6, beta=0.5), x))
