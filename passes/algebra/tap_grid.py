"""Kernels of convolutions in float64, their groups brought together and their taps laid on wider grids."""

from collections.abc import Sequence
from math import gcd

import numpy as np

from convgraph.ir.tensor import Array
from convgraph.passes.algebra.factors import Matrix


def blocks(weight: Array, *, group: int, into: int) -> Matrix:
    """A weight (M, C/group, *kernel) as that of fewer groups: (into, M/into, C/into, *kernel) in float64.

    ``into`` divides ``group``; what the wider groups read in addition is multiplied with zero.
    """
    ratio, outside, inside, kernel = group // into, len(weight) // group, weight.shape[1], weight.shape[2:]
    apart = weight.astype(np.float64).reshape(into, ratio, outside, inside, *kernel)
    if ratio == 1:
        return apart[:, 0]
    whole = np.zeros((into, ratio, outside, ratio, inside, *kernel))
    diagonal = np.arange(ratio)
    whole[:, diagonal, :, diagonal] = np.moveaxis(apart, 1, 0)
    return whole.reshape(into, ratio * outside, ratio * inside, *kernel)


def flat(grouped: Matrix) -> Matrix:
    """A weight in ``blocks`` (groups, M/groups, C/groups, *kernel) as a Conv's: (M, C/groups, *kernel)."""
    return grouped.reshape(-1, *grouped.shape[2:])


def common_step(steps: Sequence[int]) -> int:
    """The widest step of a grid that has every multiple of ``steps``; zeros do not matter, 1 for none."""
    return gcd(*steps) or 1


def places(begins: Sequence[int], *, steps: Sequence[int], sizes: Sequence[int]) -> tuple[slice, ...]:
    """Where ``sizes`` taps lie on each axis of a grid: from ``begins``, ``steps`` apart."""
    axes = zip(begins, steps, sizes, strict=True)
    return tuple(slice(begin, begin + step * (size - 1) + 1, step) for begin, step, size in axes)
