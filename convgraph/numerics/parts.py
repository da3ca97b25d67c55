"""Results judged part by part, so that a large number in one part excuses nothing in another.

Scores stand beside boxes in pixels, a channel of 1e-3 beside one of 1e3: one tolerance for a whole tensor
would be the largest part's. So each slice of each axis, and each run of neighbours, has its own, from its own
magnitude and its own noise. A part has enough members that its largest movement says how far it moves.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from convgraph.ir.tensor import Array
from convgraph.numerics.deviation import Errors, magnitudes
from convgraph.numerics.noise import FACTOR

MEMBERS = 16  # fewer are no statistics
BLOCK = 64  # neighbours in memory that make a part
_TINY = float(np.finfo(np.float64).tiny)


class Bound(NamedTuple):
    """The least error allowed: ``relative`` to a part's largest magnitude, and one step of the type."""

    relative: float
    step: float


class Nearest(NamedTuple):
    """The part that comes nearest to what it is allowed (or goes furthest beyond)."""

    error: float
    magnitude: float
    allowed: float
    place: tuple[int, ...] | None


def slices(array: Array) -> Iterator[Array]:
    """The array as (parts, members): whole, and the slices of each axis."""
    yield array.reshape(1, -1)
    for axis, length in enumerate(array.shape):
        if 1 < length <= array.size // MEMBERS:
            yield np.moveaxis(array, axis, 0).reshape(length, -1)


def blocks(array: Array) -> Iterator[Array]:
    """The array as (parts, members): neighbours by the BLOCK; the last overlap those before."""
    if array.size > BLOCK:
        flat = array.reshape(-1)
        yield flat[: flat.size // BLOCK * BLOCK].reshape(-1, BLOCK)
        yield flat[-BLOCK:].reshape(1, -1)


def nearest(want: Array, distance: Errors, *, bound: Bound, movement: Errors | None) -> Nearest:
    """The part of a float result nearest to its limit.

    Allowed is ``bound``, or FACTOR times the largest ``movement`` of the part where that is more. Nor may
    errors be more than FACTOR times the movements in quadratic mean: a fault that shifts a whole channel by
    less than the largest movement in it stands out so. Where few members move, three runs do not say how far
    they may: a slice is allowed more in proportion, and of blocks, which are many, such ones do not count.
    """
    moved = np.zeros_like(distance) if movement is None else movement
    views = (distance, magnitudes(want), moved, np.arange(distance.size).reshape(distance.shape))
    found, worst = Nearest(0.0, 0.0, bound.step, None), 0.0
    for split in (slices, blocks):
        for errors, sizes, moves, places in zip(*map(split, views), strict=True):
            allowed = _allowed(errors, sizes, moves, bound=bound, many=split is blocks)
            error = errors.max(axis=1, initial=0.0)
            with np.errstate(over="ignore"):
                part = int(np.argmax(margins := error / allowed))
            if margins[part] > worst:
                worst = float(margins[part])
                at = np.unravel_index(places[part, int(np.argmax(errors[part]))], distance.shape)
                scale, place = float(sizes[part].max()), tuple(int(i) for i in at)
                found = Nearest(float(error[part]), scale, float(error[part]) / worst, place)
    return found


def _allowed(errors: Errors, sizes: Errors, moves: Errors, *, bound: Bound, many: bool) -> Errors:
    """What the largest error of each part may be, as its errors are spread."""
    needed = min(MEMBERS, moves.shape[1])
    spare = FACTOR * needed / np.clip(_moving(moves), 1, needed)
    least = np.maximum(bound.relative * sizes.max(axis=1), bound.step)
    peak = np.maximum(least, spare * moves.max(axis=1))
    crest = np.maximum(1.0, errors.max(axis=1) / np.maximum(_mean(errors), _TINY))
    allowed = np.minimum(peak, crest * np.maximum(least, spare * _mean(moves)))
    return np.where(many & (spare > FACTOR), np.inf, allowed)


def _mean(errors: Errors) -> Errors:
    """The quadratic mean of each part, of numbers whose squares may be out of range."""
    peak = np.maximum(errors.max(axis=1, initial=0.0), _TINY)
    return np.asarray(peak * np.sqrt(np.mean(np.square(errors / peak[:, None]), axis=1)))


def _moving(moves: Errors) -> Errors:
    """How many members of each part make up its movement; all of them in one that does not move."""
    peak = moves.max(axis=1, initial=0.0)
    squares = np.square(moves / np.maximum(peak, _TINY)[:, None])
    count = squares.sum(axis=1) ** 2 / np.maximum(np.square(squares).sum(axis=1), _TINY)
    return np.asarray(np.where(peak > 0, count, moves.shape[1]))
