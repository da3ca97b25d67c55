"""The kernels of linear interpolation, seen as those of transposed convolutions.

Enlarged s times, output o of an axis lies at o/s − h/s between the inputs, h being 0 where the first elements
of both coincide (asymmetric) and (s − 1)/2 where the middles of both images do (half-pixel). Input i weighs
1 − |o − h − i·s|/s there: a transposed convolution of stride s with a tent for a kernel,

    t[j]  =  1 − |j − c| / s        for j from 0 to 2c

c is s − 1, or s − ½ for half-pixels and even s, and the pad that puts output 0 at its place is c − h.
"""

from collections.abc import Sequence
from functools import reduce

import numpy as np

from convgraph.ir.tensor import Array


def tent(stride: int, *, halves: bool) -> Array:
    """The kernel along one axis, float64; ``halves`` for half-pixel coordinates."""
    centre = stride - 0.5 if halves and stride % 2 == 0 else stride - 1.0
    return np.asarray(1 - np.abs(np.arange(int(2 * centre) + 1) - centre) / stride)


def lead(stride: int, *, halves: bool) -> int:
    """The pad that puts the first output at its place."""
    return stride // 2 if halves else stride - 1


def tents(strides: Sequence[int], *, halves: bool) -> Array:
    """The kernel over several axes: the outer product of theirs."""
    return reduce(np.multiply.outer, (tent(stride, halves=halves) for stride in strides))
