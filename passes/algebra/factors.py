"""Matrices as products of thinner ones: the rank that a weight has up to its own rounding, and the factors.

A weight that was computed as a product of factors and stored is off by one rounding of each element, by two
when a scale has been folded into it since: in the spectral norm by at most 2·u·‖W‖, with u the unit roundoff
of its element type and ‖W‖ the Frobenius norm. A singular value of up to twice that is taken for 0, and no
larger one, so that what is left out is about what storing the weight has already cost. Float64 weights, whose
singular values are themselves off by rounding, get the usual longest side times 2^-52 where that is more.
"""

import numpy as np
from numpy.typing import NDArray

from convgraph.ir.tensor import Array

Matrix = NDArray[np.float64]

ROUNDINGS = 4.0


def unit_roundoff(array: Array) -> float:
    """Largest relative error of rounding to the array's element type: 2^-24 for float32."""
    one, two = np.asarray(1, dtype=array.dtype), np.asarray(2, dtype=array.dtype)
    return (float(np.nextafter(one, two)) - 1) / 2


def numerical_rank(matrices: Matrix, *, unit: float) -> int:
    """Largest rank among matrices (…, rows, columns) whose elements were rounded with a relative ``unit``.

    The full rank, min(rows, columns), where an element is not finite.
    """
    if not np.isfinite(matrices).all():
        return int(min(matrices.shape[-2:]))
    values = np.linalg.svd(matrices, compute_uv=False)
    relative = max(ROUNDINGS * unit, max(matrices.shape[-2:]) * np.finfo(np.float64).eps)
    limits = relative * np.linalg.norm(matrices, axis=(-2, -1))
    counts = (values > limits[..., None]).sum(axis=-1)
    return max((int(count) for count in counts.reshape(-1)), default=0)


def surely_full_rank(matrix: Matrix, *, unit: float) -> bool:
    """Whether a square matrix is invertible as far as one system of equations tells; False means not known.

    The solution for a random right-hand side is as long as the inverse of the smallest singular value makes
    it, at a small part of what a decomposition costs.
    """
    known = np.random.default_rng(0).normal(size=len(matrix))
    try:
        solution = np.linalg.solve(matrix, known)
    except np.linalg.LinAlgError:
        return False
    smallest = np.linalg.norm(known) / np.linalg.norm(solution)
    return bool(smallest > 16 * ROUNDINGS * unit * np.linalg.norm(matrix))


def factored(matrices: Matrix, *, rank: int) -> tuple[Matrix, Matrix]:
    """The nearest matrices of a rank, as (…, rows, rank) times (…, rank, columns) of like magnitude."""
    left, values, right = np.linalg.svd(matrices, full_matrices=False)
    root = np.sqrt(values[..., :rank])
    return left[..., :rank] * root[..., None, :], root[..., :, None] * right[..., :rank, :]
