"""The matrices of Winograd's short convolutions, by Cook and Toom's interpolation.

Two polynomials are multiplied by their values at some points, and so is what a kernel g of r taps makes of a
tile d of n = m + r − 1 numbers, at n − 1 points aᵢ and infinity:

    y = Aᵀ[(G g) ⊙ (Bᵀ d)]        Aᵀ: (m, n)    G: (n, r)    Bᵀ: (n, n)

y are m outputs, for n multiplications instead of m·r. Row i < n − 1 of G has the powers of aᵢ, divided by
Nᵢ = Π (aᵢ − aⱼ) over j ≠ i, and column i of Aᵀ has them again; row i of Bᵀ has the coefficients of
Π (x − aⱼ) over j ≠ i. At infinity G and Aᵀ take the last coefficient, and Bᵀ the product over all points.

The numbers are exact, as fractions, until they are rounded once. The points decide how roundings grow:
powers far from 1 are bad, and so are points close to each other. These, with quarters, keep the error of
m = 4 at about half of that of 0, ±1, ±2.

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (2016); Barabasz et al., Error
Analysis and Improving the Accuracy of Winograd Convolution for DNNs (2020).
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cache, reduce
from typing import NamedTuple

import numpy as np

from convgraph.ir.tensor import Array

POINTS: dict[int, Sequence[str]] = {2: ("0", "1", "-1"), 4: ("0", "3/4", "-3/4", "3/2", "-3/2")}
"""The points for m outputs of three taps, infinity aside."""


class Matrices(NamedTuple):
    """What turns a kernel, a tile, and their products: G (n, r), Bᵀ (n, n), Aᵀ (m, n), in float64.

    ``ones`` (n,) is turned by Aᵀ into ones: what is added to the products there is added to every output.
    """

    kernel: Array
    tile: Array
    outputs: Array
    ones: Array


@cache
def matrices(outputs: int, *, taps: int = 3) -> Matrices:
    """Those for so many outputs at a time, of a kernel of so many taps."""
    points = [Fraction(text) for text in POINTS[outputs]]
    number = outputs + taps - 1
    assert len(points) == number - 1
    others = [[a for a in points if a != point] for point in points]
    scales = [_product(point - a for a in rest) for point, rest in zip(points, others, strict=True)]
    kernel = [[a**power / scale for power in range(taps)] for a, scale in zip(points, scales, strict=True)]
    tile = [_coefficients(rest, length=number) for rest in others]
    turned = [[a**power for a in points] + [Fraction(power == outputs - 1)] for power in range(outputs)]
    last = [Fraction(power == taps - 1) for power in range(taps)]
    backwards = _array(turned)
    return Matrices(
        kernel=_array([*kernel, last]),
        tile=_array([*tile, _coefficients(points, length=number)]),
        outputs=backwards,
        ones=np.linalg.lstsq(backwards, np.ones(outputs), rcond=None)[0],
    )


def _coefficients(roots: Sequence[Fraction], *, length: int) -> list[Fraction]:
    """Those of the polynomial with these roots and leading coefficient 1, lowest power first, then zeros."""
    found = [Fraction(1)]
    for root in roots:
        higher, lower = [Fraction(0), *found], [*found, Fraction(0)]
        found = [high - root * low for high, low in zip(higher, lower, strict=True)]
    return [*found, *[Fraction(0)] * (length - len(found))]


def _product(numbers: Iterable[Fraction]) -> Fraction:
    return reduce(lambda a, b: a * b, numbers, Fraction(1))


def _array(rows: Sequence[Sequence[Fraction]]) -> Array:
    return np.array([[float(number) for number in row] for row in rows])
