"""Add up the constants of a sum once and for all.

    (x + a) + (y − b)  ->  (x + y) + (a − b)

The sum may have any number of terms, added or subtracted; a and b are constants of any shape. Exact in real
arithmetic; floating point differs by reassociation only. A normalising flow adds its log-determinant up so,
one term a layer, many of which are constant.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, Op, Sub
from convgraph.ir.tensor import Array
from convgraph.passes.fusion.after_convolution import is_finite
from convgraph.passes.rewrite import Measure, PricedRewrite, requirement, target_cost


class Term(NamedTuple):
    """A value that is added, or subtracted."""

    value: Value
    is_subtracted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms of a sum that vary, those that do not, and the nodes that add them up, the last one first."""

    varying: tuple[Term, ...]
    constant: tuple[Term, ...]
    nodes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class MergeAddedConstants(PricedRewrite[Terms]):
    """Add up the constants of a sum once and for all."""

    name: ClassVar[str] = "merge-added-constants"
    roots: ClassVar[tuple[type[Op], ...]] = (Add, Sub)
    measure: ClassVar[Measure] = staticmethod(target_cost)

    def find(self, graph: Graph, node: int) -> Terms | None:
        """A sum with two constants or more; one that is part of a larger sum is not looked at by itself."""
        if _larger_sum(graph, node) is not None:
            return None
        nodes: list[int] = []
        terms = list(_terms(graph, node, nodes=nodes))
        constant = tuple(t for t in terms if graph.constant(t.value) is not None)
        varying = tuple(t for t in terms if t not in constant)
        return (
            Terms(varying=varying, constant=constant, nodes=tuple(nodes))
            if varying and constant[1:]
            else None
        )

    @requirement
    def the_merged_constant_is_finite(self, graph: Graph, m: Terms) -> bool:
        """What the constants add up to stays within the range of their element type."""
        return is_finite(_merged(graph, m))

    def replaces(self, graph: Graph, match: Terms) -> tuple[int, ...]:
        """All additions and subtractions of the sum."""
        return match.nodes

    def apply(self, edit: Edit, m: Terms) -> None:
        """Add up what varies, then the constant; subtract from the constant where nothing else is added."""
        last, like = m.nodes[0], m.constant[0].value
        merged = Term(edit.constant(_merged(edit.graph, m), like=like), is_subtracted=False)
        first, *rest = sorted((*m.varying, merged), key=lambda term: term.is_subtracted)
        total = first.value
        for left, term in zip(reversed(range(len(rest))), rest, strict=True):
            op = Sub() if term.is_subtracted else Add()
            total = edit.add(op, total, term.value, like=None if left else last)
        edit.replace(Value(last, 0), total)


def _larger_sum(graph: Graph, node: int) -> int | None:
    """The addition or subtraction that alone reads a node."""
    use = graph.sole_reader(Value(node, 0))
    return use.node if use is not None and isinstance(graph.op(use.node), (Add, Sub)) else None


def _terms(graph: Graph, node: int, *, nodes: list[int]) -> Iterator[Term]:
    """The terms of the sum that a node makes, from left to right; ``nodes`` are those that add them up."""
    waiting = [Term(Value(node, 0), is_subtracted=False)]
    while waiting:
        value, is_subtracted = waiting.pop()
        part = value.node
        if part != node and (not isinstance(graph.op(part), (Add, Sub)) or _larger_sum(graph, part) is None):
            yield Term(value, is_subtracted)
            continue
        nodes.append(part)
        left, right = graph.operands(part)
        assert left is not None
        assert right is not None
        turned = isinstance(graph.op(part), Sub)
        waiting += [Term(right, is_subtracted != turned), Term(left, is_subtracted)]


def _merged(graph: Graph, m: Terms) -> Array:
    """The sum of the constants, floats added up in float64 and rounded once."""
    total: Array = np.zeros(())
    kind = np.dtype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # refused as not finite
        for term in m.constant:
            tensor = graph.constant(term.value)
            assert tensor is not None
            kind = tensor.dtype.numpy
            array = tensor.numpy().astype(np.float64) if tensor.dtype.is_float else tensor.numpy()
            total = total - array if term.is_subtracted else total + array
        return np.asarray(total).astype(kind)
