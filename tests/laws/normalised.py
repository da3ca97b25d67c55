"""Normalisations spelled out, for rewrites that recover them."""

from collections.abc import Sequence

import numpy as np

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Value
from convgraph.ir.ops import Add, Div, Mul, Pow, Reciprocal, ReduceMean, Sqrt, Sub
from laws.pointwise import Steps

BOUND = 1e-5
"""Roots and odd means round on dyadic numbers too, and onnxruntime sums in another order: relative to y."""


def spelled(
    *axes: int,
    mean: Sequence[int] | None = (),
    square: str = "mul",
    inverse: str = "",
    left: bool = False,
    epsilon: bool = True,
) -> Steps:
    """(x − mean(x)) / √(mean(…²) + ε), with the square, and the inverse of the root if any, as asked.

    A "difference" is no inverse: one less the root. A "cube" is no square, nor is the square "of another" one
    of x. ``mean`` are the axes of the first mean, those of the second unless given; None: nothing is taken
    away. Made are, in order, what is normalised, what is under the root, what it is divided by, and the
    quotient.
    """

    def steps(b: GraphBuilder, x: Value) -> Sequence[Value]:
        def averaged(value: Value, over: Sequence[int]) -> Value:
            return b.add(ReduceMean(), value, np.array(over, np.int64))

        d = x if mean is None else b.add(Sub(), x, averaged(x, mean or axes))
        little = b.constant(np.array(0.25, b.type(x).dtype.numpy))
        under = variance = averaged(_squared(b, d, square), axes)
        if epsilon:
            under = b.add(Add(), *((little, variance) if left else (variance, little)))
        divisor = _root(b, under, inverse)
        operands = (divisor, d) if left and inverse else (d, divisor)
        return d, under, divisor, b.add(Mul() if inverse else Div(), *operands)

    return steps


def _squared(b: GraphBuilder, x: Value, square: str) -> Value:
    if square == "mul":
        return b.add(Mul(), x, x)
    x = b.add(Add(), x, x) if square == "of another" else x
    return b.add(Pow(), x, 3.0 if square == "cube" else 2.0)


def _root(b: GraphBuilder, under: Value, inverse: str) -> Value:
    if inverse == "power":
        return b.add(Pow(), under, -0.5)
    root = b.add(Sqrt(), under)
    if inverse in ("quotient", "difference"):
        op = Div() if inverse == "quotient" else Sub()
        return b.add(op, b.constant(np.array(1, b.type(root).dtype.numpy)), root)
    return b.add(Reciprocal(), root) if inverse else root
