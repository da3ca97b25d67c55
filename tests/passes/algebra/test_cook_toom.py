"""The matrices of short convolutions: exact identities, and how roundings grow with the points."""

import numpy as np
import pytest

from convgraph.ir.tensor import Array
from convgraph.passes.algebra import cook_toom
from convgraph.passes.algebra.cook_toom import POINTS, Matrices, matrices

INTEGERS = ("0", "1", "-1", "2", "-2")


def convolved(numbers: Matrices, taps: Array, tile: Array) -> Array:
    """Y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A in the type of the operands, for many kernels and tiles at a time."""
    kernel, there, back = (one.astype(taps.dtype) for one in numbers[:3])
    return back @ ((kernel @ taps @ kernel.T) * (there @ tile @ there.T)) @ back.T


def direct(taps: Array, tile: Array, *, outputs: int) -> Array:
    """The same by its definition, in float64."""
    places = [(i, j) for i in range(3) for j in range(3)]
    terms = [
        taps[..., i, j, None, None] * tile[..., i : i + outputs, j : j + outputs].astype(np.float64)
        for i, j in places
    ]
    return np.sum(terms, axis=0)


@pytest.mark.parametrize("outputs", POINTS)
def test_it_is_a_convolution(outputs: int) -> None:
    rng = np.random.default_rng(0)
    taps, tile = rng.normal(size=(3, 3)), rng.normal(size=(outputs + 2, outputs + 2))
    want = direct(taps, tile, outputs=outputs)
    np.testing.assert_allclose(convolved(matrices(outputs), taps, tile), want, atol=1e-13)


@pytest.mark.parametrize("outputs", POINTS)
def test_tiles_are_turned_without_rounding(outputs: int) -> None:
    there = matrices(outputs).tile
    assert (there.astype(np.float32) == there).all()
    assert (matrices(outputs).outputs.astype(np.float32) == matrices(outputs).outputs).all()


@pytest.mark.parametrize("outputs", POINTS)
def test_what_is_added_at_the_points_is_added_to_each_output(outputs: int) -> None:
    np.testing.assert_allclose(matrices(outputs).outputs @ matrices(outputs).ones, 1, atol=1e-14)


def spread(outputs: int) -> float:
    """The root mean square error in float32, relative to that of the outputs."""
    rng = np.random.default_rng(1)
    taps = rng.normal(size=(2000, 3, 3)).astype(np.float32)
    tile = rng.normal(size=(2000, outputs + 2, outputs + 2)).astype(np.float32)
    want = direct(taps, tile, outputs=outputs)
    error = convolved(matrices(outputs), taps, tile) - want
    return float(np.sqrt(np.mean(error**2) / np.mean(want**2)))


def test_quarters_round_less_than_integers(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = spread(4)
    monkeypatch.setitem(cook_toom.POINTS, 4, INTEGERS)
    matrices.cache_clear()
    try:
        assert ours < 0.6 * spread(4)
    finally:
        matrices.cache_clear()
