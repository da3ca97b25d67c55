"""A value as a polynomial in two others, however the sums and products that make it are put together."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, Div, Mul, Neg, Op, Pow, Sub
from convgraph.passes.fusion.scalars import scalar

Polynomial = Mapping[tuple[int, int], float]
"""Coefficients by the powers of the two values; none is zero."""

_DEEPEST, _LONGEST = 8, 8  # more steps or terms than anybody spells an activation with
ARITHMETIC: tuple[type[Op], ...] = (Add, Sub, Mul, Div, Neg, Pow)


def polynomial(graph: Graph, value: Value, x: Value, g: Value, *, depth: int = _DEEPEST) -> Polynomial | None:
    """A value as a polynomial in x and g, numbers its coefficients; None when it is none, or a long one."""
    if value in (x, g):
        return {(1, 0) if value == x else (0, 1): 1.0}
    number = scalar(graph.constant(value))
    if number is not None:
        return {(0, 0): number} if number else {}
    combine = _COMBINED.get(type(graph.producer(value)))
    if combine is None or not depth:
        return None
    parts = [
        None if operand is None else polynomial(graph, operand, x, g, depth=depth - 1)
        for operand in graph.operands(value.node)
    ]
    known = [part for part in parts if part is not None]
    result = combine(*known) if len(known) == len(parts) else None
    return result if result is not None and len(result) <= _LONGEST else None


def _sum(a: Polynomial, b: Polynomial, *, sign: float = 1.0) -> Polynomial:
    total = {powers: a.get(powers, 0.0) + sign * b.get(powers, 0.0) for powers in {**a, **b}}
    return {powers: number for powers, number in total.items() if number}


def _difference(a: Polynomial, b: Polynomial) -> Polynomial:
    return _sum(a, b, sign=-1.0)


def _product(a: Polynomial, b: Polynomial) -> Polynomial:
    total: Polynomial = {}
    for (i, j), left in a.items():
        total = _sum(total, {(i + k, j + m): left * right for (k, m), right in b.items()})
    return total


def _quotient(a: Polynomial, b: Polynomial) -> Polynomial | None:
    return None if set(b) != {(0, 0)} else {powers: number / b[0, 0] for powers, number in a.items()}


def _opposite(a: Polynomial) -> Polynomial:
    return _difference({}, a)


def _power(a: Polynomial, b: Polynomial) -> Polynomial | None:
    exponent = b.get((0, 0), 0.0)
    if set(b) != {(0, 0)} or exponent not in (2.0, 3.0):
        return None
    square = _product(a, a)
    return square if exponent == 2.0 else _product(square, a)


_COMBINED: Mapping[type[Op], Callable[..., Polynomial | None]] = MappingProxyType(
    {Add: _sum, Sub: _difference, Mul: _product, Div: _quotient, Neg: _opposite, Pow: _power}
)
