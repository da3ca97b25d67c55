"""Is one result near enough to another? Against what is given, derived, or measured on the original."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import NamedTuple

import numpy as np

from convgraph.ir.tensor import Array, DataType
from convgraph.numerics.declared import Declared
from convgraph.numerics.deviation import (
    Errors,
    errors,
    first_index,
    is_telling,
    magnitude,
    mismatch,
    same_bits,
)
from convgraph.numerics.limits import Limits
from convgraph.numerics.noise import MANY_RUNS, RUNS, Noise, measured_noise
from convgraph.numerics.parts import Nearest, nearest
from convgraph.numerics.reference import Trial
from convgraph.numerics.session import ModelSource, Unverifiable
from convgraph.numerics.tolerance import is_exact
from convgraph.numerics.truth import SECONDS, Meaning, Truth, is_close, settled
from convgraph.numerics.verdict import Bound, Disagreement, OutputComparison, listed

_SPOILT = 0.01  # of an output's magnitude, and of its elements: more noise than a comparison bears


class Judged(NamedTuple):
    """What is said of one result: its numbers and what is wrong, None without any."""

    place: str
    comparison: OutputComparison | None
    disagreement: Disagreement | None


def first_disagreement(found: Iterable[Judged]) -> Disagreement | None:
    """The first thing wrong with some results; None when all are right."""
    return next((judged.disagreement for judged in found if judged.disagreement is not None), None)


@dataclass(slots=True, kw_only=True)
class Judge:
    """Judges the results of trials of a model; the noise it needs is measured once, for all of them.

    ``runs`` are how many the noise is measured in: the next number where an error that may be roundings is
    more than the one before allows. ``slack`` times as much is allowed. ``meaning`` settles what may be
    roundings. ``declared`` is what rewrites may err by more than that.
    """

    model: ModelSource
    limits: Limits
    seed: int
    deadline: float | None
    trials: Sequence[Trial]
    runs: Sequence[int] = (RUNS, MANY_RUNS)
    slack: float = 1.0
    meaning: Meaning | None = None
    declared: Declared = field(default_factory=Declared)
    _truth: dict[int, Truth] = field(default_factory=dict)
    _noise: dict[tuple[int, int], Noise] = field(default_factory=dict)
    _telling: dict[str, bool] = field(default_factory=dict)

    def all(self, trial: Trial, got: Mapping[str, Array]) -> Iterator[Judged]:
        """The results of another model on a trial, judged one after the other."""
        if got.keys() != trial.results.keys():
            wrong = Disagreement("outputs", listed(got), f"{listed(trial.results)} in {trial}")
            yield Judged("outputs", None, wrong)
            return
        yield from (self.one(trial, place, got[place]) for place in trial.results)

    def one(self, trial: Trial, place: str, got: Array) -> Judged:
        """One result. Raises Unverifiable where the original's say nothing."""
        want = trial.results[place]
        if not self._tells(place) and not same_bits(want, got):
            found = "NaN in the original's result of every trial"
            raise Unverifiable(place, found=found, expected="a reference without, or the same bits")
        if (structural := mismatch(want, got)) is not None:
            return Judged(place, None, _wrong(place, *structural, trial))
        comparison = self._measured(trial, place, errors(want, got))
        if comparison.margin <= 1.0:
            return Judged(place, comparison, None)
        if (settled := self._settled(comparison, trial, got)) is not None:
            return Judged(place, settled, None)
        found = f"{comparison.max_abs:.3g} off at {comparison.worst_index}"
        return Judged(place, comparison, _wrong(place, found, f"within {comparison.tolerance:.3g}", trial))

    def _settled(self, comparison: OutputComparison, trial: Trial, got: Array) -> OutputComparison | None:
        """The comparison of what may be roundings with the truth; None where that does not settle it."""
        place, want = comparison.name, trial.results[comparison.name]
        if self.meaning is None or self.limits.are_given or not is_close(comparison.max_rel, want):
            return None
        if (truth := self.truth(trial).results.get(place)) is None:
            return None
        derived, least = (f(place, want) for f in (self.limits.derived, self.limits.least))
        part = settled(truth, want, got, derived=derived, least=least, movement=self._moved(trial, place))
        return None if part is None else _of_part(comparison, part, bound="measured")

    def truth(self, trial: Trial) -> Truth:
        """What the model means in a trial, worked out once; nothing where that is not known."""
        if self.meaning is None:
            return Truth()
        if trial.number not in self._truth:
            until = min(time.monotonic() + SECONDS, math.inf if self.deadline is None else self.deadline)
            self._truth[trial.number] = self.meaning(self.model, trial.feeds, until)
        return self._truth[trial.number]

    def _moved(self, trial: Trial, place: str) -> Errors | None:
        """How far roundings move a result: in all that was measured, and on the way in float64."""
        known = [noise.of(place) for (number, _), noise in self._noise.items() if number == trial.number]
        movements = [m for m in (self.truth(trial).movements.get(place), *known) if m is not None]
        return reduce(np.maximum, movements) if movements else None

    def _tells(self, place: str) -> bool:
        """Whether the original's result says anything in some trial."""
        if place not in self._telling:
            results = (trial.results[place] for trial in self.trials if place in trial.results)
            self._telling[place] = any(map(is_telling, results))
        return self._telling[place]

    def _measured(self, trial: Trial, place: str, distance: Errors) -> OutputComparison:
        """The comparison against what is allowed: given, exact, or the original's own noise."""
        want = trial.results[place]
        largest = float(distance.max(initial=0.0))
        comparison = OutputComparison(
            name=place,
            max_abs=largest,
            max_rel=largest / magnitude(want) if magnitude(want) else largest,
            tolerance=self.limits.allowed(place, want),
            worst_index=first_index(distance == largest) if largest else None,
            bound="given" if self.limits.are_given else "derived",
        )
        if self.limits.are_given or largest == 0.0:
            return comparison
        if not is_exact(DataType.of(want.dtype)):
            return self._beside_noise(trial, comparison, distance)
        noise = self._noise_of(trial)
        if not noise.explains(place, distance, derived=0.0):
            return comparison
        self._refuse_spoilt(comparison, noise, want, distance)
        return replace(comparison, tolerance=max(noise.bound(place), largest), bound="measured")

    def _beside_noise(self, trial: Trial, whole: OutputComparison, distance: Errors) -> OutputComparison:
        """The part nearest to its limit: one rounding's worth, else what the original's noise allows it."""
        want = trial.results[whole.name]
        derived, least = (f(whole.name, want) for f in (self.limits.derived, self.limits.least))
        if (part := nearest(want, distance, bound=least, movement=None)).error <= part.allowed:
            return _of_part(whole, part, bound="derived")
        for runs in self.runs:
            noise = self._noise_of(trial, runs=runs)
            movement = noise.of(whole.name)
            part = nearest(want, distance, bound=derived if movement is None else least, movement=movement)
            part = part._replace(allowed=self.slack * part.allowed)
            if part.error <= part.allowed or not is_close(part.error / (part.magnitude or 1.0), want):
                break  # where bad luck with few runs may be all, it is worth more of them
        if part.error <= part.allowed and movement is not None and whole.margin > 1.0:
            self._refuse_spoilt(whole, noise, want, distance)
            if not noise.explains(whole.name, distance, derived=whole.tolerance):
                return whole
        return _of_part(whole, part, bound="derived" if movement is None else "measured")

    def _refuse_spoilt(self, whole: OutputComparison, noise: Noise, want: Array, distance: Errors) -> None:
        """Nothing can be said where noise is most of the result."""
        if whole.max_abs > _SPOILT * magnitude(want) and np.mean(distance > whole.tolerance) > _SPOILT:
            moves = noise.bound(whole.name)
            found = f"the original moves by {moves:.3g} when what it reads moves by one rounding"
            raise Unverifiable(whole.name, found=found, expected=f"less than {_SPOILT} of its magnitude")

    def _noise_of(self, trial: Trial, *, runs: int | None = None) -> Noise:
        runs = runs or self.runs[0]
        if (trial.number, runs) not in self._noise:
            # all trials at once while a moved model is open; one alone where more runs are asked for
            trials = self.trials if runs == self.runs[0] else [trial]
            measured = measured_noise(
                self.model,
                trials,
                seed=self.seed,
                runs=runs,
                deadline=self.deadline,
                declared=self.declared,
            )
            self._noise |= {(t.number, runs): noise for t, noise in zip(trials, measured, strict=True)}
        return self._noise[trial.number, runs]


def _wrong(place: str, found: str, expected: str, trial: Trial) -> Disagreement:
    return Disagreement(place, f"{found} in {trial}", expected)


def _of_part(whole: OutputComparison, part: Nearest, *, bound: Bound) -> OutputComparison:
    """The numbers of the part that decides."""
    return replace(
        whole,
        max_abs=part.error,
        max_rel=part.error / part.magnitude if part.magnitude else part.error,
        tolerance=part.allowed,
        worst_index=part.place,
        bound=bound,
    )
