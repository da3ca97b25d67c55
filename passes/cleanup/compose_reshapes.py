"""Arrange elements on axes once, where that happens twice with at most pointwise operations between.

    reshape(reshape(x; a); b)  ->  reshape(x; b)        reshape(f(reshape(x)))  ->  reshape(f(x))
    squeeze(unsqueeze(x)), reshape(flatten(x); shape of x)  ->  x

of Reshape, Flatten, Squeeze, Unsqueeze, and Transpose where it moves nothing but axes of one element; f works
on each element alone. Exact: the elements and their order stay.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Binary, Cast, Clip, Op, Reshape, Squeeze, Transpose, Unary, Unsqueeze
from convgraph.ir.ops.activation import PlainActivation
from convgraph.passes.cleanup.handed_on import may_stand_for
from convgraph.passes.cleanup.same_elements import ARRANGING, arranged, arrangement, keeps_order
from convgraph.passes.fusion.scalars import beside_a_number
from convgraph.passes.rewrite import Rewrite, requirement

_LONGEST = 16  # pointwise operations between


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrangedTwice:
    """x, the node that arranges it first, the pointwise ones that follow, and what comes of it in the end."""

    x: Value
    first: int
    between: tuple[int, ...]
    result: Value


@dataclass(frozen=True, kw_only=True)
class ComposeReshapes(Rewrite[ArrangedTwice]):
    """Arrange elements on axes once, where that happens twice with at most pointwise operations between."""

    name: ClassVar[str] = "compose-reshapes"
    roots: ClassVar[tuple[type[Op], ...]] = ARRANGING
    makes: ClassVar[tuple[type[Op], ...]] = (Reshape, Squeeze, Unsqueeze)

    def find(self, graph: Graph, node: int) -> ArrangedTwice | None:
        """Two operations that keep elements in order, and between them some that work on each alone."""
        if not keeps_order(graph, node):
            return None
        between, value = list[int](), graph.operand(node, 0)
        while value is not None and len(between) < _LONGEST and (x := _mapped(graph, value.node)):
            between.append(value.node)
            value = x
        x = None if value is None else graph.operand(value.node, 0)
        if value is None or x is None or not keeps_order(graph, value.node):
            return None
        if all(isinstance(graph.op(n), Transpose) for n in (node, value.node)):
            return None
        return ArrangedTwice(x=x, first=value.node, between=tuple(between[::-1]), result=Value(node, 0))

    @requirement
    def one_operation_does_it(self, graph: Graph, m: ArrangedTwice) -> bool:
        """The shape in the end is that of x, or one that a single operation makes of it."""
        return arrangement(graph, m.x, m.result) is not None

    @requirement
    def the_numbers_between_have_few_axes(self, graph: Graph, m: ArrangedTwice) -> bool:
        """No constant beside a value between has more axes than x, whose rank it would raise."""
        beside = (value for node in m.between for value in graph.operands(node))
        ranks = [len(tensor.shape) for value in beside if (tensor := graph.constant(value)) is not None]
        return max(ranks, default=0) <= (graph.type(m.x).rank or 0)

    @requirement
    def nothing_else_reads_what_lies_between(self, graph: Graph, m: ArrangedTwice) -> bool:
        """The values between have no other reader, so that they go; or the last, like x again, goes alone."""
        first, *others = [graph.sole_reader(Value(node, 0)) for node in (m.first, *m.between)]
        how = arrangement(graph, m.x, m.result)
        like_x = how is not None and how.op is None and (m.between or may_stand_for(graph, m.x, m.result))
        return None not in others and bool(first or like_x)

    def apply(self, edit: Edit, m: ArrangedTwice) -> None:
        """Do what lies between to x, and arrange that."""
        how = arrangement(edit.graph, m.x, m.result)
        assert how is not None
        y, arranged_before = m.x, Value(m.first, 0)
        for node in m.between:
            given = [y if value == arranged_before else value for value in edit.graph.operands(node)]
            y, arranged_before = edit.add(edit.graph.op(node), *given, like=node), Value(node, 0)
        edit.replace(m.result, arranged(edit, y, how, like=m.result.node))


def _mapped(graph: Graph, node: int) -> Value | None:
    """The one operand whose elements a node works on, each alone; None for other operations."""
    op = graph.op(node)
    if isinstance(op, (Unary, PlainActivation, Cast, Clip)):
        return graph.operand(node, 0)
    beside = beside_a_number(graph, node) if isinstance(op, Binary) else None
    return None if beside is None else beside[0]
