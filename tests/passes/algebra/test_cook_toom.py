"""The matrices of short convolutions: exact identities, and how roundings grow with the points."""

import numpy as np
import pytest

from convgraph.ir.tensor import Array
from convgraph.passes.algebra import cook_toom
from convgraph.passes.algebra.cook_toom import Matrices, matrices, points

INTEGERS = ("0", "1", "-1", "2", "-2")

SHORT = [(2, 2), (2, 3), (2, 4), (4, 3), (2, 5), (4, 4), (2, 6), (4, 5), (2, 7)]
"""Outputs and taps."""


def convolved(numbers: Matrices, taps: Array, tile: Array) -> Array:
    """Y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A in the type of the operands, for many kernels and tiles at a time."""
    kernel, there, back = (one.astype(taps.dtype) for one in numbers[:3])
    return back @ ((kernel @ taps @ kernel.T) * (there @ tile @ there.T)) @ back.T


def direct(taps: Array, tile: Array, *, outputs: int, stride: int = 1) -> Array:
    """The same by its definition, in float64."""
    sizes, reach = range(taps.shape[-1]), stride * (outputs - 1) + 1
    terms = [
        taps[..., i, j, None, None]
        * tile[..., i : i + reach : stride, j : j + reach : stride].astype(np.float64)
        for i in sizes
        for j in sizes
    ]
    return np.sum(terms, axis=0)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("outputs", "taps"), SHORT)
def test_it_is_a_convolution(outputs: int, taps: int, stride: int) -> None:
    rng = np.random.default_rng(0)
    numbers = matrices(outputs, taps=taps, stride=stride)
    kernel, tile = rng.normal(size=(taps, taps)), rng.normal(size=(stride * (outputs - 1) + taps,) * 2)
    want = direct(kernel, tile, outputs=outputs, stride=stride)
    np.testing.assert_allclose(convolved(numbers, kernel, tile), want, atol=1e-13)
    assert len(numbers.kernel) == points(outputs, taps=taps, stride=stride)


@pytest.mark.parametrize(("outputs", "taps"), SHORT)
def test_tiles_are_turned_without_rounding(outputs: int, taps: int) -> None:
    _, there, back, _ = matrices(outputs, taps=taps)
    assert (there.astype(np.float32) == there).all()
    assert (back.astype(np.float32) == back).all()


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("outputs", "taps"), SHORT)
def test_what_is_added_at_the_points_is_added_to_each_output(outputs: int, taps: int, stride: int) -> None:
    numbers = matrices(outputs, taps=taps, stride=stride)
    np.testing.assert_allclose(numbers.outputs @ numbers.ones, 1, atol=1e-14)


def spread(outputs: int, taps: int) -> float:
    """The root mean square error in float32, relative to that of the outputs."""
    rng, number = np.random.default_rng(1), outputs + taps - 1
    kernel = rng.normal(size=(2000, taps, taps)).astype(np.float32)
    tile = rng.normal(size=(2000, number, number)).astype(np.float32)
    want = direct(kernel, tile, outputs=outputs)
    error = convolved(matrices(outputs, taps=taps), kernel, tile) - want
    return float(np.sqrt(np.mean(error**2) / np.mean(want**2)))


@pytest.mark.parametrize(("outputs", "taps"), SHORT)
def test_it_rounds_more_the_more_points_there_are(outputs: int, taps: int) -> None:
    most = {3: 1e-7, 4: 2e-7, 5: 3e-7, 6: 5e-7, 7: 1e-6, 8: 2.2e-6}
    assert spread(outputs, taps) < most[outputs + taps - 1]


def test_quarters_round_less_than_integers(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = spread(4, 3)
    monkeypatch.setitem(cook_toom.POINTS, 6, INTEGERS)
    matrices.cache_clear()
    try:
        assert ours < 0.6 * spread(4, 3)
    finally:
        matrices.cache_clear()
