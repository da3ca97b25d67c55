"""Fuse a value times its own sigmoid into one Swish.

    x · sigmoid(x)  =  sigmoid(x) · x  ->  swish(x)

Exact: Swish is this product. As one operation it can become the activation of the convolution that makes x,
which x · sigmoid(x), reading it twice, cannot. The exporter writes the same two nodes again: opsets before 24
have no Swish, and onnxruntime, which fuses the two, runs the Swish of newer ones as a chain of four. Source:
Ramachandran et al., Searching for Activation Functions (2017).
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Mul, Op, Sigmoid, Swish
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedByItself:
    """A value, its sigmoid, and the product of the two."""

    x: Value
    sigmoid: Value
    result: Value


@dataclass(frozen=True, kw_only=True)
class FuseSigmoidMulIntoSwish(Rewrite[GatedByItself]):
    """Fuse a value times its own sigmoid into one Swish."""

    name: ClassVar[str] = "fuse-sigmoid-mul-into-swish"
    roots: ClassVar[tuple[type[Op], ...]] = (Mul,)

    def find(self, graph: Graph, node: int) -> GatedByItself | None:
        """A product of a value and its sigmoid, in either order."""
        left, right = graph.operands(node)
        for x, gate in ((left, right), (right, left)):
            if x is None or gate is None or not isinstance(graph.producer(gate), Sigmoid):
                continue
            if graph.operand(gate.node, 0) == x:
                return GatedByItself(x=x, sigmoid=gate, result=Value(node, 0))
        return None

    @requirement
    def nothing_else_reads_the_sigmoid(self, graph: Graph, m: GatedByItself) -> bool:
        """Only the product reads the sigmoid, and the graph does not return it."""
        return graph.sole_reader(m.sigmoid) is not None

    def apply(self, edit: Edit, m: GatedByItself) -> None:
        """Put a Swish in the place of both."""
        edit.replace(m.result, edit.add(Swish(), m.x, like=m.sigmoid.node, fused=m.result.node))
