"""Results judged part by part."""

import numpy as np
import pytest

from convgraph.numerics.noise import FACTOR
from convgraph.numerics.parts import BLOCK, MEMBERS, Bound, blocks, nearest, slices

STRICT = Bound(0.0, 1e-300)
DRAW = np.random.default_rng(5)


def test_slices_are_the_whole_and_each_axis_long_enough() -> None:
    array = np.arange(2 * 3 * 40).reshape(2, 3, 40)
    assert [s.shape for s in slices(array)] == [(1, 240), (2, 120), (3, 80)]  # 40 would leave 6 members
    assert next(iter(slices(np.asarray(3.0)))).shape == (1, 1)
    channels = list(slices(array))[2]
    assert np.array_equal(channels[1].reshape(2, 40), array[:, 1])


def test_blocks_leave_no_element_out() -> None:
    array = np.arange(2 * BLOCK + 7).reshape(1, -1)
    assert set(np.concatenate([b.reshape(-1) for b in blocks(array)]).tolist()) == set(range(2 * BLOCK + 7))
    assert not list(blocks(np.zeros(MEMBERS)))


def test_the_nearest_part_is_told_with_its_place() -> None:
    want = np.ones((2, 5, 30), np.float32)
    want[:, 3] = 1e-3
    distance = np.full(want.shape, 1e-7)
    distance[1, 3, 17] = 2e-7
    found = nearest(want, distance, bound=Bound(1e-4, 1e-30), movement=None)
    assert found.place == (1, 3, 17)
    assert (found.error, found.allowed) == (pytest.approx(2e-7), pytest.approx(1e-7))
    assert found.magnitude == pytest.approx(1e-3)


def test_equal_results_are_nowhere_near() -> None:
    found = nearest(np.ones(50, np.float32), np.zeros(50), bound=STRICT, movement=None)
    assert (found.error, found.place) == (0.0, None)


def test_noise_of_the_same_spread_is_allowed_and_a_multiple_is_not() -> None:
    want = DRAW.standard_normal((3, 7, 90))
    movement = np.abs(DRAW.standard_normal((3, 3, 7, 90))).max(axis=0)
    noise = np.abs(DRAW.standard_normal(want.shape))
    calm = nearest(want, noise, bound=STRICT, movement=movement)
    assert calm.error <= calm.allowed
    loud = nearest(want, 2 * FACTOR * noise, bound=STRICT, movement=movement)
    assert loud.error > loud.allowed


def test_a_shift_below_the_largest_movement_is_seen() -> None:
    want, movement = np.ones((1, 2, 40, 30)), np.full((1, 2, 40, 30), 0.01)
    movement[:, :, 3, :20] = 1.0
    shift = np.zeros(want.shape)
    shift[:, 1] = 0.5
    assert shift.max() < FACTOR * movement.max()
    found = nearest(want, shift, bound=STRICT, movement=movement)
    assert found.error > found.allowed
    assert found.place is not None
    assert found.place[1] == 1


def test_where_one_member_moves_its_part_may_err_more() -> None:
    want, movement = np.ones((2, 40, 64)), np.zeros((2, 40, 64))
    movement[:, ::5] = np.abs(DRAW.standard_normal((2, 8, 64)))
    movement[1, 7, 9] = 1e-4
    distance = np.zeros(want.shape)
    distance[1, 7, 9] = 10 * FACTOR * 1e-4 / 2
    found = nearest(want, distance, bound=STRICT, movement=movement)
    assert found.error <= found.allowed
    distance[1, 7, 10] = 1.0  # did not move at all, and is as far off as the noisiest
    found = nearest(want, distance, bound=STRICT, movement=movement)
    assert found.error > found.allowed


def test_numbers_whose_squares_are_out_of_range() -> None:
    for size in (1e-200, 1e200):
        want, movement = np.full(50, size), np.full(50, size / 100)
        near = nearest(want, movement, bound=STRICT, movement=movement)
        far = nearest(want, 5 * movement, bound=STRICT, movement=movement)
        assert near.error <= near.allowed
        assert far.error > far.allowed
