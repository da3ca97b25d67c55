"""What the rewrites that recover a Gelu from arithmetic have in common."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.graph import Graph, Value
from convgraph.ir.tensor import DataType
from convgraph.passes.fusion.polynomial import ARITHMETIC, Polynomial, polynomial
from convgraph.passes.rewrite import Rewrite, requirement

_HALVES: Polynomial = {(1, 0): 0.5, (1, 1): 0.5}
_HIGHEST, _LOWEST = 4, 12  # steps from the curve to the result; values below the curve that may be x


@dataclass(frozen=True, slots=True, kw_only=True)
class SpelledGelu:
    """x times a number, plus x times ``curve`` times a number; the curve is one of a polynomial in x."""

    x: Value
    curve: Value
    inner: Polynomial
    outer: Polynomial
    result: Value


def spelled_gelu(graph: Graph, node: int, *, like: Polynomial) -> SpelledGelu | None:
    """What a node's curve is gated by, where the curve is one of a polynomial with the terms of ``like``.

    Of several ways to see it, the one with the right numbers if there is one. No runtime has a Gelu of
    doubles.
    """
    curve, inner = Value(node, 0), graph.operand(node, 0)
    kind = graph.type(curve)
    if inner is None or kind.rank is None or kind.dtype not in (DataType.FLOAT, DataType.FLOAT16):
        return None
    if not isinstance(graph.producer(inner), ARITHMETIC):
        return None
    found = None
    for x in _below(graph, inner):
        within = polynomial(graph, inner, x, curve)
        if within is None or within.keys() != like.keys():
            continue
        for result, outer in _above(graph, curve, x):
            found = SpelledGelu(x=x, curve=curve, inner=within, outer=outer, result=result)
            if is_gelu(graph, found, like=like):
                return found
    return found


def _below(graph: Graph, value: Value) -> Iterator[Value]:
    """A value and those it is computed from by arithmetic, nearest first."""
    seen = [value]
    for one in seen:
        yield one
        if isinstance(graph.producer(one), ARITHMETIC) and len(seen) < _LOWEST:
            new = (operand for operand in graph.operands(one.node) if operand is not None)
            seen.extend(n for n in new if n not in seen and graph.constant(n) is None)


def _above(graph: Graph, curve: Value, x: Value) -> Iterator[tuple[Value, Polynomial]]:
    """What alone is computed from the curve, as polynomials of the form sought."""
    value, rank = curve, graph.type(x).rank
    for _ in range(_HIGHEST):
        use = graph.sole_reader(value)
        if use is None or not isinstance(graph.op(use.node), ARITHMETIC):
            return
        value = Value(use.node, 0)
        outer = polynomial(graph, value, x, curve)
        if outer is not None and outer.keys() == _HALVES.keys() and graph.type(value).rank == rank:
            yield value, outer


def is_gelu(graph: Graph, m: SpelledGelu, *, like: Polynomial) -> bool:
    """Whether the numbers are right, to the precision of the element type."""
    precision = 4 * float(np.finfo(graph.type(m.x).dtype.numpy).eps)
    return _close(m.inner, like, precision) and _close(m.outer, _HALVES, precision)


def _close(found: Mapping[tuple[int, int], float], wanted: Polynomial, precision: float) -> bool:
    return all(abs(found[powers] - number) <= precision * abs(number) for powers, number in wanted.items())


@dataclass(frozen=True, kw_only=True)
class FuseGelu(Rewrite[SpelledGelu]):
    """A rewrite of a value gated by a curve of itself; ``inside`` is the polynomial that the curve is of."""

    name: ClassVar[str]
    inside: ClassVar[Polynomial]

    @requirement
    def the_numbers_are_those_of_a_gelu(self, graph: Graph, m: SpelledGelu) -> bool:
        """The numbers in it are those of a Gelu, to the precision of the element type."""
        return is_gelu(graph, m, like=self.inside)
