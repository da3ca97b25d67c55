"""What would a comparison have caught? Seeded faults in the very model that it found equal are compared, too.

A fault that nothing tells from the original is tried again on further inputs, of a character that the
comparison lacked: large enough to wake what a bias puts to sleep, small enough not to saturate. Those that
show one are kept: the model itself has to pass on them as well.
"""

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from convgraph.ir.tensor import DataType
from convgraph.numerics.check import Check
from convgraph.numerics.deviation import is_finite
from convgraph.numerics.faults import Patient
from convgraph.numerics.feeds import CHARACTERS, Feeds
from convgraph.numerics.placed import folder_of
from convgraph.numerics.reference import Trial
from convgraph.numerics.session import Spent, Unverifiable
from convgraph.numerics.verdict import Attempt, Power

KINDS = (
    "tap moved",
    "weight scaled",
    "bias entry dropped",
    "channels swapped",
    "padding shifted",
    "activation dropped",
)
"""What a rewrite of a convolution could get wrong."""

_SHARE = 0.5  # of the time: what is left is for a second look at what was missed,
_ENOUGH = 12  # or for trying so many at all
_AWAKE = 1000.0  # gain that brings most channels past the bias that keeps them at zero


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspects:
    """Where faults are to be tried: nodes by their first result, and the rewrites that were at work there.

    ``full``: every fault, however long that takes; else a sample in the time that the comparison took.
    """

    rewrites: Mapping[str, tuple[str, ...]]
    full: bool = False


def measured_power(
    check: Check, trials: Sequence[Trial], suspects: Suspects, *, seconds: float
) -> tuple[Power, list[Trial]]:
    """How many faults a check that was passed tells from the original, of those there was time for.

    ``seconds`` are for a sample: none is begun later. Returns the further trials that showed a fault, too.
    Raises Different when the model itself does not pass on one.
    """
    start = time.monotonic()
    patient = Patient.of(check.models.new, folder=folder_of(check.models.after))
    allowed = math.inf if suspects.full else seconds
    hunt = _Hunt(check=check, patient=patient, trials=trials, start=start, allowed=allowed)
    complete = hunt.begin(suspects)
    hunt.look_again()
    attempts = tuple(replace(p.attempt, caught=p not in hunt.missed) for p in hunt.tried)
    power = Power(attempts=attempts, full=complete, seconds=time.monotonic() - start)
    return power, hunt.telling


@dataclass(frozen=True, slots=True)
class _Place:
    """A fault to try: the number of a node of the model, and what is said of it."""

    node: int
    attempt: Attempt


@dataclass(slots=True, kw_only=True)
class _Hunt:
    """The search for faults that a check does not see, in the seconds ``allowed``; memory may end it, too."""

    check: Check
    patient: Patient
    trials: Sequence[Trial]
    start: float
    allowed: float
    tried: list[_Place] = field(default_factory=list)
    missed: list[_Place] = field(default_factory=list)
    telling: list[Trial] = field(default_factory=list)

    def begin(self, suspects: Suspects) -> bool:
        """Try the faults on the trials of the check; False where time did not suffice for all."""
        for place in _sample(self.patient, suspects, seed=self.check.seed):
            if self._is_over(_SHARE if self.missed or len(self.tried) >= _ENOUGH else 1.0):
                return False
            try:
                caught = self._is_caught(place, self.check, self.trials)
            except (Spent, MemoryError):
                return False
            if caught is not None:
                self.tried.append(place)
                self.missed += [] if caught else [place]
        return True

    def look_again(self) -> None:
        """Try what was missed on further trials, which the model itself has to pass, too."""
        for number, (character, gain) in enumerate(_further(self.trials), start=len(self.trials)):
            if not self.missed or self._is_over():
                return
            try:
                self._look(character, gain, number=number)
            except (Spent, MemoryError):
                return
            except Unverifiable:
                continue  # what the original does not take, or answers with what tells nothing

    def _is_over(self, share: float = 1.0) -> bool:
        return time.monotonic() - self.start >= share * self.allowed

    def _look(self, character: str, gain: float, *, number: int) -> None:
        check, seed = _fresh(self.check, earlier=self.trials), self.check.seed + number
        feeds = _drawn(self.trials[0].feeds, character, gain=gain, seed=seed)
        (given,) = check.reference_trials(0, [feeds])
        if not all(map(is_finite, given.results.values())):
            return
        named = character if gain == 1.0 else f"{character} times {gain:g}"
        trials = [replace(given, number=number, character=named, seed=seed)]
        check.compare(trials)
        missed = len(self.missed)
        for place in tuple(self.missed):
            if not self._is_over() and self._is_caught(place, check, trials):
                self.missed.remove(place)
        self.telling += trials if len(self.missed) < missed else []

    def _is_caught(self, place: _Place, check: Check, trials: Sequence[Trial]) -> bool | None:
        """Whether a check tells a fault from the original; None where there is no place for it."""
        fault = self.patient.broken(place.attempt.kind, at=place.node, seed=check.seed)
        if fault is None:
            return None
        try:
            return check.disagreement(self.patient.opened(fault), trials) is not None
        except Spent:
            raise
        except Unverifiable:
            return True  # what cannot be compared is not taken for equal


def _sample(patient: Patient, suspects: Suspects, *, seed: int) -> Iterator[_Place]:
    """The faults in an order in which each kind comes up early at the work of each rewrite."""
    nodes = [(n, node.output[0]) for n, node in enumerate(patient.model.graph.node) if node.output]
    places = [
        _Place(n, Attempt(kind=kind, at=name, rewrites=suspects.rewrites[name]))
        for kind in KINDS
        for n, name in nodes
        if name in suspects.rewrites
    ]
    seen: Counter[object] = Counter()
    turns: list[tuple[int, int]] = []
    for index in np.random.default_rng(seed).permutation(len(places)):
        attempt = places[index].attempt
        turns.append((seen[attempt.kind, attempt.rewrites], int(index)))
        seen[attempt.kind, attempt.rewrites] += 1
    yield from (places[index] for _, index in sorted(turns, key=lambda turn: turn[0]))


def _further(trials: Sequence[Trial]) -> Iterator[tuple[str, float]]:
    """Characters, with a gain, of inputs unlike those of the trials; none beside the user's own."""
    if any(trial.seed is None for trial in trials):
        return
    yield "normal", _AWAKE
    known = {trial.character for trial in trials}
    yield from ((character, 1.0) for character in CHARACTERS if character not in known)


def _drawn(feeds: Feeds, character: str, *, gain: float, seed: int) -> Feeds:
    """Feeds of the same types and sizes with other floats."""
    rng = np.random.default_rng(seed)
    return {
        name: (gain * CHARACTERS[character](rng, array.shape)).astype(array.dtype)
        if DataType.of(array.dtype).is_float
        else array
        for name, array in feeds.items()
    }


def _fresh(check: Check, *, earlier: Sequence[Trial]) -> Check:
    """A check of the same models that has seen nothing yet but the trials passed before."""
    return Check(
        models=check.models,
        limits=check.limits,
        seed=check.seed,
        deadline=check.deadline,
        names_are_kept=check.names_are_kept,
        meaning=check.meaning,
        earlier=earlier,
    )
