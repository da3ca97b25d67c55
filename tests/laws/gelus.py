"""Gelus spelled out in many ways, for rewrites that recover them."""

from collections.abc import Sequence

import numpy as np

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Value
from convgraph.ir.ops import Add, Div, Erf, Mul, Neg, Op, Pow, Sub, Tanh
from laws.pointwise import Steps

BOUND = 1e-6
"""The error function and Tanh round on dyadic numbers too, and so do the numbers beside them."""

OUTER = ("(x·h)·c", "h·(x·c)", "x·(c·h)", "x·(h+h·g)", "h·x+(h·x)·g", "(x·c)/2", "x·(h−h·(−g))")


class Numbers:
    """Numbers beside values: on the left if asked."""

    def __init__(self, b: GraphBuilder, dtype: type, *, left: bool) -> None:
        self.b, self.dtype, self.left = b, dtype, left

    def beside(self, op: Op, value: Value, number: float) -> Value:
        """A value and a number, combined."""
        constant = self.b.constant(np.array(number, self.dtype), name="number")
        return self.b.add(op, *((constant, value) if self.left else (value, constant)))

    def times(self, value: Value, number: float) -> Value:
        """A value times a number."""
        return self.beside(Mul(), value, number)


def gated(b: GraphBuilder, n: Numbers, x: Value, g: Value, *, outer: str, half: float) -> Value:
    """x·½·(1 + g), spelled as ``outer`` says."""
    if outer == "x·(h+h·g)":
        return b.add(Mul(), x, n.beside(Add(), n.times(g, half), half))
    if outer == "x·(h−h·(−g))":
        h = b.constant(np.array(half, n.dtype))
        return b.add(Mul(), x, b.add(Sub(), h, n.times(b.add(Neg(), g), half)))
    if outer == "h·x+(h·x)·g":
        halved = n.times(x, half)
        return b.add(Add(), halved, b.add(Mul(), halved, g))
    c = n.beside(Add(), g, 1.0)
    if outer == "x·(c·h)":
        return b.add(Mul(), x, n.times(c, half))
    if outer == "(x·h)·c":
        return b.add(Mul(), n.times(x, half), c)
    product = b.add(Mul(), x, c)
    return n.times(product, half) if outer == "h·(x·c)" else b.add(Div(), product, 1 / half)


def scaled(steps: Steps) -> Steps:
    """The same of a value times a number: of this value, too, all that follows is a polynomial."""

    def wrapped(b: GraphBuilder, x: Value) -> Sequence[Value]:
        return steps(b, b.add(Mul(), x, b.constant(np.array(3, b.type(x).dtype.numpy))))

    return wrapped


def of_erf(
    *,
    outer: str = "(x·h)·c",
    divided: bool = True,
    left: bool = False,
    half: float = 0.5,
    wide: float = 2**0.5,
) -> Steps:
    """Made are, in order, the multiple of x, its error function and the result."""

    def steps(b: GraphBuilder, x: Value) -> Sequence[Value]:
        n = Numbers(b, b.type(x).dtype.numpy.type, left=left)
        inner = b.add(Div(), x, wide) if divided else n.times(x, 1 / wide)
        g = b.add(Erf(), inner)
        return inner, g, gated(b, n, x, g, outer=outer, half=half)

    return steps


def of_tanh(
    *,
    outer: str = "(x·h)·c",
    cube: str = "pow",
    left: bool = False,
    half: float = 0.5,
    bend: float = 0.044715,
) -> Steps:
    """Made are, in order, what Tanh is of, the Tanh and the result. A "fourth" power is no ``cube``."""

    def steps(b: GraphBuilder, x: Value) -> Sequence[Value]:
        n = Numbers(b, b.type(x).dtype.numpy.type, left=left)
        slope = float(np.sqrt(2 / np.pi))
        if cube == "factored":  # s·x·(1 + k·x²)
            square = n.times(b.add(Mul(), x, x), bend)
            inner = b.add(Mul(), n.times(x, slope), n.beside(Add(), square, 1.0))
        else:
            power = {"pow": 3.0, "fourth": 4.0}.get(cube)
            third = b.add(Mul(), x, b.add(Mul(), x, x)) if power is None else b.add(Pow(), x, power)
            inner = n.times(b.add(Add(), x, n.times(third, bend)), slope)
        g = b.add(Tanh(), inner)
        return inner, g, gated(b, n, x, g, outer=outer, half=half)

    return steps
