"""The matrices of Winograd's short convolutions, by Cook and Toom's interpolation.

Two polynomials are multiplied by their values at some points, and so is what a kernel g of r taps makes of a
tile d of n = m + r − 1 numbers, at n − 1 points aᵢ and infinity:

    y = Aᵀ[(G g) ⊙ (Bᵀ d)]        Aᵀ: (m, n)    G: (n, r)    Bᵀ: (n, n)

y are m outputs, for n multiplications instead of m·r. Row i < n − 1 of G has the powers of aᵢ, divided by
Nᵢ = Π (aᵢ − aⱼ) over j ≠ i, and column i of Aᵀ has them again; row i of Bᵀ has the coefficients of
Π (x − aⱼ) over j ≠ i. At infinity G and Aᵀ take the last coefficient, and Bᵀ the product over all points.

Of a kernel that moves by s at a time, every s-th tap meets every s-th number: these phases are turned each by
itself, side by side, Bᵀ: (n, s·(m − 1) + r).

The numbers are exact, as fractions, until they are rounded once. The points decide how roundings grow:
powers far from 1 are bad, and so are points close to each other. These were found by trying the eighths up to
4, in pairs of opposite sign; with quarters, the error of six points is about half of that of 0, ±1, ±2. Each
two points more about double it: of eight it is 4e-7 of the outputs along one axis, 2e-6 along two, as a root
mean square.

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (2016); Barabasz et al., Error
Analysis and Improving the Accuracy of Winograd Convolution for DNNs (2020).
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cache, reduce
from typing import NamedTuple

import numpy as np

from convgraph.ir.tensor import Array

POINTS: dict[int, Sequence[str]] = {
    3: ("0", "1"),
    4: ("0", "1", "-1"),
    5: ("3/8", "-3/8", "5/4", "-5/4"),
    6: ("0", "3/4", "-3/4", "3/2", "-3/2"),
    7: ("1/4", "-1/4", "7/8", "-7/8", "15/8", "-15/8"),
    8: ("0", "1/2", "-1/2", "1", "-1", "2", "-2"),
}
"""The points that products are computed at, infinity aside, by how many there are with it."""


class Matrices(NamedTuple):
    """What turns a kernel, a tile, and their products: G (n, r), Bᵀ (n, tile), Aᵀ (m, n), in float64.

    ``ones`` (n,) is turned by Aᵀ into ones: what is added to the products there is added to every output.
    """

    kernel: Array
    tile: Array
    outputs: Array
    ones: Array


@cache
def matrices(outputs: int, *, taps: int, stride: int = 1) -> Matrices:
    """Those for so many outputs at a time, of a kernel of so many taps that moves by ``stride``."""
    phases = [_of_phase(outputs, len(range(phase, taps, stride))) for phase in range(min(stride, taps))]
    points = [len(phase.kernel) for phase in phases]
    kernel = np.zeros((sum(points), taps))
    tile = np.zeros((sum(points), stride * (outputs - 1) + taps))
    for number, phase in enumerate(phases):
        own = slice(sum(points[:number]), sum(points[: number + 1]))
        kernel[own, number::stride] = phase.kernel
        tile[own, number::stride] = phase.tile
    backwards = np.concatenate([phase.outputs for phase in phases], axis=1)
    ones = np.concatenate([phase.ones / len(phases) for phase in phases])
    return Matrices(kernel=kernel, tile=tile, outputs=backwards, ones=ones)


def points(outputs: int, *, taps: int, stride: int = 1) -> int:
    """At how many points so many outputs are computed, of all phases together."""
    return sum(outputs + len(range(phase, taps, stride)) - 1 for phase in range(min(stride, taps)))


def _of_phase(outputs: int, taps: int) -> Matrices:
    """Those for taps one beside the other; a single one meets each number by itself."""
    if taps == 1:
        return Matrices(np.ones((outputs, 1)), np.eye(outputs), np.eye(outputs), np.ones(outputs))
    number = outputs + taps - 1
    points = [Fraction(text) for text in POINTS[number]]
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
