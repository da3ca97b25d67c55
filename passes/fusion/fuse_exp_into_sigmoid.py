"""Fuse a division by one plus an exponential into a Sigmoid.

    1 / (1 + exp(−x))  ->  sigmoid(x)
    y / (1 + exp(−x))  ->  y · sigmoid(x)

Exact in real arithmetic; floating point differs by rounding, and where the exponential overflows the quotient
is zero, as the Sigmoid is but for less than the least number. With y = x the product is a Swish. In
onnxruntime either took 1.8 times as long.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, Div, Exp, Mul, Neg, Op, Reciprocal, Sigmoid
from convgraph.passes.fusion.scalars import beside_a_number
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class Logistic:
    """What is divided, if it is not one, by one plus the exponential of the opposite of x."""

    dividend: Value | None
    x: Value
    exponential: Value
    divisor: Value
    result: Value


@dataclass(frozen=True, kw_only=True)
class FuseExpIntoSigmoid(Rewrite[Logistic]):
    """Fuse a division by one plus an exponential into a Sigmoid."""

    name: ClassVar[str] = "fuse-exp-into-sigmoid"
    roots: ClassVar[tuple[type[Op], ...]] = (Div, Reciprocal)
    makes: ClassVar[tuple[type[Op], ...]] = (Sigmoid,)

    def find(self, graph: Graph, node: int) -> Logistic | None:
        """A quotient, or reciprocal, of one plus an Exp of an opposite."""
        *dividends, divisor = graph.operands(node)
        found = _beside(graph, divisor, Add)
        exponential = found[0] if found is not None and found[1] == 1 else None
        if divisor is None or exponential is None or not isinstance(graph.producer(exponential), Exp):
            return None
        x = _opposite(graph, graph.operand(exponential.node, 0))
        if x is None:
            return None
        one = beside_a_number(graph, node) if dividends else None
        dividend = dividends[0] if dividends and (one is None or one[1:] != (1.0, True)) else None
        return Logistic(
            dividend=dividend, x=x, exponential=exponential, divisor=divisor, result=Value(node, 0)
        )

    @requirement
    def nothing_else_reads_the_steps(self, graph: Graph, m: Logistic) -> bool:
        """Only this chain reads the exponential and what is divided by, and the graph returns neither."""
        return all(graph.sole_reader(step) is not None for step in (m.exponential, m.divisor))

    def apply(self, edit: Edit, m: Logistic) -> None:
        """Put a Sigmoid, and the product if there is one, in the place of all."""
        if m.dividend is None:
            edit.replace(m.result, edit.add(Sigmoid(), m.x, like=m.result.node))
            return
        gate = edit.add(Sigmoid(), m.x, like=m.divisor.node)
        edit.replace(m.result, edit.add(Mul(), m.dividend, gate, like=m.result.node))


def _beside(graph: Graph, value: Value | None, kind: type[Op]) -> tuple[Value, float, bool] | None:
    """What ``kind`` combines with a number to make a value, and the number."""
    if value is None or not isinstance(graph.producer(value), kind):
        return None
    return beside_a_number(graph, value.node)


def _opposite(graph: Graph, value: Value | None) -> Value | None:
    """What a value is the opposite of."""
    if value is not None and isinstance(graph.producer(value), Neg):
        return graph.operand(value.node, 0)
    found = _beside(graph, value, Mul)
    return found[0] if found is not None and found[1] == -1 else None
