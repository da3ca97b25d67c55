"""Fuse the larger of a value and a multiple of it into one LeakyRelu.

    max(x, α·x)  =  max(x·α, x)  ->  leakyrelu(x; α)        α ≤ 1

Exact: for x ≥ 0 the value itself is the larger, for x < 0 the multiple. Source: Maas et al., Rectifier
Nonlinearities Improve Neural Network Acoustic Models (2013); networks that came from TensorFlow spell it so.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import LeakyRelu, Max, Mul, Op
from convgraph.ir.tensor import DataType
from convgraph.passes.fusion.scalars import beside_a_number
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class LargerOfMultiples:
    """A value, its multiple and the number it is multiplied with, and the larger of the two."""

    x: Value
    multiple: Value
    slope: float
    result: Value


@dataclass(frozen=True, kw_only=True)
class FuseMaxIntoLeakyRelu(Rewrite[LargerOfMultiples]):
    """Fuse the larger of a value and a multiple of it into one LeakyRelu."""

    name: ClassVar[str] = "fuse-max-into-leaky-relu"
    roots: ClassVar[tuple[type[Op], ...]] = (Max,)

    def find(self, graph: Graph, node: int) -> LargerOfMultiples | None:
        """A Max of a value and its product with a number; no runtime has a LeakyRelu of doubles."""
        operands = graph.operands(node)
        for x, multiple in zip(operands, reversed(operands), strict=True):
            if len(operands) != 2 or multiple is None or not isinstance(graph.producer(multiple), Mul):
                continue
            found = beside_a_number(graph, multiple.node)
            single = graph.type(multiple).dtype in (DataType.FLOAT, DataType.FLOAT16)
            if single and found is not None and found[0] == x:
                return LargerOfMultiples(x=x, multiple=multiple, slope=found[1], result=Value(node, 0))
        return None

    @requirement
    def the_multiple_is_no_larger(self, graph: Graph, m: LargerOfMultiples) -> bool:
        """The number is 1 or less: beyond, the multiple is the larger where x is positive."""
        return m.slope <= 1

    @requirement
    def nothing_else_reads_the_multiple(self, graph: Graph, m: LargerOfMultiples) -> bool:
        """Only the Max reads the multiple, and the graph does not return it."""
        return graph.sole_reader(m.multiple) is not None

    def apply(self, edit: Edit, m: LargerOfMultiples) -> None:
        """Put a LeakyRelu in the place of both."""
        edit.replace(m.result, edit.add(LeakyRelu(alpha=m.slope), m.x, like=m.result.node))
