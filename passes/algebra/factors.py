"""Matrices as products of thinner ones: the rank that a weight has up to its own rounding, and the factors.

A weight that was computed as a product of factors and stored is off by one rounding of each element, by two
when a scale has been folded into it since: in the spectral norm by at most 2·u·‖W‖, with u the unit roundoff
of its element type and ‖W‖ the Frobenius norm. A singular value of up to twice that is taken for 0, and no
larger one, so that what is left out is about what storing the weight has already cost. That holds for each
output channel by itself once all are of one size (``evened``), as a normalisation folded into them seldom
leaves them: otherwise a small channel would be lost in the rounding of a large one. Float64 weights, whose
singular values are themselves off by rounding, get the usual longest side times 2^-52 where that is more.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convgraph.ir.tensor import Array

Matrix = NDArray[np.float64]

ROUNDINGS = 4.0


def unit_roundoff(array: Array) -> float:
    """Largest relative error of rounding to the array's element type: 2^-24 for float32."""
    return _unit_roundoff(array.dtype)


@cache
def _unit_roundoff(dtype: np.dtype[Any]) -> float:
    one, two = np.asarray(1, dtype=dtype), np.asarray(2, dtype=dtype)
    return (float(np.nextafter(one, two)) - 1) / 2


def evened(weight: Array) -> tuple[Matrix, Matrix]:
    """The weight in float64 with 1 for the largest magnitude of each output channel, and what these were."""
    wide = weight.astype(np.float64)
    sizes = np.max(np.abs(wide), axis=tuple(range(1, wide.ndim)), keepdims=True, initial=0.0)
    sizes = np.where(sizes > 0, sizes, 1.0)
    with np.errstate(invalid="ignore"):  # infinities become NaNs, which have no rank
        return wide / sizes, sizes


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
    known = _right_hand_side(len(matrix))
    try:
        solution = np.linalg.solve(matrix, known)
    except np.linalg.LinAlgError:
        return False
    smallest = np.linalg.norm(known) / np.linalg.norm(solution)
    return bool(smallest > 16 * ROUNDINGS * unit * np.linalg.norm(matrix))


@cache
def _right_hand_side(size: int) -> Matrix:
    return np.random.default_rng(0).normal(size=size)


def factored(matrices: Matrix, *, rank: int) -> tuple[Matrix, Matrix]:
    """The nearest matrices of a rank, as (…, rows, rank) times (…, rank, columns) of like magnitude.

    What lies along the left singular vectors is computed anew: the right ones of a decomposition are off by
    up to a hundred roundings, which matrices of float64 would show. Rows and columns of zeros stay zero.
    """
    left, values, _ = np.linalg.svd(matrices, full_matrices=False)
    basis, root = left[..., :rank], np.sqrt(values[..., :rank])
    basis = np.where(matrices.any(axis=-1, keepdims=True), basis, 0.0)
    root = np.where(root > 0, root, 1.0)
    along = np.swapaxes(basis, -2, -1) @ matrices
    return basis * root[..., None, :], along / root[..., :, None]


def nearest_of_rank(matrices: Matrix, *, rank: int) -> Matrix:
    """The nearest matrices of a rank: what ``factored`` gives the factors of, where no singular values tie.

    Found among the products of rows, or columns, with each other, at a small part of what a decomposition
    costs; singular values below 1e-8 of the largest are lost in that.
    """
    directions = np.linalg.eigh(_products(matrices))[1][..., -rank:]
    across = np.swapaxes(directions, -2, -1)
    if _is_tall(matrices):
        return np.asarray(matrices @ directions @ across)
    return np.asarray(directions @ (across @ matrices))


def errors_by_rank(matrices: Matrix) -> NDArray[np.float64]:
    """What the nearest matrices of rank 1, 2, … leave out, all together and relative to their norm."""
    squares = np.maximum(np.linalg.eigvalsh(_products(matrices)), 0.0)
    each = squares.reshape(-1, squares.shape[-1]).sum(axis=0)
    return np.sqrt(np.append(np.cumsum(each[:-1])[::-1], 0.0) / (each.sum() or 1.0))


def _products(matrices: Matrix) -> Matrix:
    """Of the rows with each other, or of the columns where these are fewer."""
    across = np.swapaxes(matrices, -2, -1)
    return across @ matrices if _is_tall(matrices) else matrices @ across


def _is_tall(matrices: Matrix) -> bool:
    return bool(matrices.shape[-2] > matrices.shape[-1])
