"""A model's own rounding noise: how far its results move when what it reads moves by one rounding.

A network amplifies roundings, averages them out, or decides on them (a comparison, an argmax, a floor): by
how much, no formula knows. So the reference is run again with its inputs and weights each moved to a
neighbouring float or left, at random. A rewrite that only rounds differently cannot be asked to do better
than that; one that is wrong differs by more, or in more places. Where a rewrite has declared that it rounds
more (``convgraph.numerics.declared``), more is moved.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from convgraph.ir.tensor import Array, DataType
from convgraph.numerics.declared import Declared
from convgraph.numerics.deviation import Errors, errors, mismatch
from convgraph.numerics.feeds import Feeds
from convgraph.numerics.moved import with_moved_weights
from convgraph.numerics.reference import Trial, run
from convgraph.numerics.session import ModelSource, Session, Spent, Unverifiable

FACTOR = 4.0
RUNS = 3
MANY_RUNS = 12
_AT_ONCE = 1 << 20  # elements


@dataclass(frozen=True, slots=True)
class Noise:
    """Element-wise largest movement of each result, by the result's place."""

    movements: Mapping[str, Errors]

    def of(self, place: str) -> Errors | None:
        """The movement of a result; None where it is not known, or none of it moved: that excuses nothing."""
        movement = self.movements.get(place)
        return movement if movement is not None and movement.any() else None

    def explains(self, place: str, distance: Errors, *, derived: float) -> bool:
        """Whether the errors above a tolerance are no more in number than noise makes them.

        That is FACTOR times the elements which FACTOR times their movement carries past the tolerance.
        """
        movement = self.of(place)
        if movement is None:
            return False
        moved = int(np.count_nonzero(FACTOR * movement > derived))
        return int(np.count_nonzero(distance > derived)) <= FACTOR * moved

    def bound(self, place: str) -> float:
        """FACTOR times the largest movement of a result; 0 when it was not measured."""
        movement = self.movements.get(place)
        return 0.0 if movement is None else FACTOR * float(movement.max(initial=0.0))


def measured_noise(
    source: ModelSource,
    trials: Sequence[Trial],
    *,
    seed: int,
    runs: int = RUNS,
    deadline: float | None = None,
    declared: Declared | None = None,
) -> list[Noise]:
    """How far the results of each trial of a model move by one rounding of what it reads, in so many runs.

    ``declared`` is what a rewrite may move by more. What does not run when moved is not measured. Raises
    TimedOut past the deadline (``time.monotonic``), and Unverifiable when there is no room for it.
    """
    movements: list[dict[str, Errors]] = [{} for _ in trials]
    declared = declared or Declared()
    for number in range(runs):
        rng = np.random.default_rng([seed, number])
        move = partial(_nudged_weight, rng=rng, floats=declared.weights)
        seep = partial(declared.seep, rng=rng)
        with with_moved_weights(source, move=move, edit=seep, deadline=deadline) as model:
            _run(model, trials, movements, rng=rng, deadline=deadline)
    return [Noise(known) for known in movements]


def _run(
    model: ModelSource,
    trials: Sequence[Trial],
    movements: Sequence[dict[str, Errors]],
    *,
    rng: np.random.Generator,
    deadline: float | None,
) -> None:
    """Widen the movements by those of one moved model, which is closed at the end: memory may hold no two."""
    session = _opened(model, deadline=deadline)
    for trial, known in zip(trials, movements, strict=True):
        feeds = {name: nudged(array, rng=rng) for name, array in trial.feeds.items()}
        for place, movement in _movements(session, trial, feeds, deadline=deadline):
            known[place] = np.maximum(known.get(place, movement), movement)


def _opened(model: ModelSource, *, deadline: float | None) -> Session | None:
    try:
        return Session(model, deadline=deadline)
    except Spent:
        raise
    except Unverifiable:
        return None


def _movements(
    session: Session | None, trial: Trial, feeds: Feeds, *, deadline: float | None
) -> Iterator[tuple[str, Errors]]:
    """The distance of each result from the trial's; nothing where the run fails or ends elsewhere."""
    try:
        found = {} if session is None else run(session, feeds, deadline=deadline)
    except Spent:
        raise
    except Unverifiable:
        return
    for place, reference in trial.results.items():
        if place in found and mismatch(reference, found[place]) is None:
            yield place, errors(reference, found[place])


def _nudged_weight(name: str, array: Array, *, rng: np.random.Generator, floats: Mapping[str, int]) -> Array:
    return nudged(array, rng=rng, floats=floats.get(name, 1))


def nudged(array: Array, *, rng: np.random.Generator, floats: int = 1) -> Array:
    """Each element moved by up to so many ``floats`` up or down, at random; zeros and no floats stay."""
    if array.dtype.kind in "biucOSU" or not (kind := DataType.of(array.dtype)).is_float or kind.bits < 8:
        return array
    moved = np.array(array, order="C")
    elements = moved.reshape(-1)
    for start in range(0, elements.size, _AT_ONCE):
        some = elements[start : start + _AT_ONCE]
        # Neighbours among floats of one sign are neighbours as integers.
        bits = some.view(f"i{some.itemsize}")
        steps = rng.integers(-floats, floats + 1, size=some.shape, dtype=np.min_scalar_type(-floats - 1))
        near = (bits + steps).astype(bits.dtype).view(some.dtype)
        np.copyto(some, near, where=(some != 0) & np.isfinite(some) & np.isfinite(near))
    return moved
