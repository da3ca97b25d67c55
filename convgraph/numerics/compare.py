"""Are two models the same function? Both run in onnxruntime; the original, unoptimised, is the reference.

The rewritten model runs twice: node by node as written, and as deployed, with every optimisation of the
runtime. Where only the deployed run disagrees, and the original disagrees with itself there too, the fault is
the runtime's and is named as such.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np
from onnx import ModelProto, numpy_helper

from convgraph.errors import NotEquivalent
from convgraph.ir.tensor import Array, DataType
from convgraph.numerics.deviation import (
    Errors,
    errors,
    first_index,
    is_telling,
    magnitude,
    mismatch,
    same_bits,
)
from convgraph.numerics.feeds import Feeds, check_feeds
from convgraph.numerics.limits import Limits
from convgraph.numerics.noise import FACTOR, MANY_RUNS, RUNS, Noise, measured_noise
from convgraph.numerics.parts import Nearest, nearest
from convgraph.numerics.reference import Reference, Trial, blind_spots, run
from convgraph.numerics.session import ModelSource, Session, Spent, Unverifiable, runtime_name
from convgraph.numerics.structure import accepts, model_lengths, overridable_inputs, read, required_inputs
from convgraph.numerics.tolerance import is_exact

Status = Literal["equal", "different", "unverified"]
Bound = Literal["derived", "measured", "given"]

_SPOILT = 0.01  # of an output's magnitude, and of its elements: more noise than a comparison bears


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputComparison:
    """The comparison of one output that came nearest to its tolerance, over all trials and runs.

    The numbers are those of the part of the output (a slice, a run of neighbours, the whole) that came
    nearest: ``max_abs`` the largest |reference - result| in it, ``max_rel`` that over its largest
    |reference|, ``worst_index`` where it stands in the output (None when that is equal throughout).
    ``bound`` says which tolerance decided: derived from the sums behind the output, measured on the
    original's own rounding noise, or given by the caller.
    """

    name: str
    max_abs: float
    max_rel: float
    tolerance: float
    worst_index: tuple[int, ...] | None
    bound: Bound = "derived"

    @property
    def margin(self) -> float:
        """Error over tolerance: above 1 it is too much."""
        if self.max_abs == 0.0:
            return 0.0
        return self.max_abs / self.tolerance if self.tolerance > 0.0 else float("inf")


class Disagreement(NamedTuple):
    """Where two models differ: the output (or ``inputs``, ``outputs``), what was found, what was expected."""

    at: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.at}: {self.found}; {self.expected}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The verdict on two models, and what it rests on.

    ``reason`` says why they differ or could not be compared; with "equal" it is empty or names a fault of
    the runtime, or an output that shows little. ``trials`` counts the runs of the reference compared,
    ``seeds`` are the trials' seeds (none for feeds of the caller's).
    """

    status: Status
    reason: str = ""
    reference: str = ""
    trials: int = 0
    seeds: tuple[int, ...] = ()
    outputs: tuple[OutputComparison, ...] = ()
    disagreement: Disagreement | None = None

    @property
    def equal(self) -> bool:
        """Whether the models were found to be the same function."""
        return self.status == "equal"

    def raise_if_different(self) -> None:
        """Raise NotEquivalent unless equal; Unverifiable, also a ConvgraphError, when nobody knows."""
        if self.status == "different":
            fallback = Disagreement("models", self.reason, "the same function")
            at, found, expected = self.disagreement or fallback
            raise NotEquivalent(at, found=found, expected=expected)
        if self.status == "unverified":
            raise Unverifiable("models", found=self.reason, expected="a comparison")


def verify_models(
    before: ModelSource,
    after: ModelSource,
    *,
    lengths: Mapping[str, float] | None = None,
    trials: int = 3,
    seed: int = 0,
    rtol: float | None = None,
    atol: float | None = None,
    feeds: Sequence[Feeds] | None = None,
    timeout: float | None = None,
) -> Verification:
    """Whether ``after`` computes what ``before`` does, in onnxruntime on the CPU.

    ``lengths`` are the accumulated roundings of each output (``tolerance.accumulated_length``), read off the
    models when None. ``rtol`` and ``atol`` replace the derived tolerance by ``atol + rtol * largest
    |reference|``. ``feeds`` replace the seeded trials. ``timeout`` is in seconds, for everything. Raises
    InvalidModel for feeds that do not fit and for what is no model at all.
    """
    verdict = Verification(status="unverified", reference=f"{runtime_name()}, optimisations off")
    models = _Models(before=before, after=after, old=read(before), new=read(after))
    if feeds is not None:
        known = {i.name for i in models.old.graph.input}
        check_feeds(feeds, types=required_inputs(models.old), known=known)
    deadline = None if timeout is None else time.monotonic() + timeout
    counted = models.lengths() if lengths is None else lengths
    limits = Limits(model=models.old, lengths=counted, rtol=rtol, atol=atol)
    check = _Check(models=models, limits=limits, seed=seed, deadline=deadline)
    try:
        done = check.reference_trials(trials, feeds)
        verdict = replace(verdict, trials=len(done), seeds=tuple(t.seed for t in done if t.seed is not None))
        check.compare(done)
    except (Unverifiable, MemoryError) as error:
        return replace(verdict, reason=str(error) or "not enough memory", outputs=check.outputs)
    except _Different as error:
        found = error.disagreement
        return replace(
            verdict, status="different", reason=str(found), outputs=check.outputs, disagreement=found
        )
    return replace(verdict, status="equal", reason="; ".join(check.notes), outputs=check.outputs)


class _Different(Exception):
    """Ends a comparison: the models are not the same function."""

    def __init__(self, at: str, found: str, expected: str) -> None:
        super().__init__(at, found, expected)
        self.disagreement = Disagreement(at, found, expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Models:
    """The two models as they came and as protos."""

    before: ModelSource
    after: ModelSource
    old: ModelProto
    new: ModelProto

    def lengths(self) -> dict[str, float]:
        """Accumulated roundings of each output, the larger number of the two models."""
        old, new = model_lengths(self.old), model_lengths(self.new)
        return {name: max(length, new.get(name, 0.0)) for name, length in old.items()}

    def check_interface(self) -> None:
        """Refuse models that a caller could not exchange."""
        outputs = [o.name for o in self.old.graph.output], [o.name for o in self.new.graph.output]
        if outputs[0] != outputs[1]:
            raise _Different("outputs", _listed(outputs[1]), _listed(outputs[0]))
        inputs = list(old := required_inputs(self.old)), list(new := required_inputs(self.new))
        if inputs[0] != inputs[1]:
            raise _Different("inputs", _listed(inputs[1]), _listed(inputs[0]))
        for name, asked in new.items():
            given = old[name]
            if asked is not None and given is not None and not accepts(asked, given):
                raise _Different("inputs", f"{name} of type {asked}", f"type {given}")
        if not outputs[0]:
            raise Unverifiable("outputs", found="none", expected="something to compare")

    def defaults(self) -> dict[str, Array]:
        """The float initializers that a caller may override in both."""
        shared = overridable_inputs(self.old).keys() & overridable_inputs(self.new).keys()
        if not shared:
            return {}
        complete = overridable_inputs(read(self.before, weights=True))
        return {name: numpy_helper.to_array(complete[name]) for name in sorted(shared)}


@dataclass(slots=True, kw_only=True)
class _Check:
    """One comparison under way: ``compare`` returns when the models agree and raises otherwise."""

    models: _Models
    limits: Limits
    seed: int
    deadline: float | None
    notes: list[str] = field(default_factory=list)
    _worst: dict[str, OutputComparison] = field(default_factory=dict)
    _noise: dict[tuple[int, int], Noise] = field(default_factory=dict)
    _deployed: dict[int, dict[str, Array]] = field(default_factory=dict)
    _silent: frozenset[str] = frozenset()
    _trials: Sequence[Trial] = ()

    @property
    def outputs(self) -> tuple[OutputComparison, ...]:
        """What was compared so far."""
        return tuple(self._worst.values())

    def reference_trials(self, trials: int, feeds: Sequence[Feeds] | None) -> list[Trial]:
        """The runs of the original to compare with."""
        self.models.check_interface()
        reference = Reference.open(self.models.before, model=self.models.old, deadline=self.deadline)
        if feeds is not None:
            done = reference.given(feeds)
        else:
            done = reference.seeded(trials=trials, seed=self.seed, overridable=self.models.defaults())
        if not done or not any(result.size for trial in done for result in trial.results.values()):
            found = "no element of any output" if done else "no trial"
            raise Unverifiable("trials", found=found, expected="something to compare")
        return done

    def compare(self, trials: Sequence[Trial]) -> None:
        """Compare as written, then as deployed."""
        self._trials = trials
        self.notes.extend(blind_spots(self.models.old, trials))
        telling = {p for t in trials for p in t.results if is_telling(t.results[p])}
        self._silent = frozenset(p for t in trials for p in t.results) - telling
        self._compare_runs(trials, optimized=False)
        self._compare_runs(trials, optimized=True)

    def _compare_runs(self, trials: Sequence[Trial], *, optimized: bool) -> None:
        at = "the rewritten model" + (_DEPLOYED if optimized else "")
        try:
            results = self._results(trials, optimized=optimized, at=at)
        except Spent:
            raise
        except Unverifiable as error:
            self._blame_failure(error, trials, optimized=optimized)
            return
        for trial, got in zip(trials, results, strict=True):
            self._compare_trial(trial, got, optimized=optimized)

    def _results(self, trials: Sequence[Trial], *, optimized: bool, at: str) -> list[dict[str, Array]]:
        """What the rewritten model returns; it is closed again before another is opened."""
        session = Session(self.models.after, optimized=optimized, deadline=self.deadline, at=at)
        return [run(session, trial.feeds, deadline=self.deadline) for trial in trials]

    def _blame_failure(self, error: Unverifiable, trials: Sequence[Trial], *, optimized: bool) -> None:
        """The rewritten model does not run: its fault, unless the original does not run there either."""
        if optimized:
            try:
                for trial in trials:
                    self._original_deployed(trial)
            except Spent:
                raise
            except Unverifiable:
                self.notes.append(f"onnxruntime's optimisations break the original too: {error.found}")
                return
        raise _Different(error.at, error.found, error.expected)

    def _compare_trial(self, trial: Trial, got: Mapping[str, Array], *, optimized: bool) -> None:
        if got.keys() != trial.results.keys():
            raise _Different("outputs", _listed(got), f"{_listed(trial.results)} in {trial}")
        for place in trial.results:
            self._compare_tensor(trial, place, got[place], optimized=optimized)

    def _compare_tensor(self, trial: Trial, place: str, got: Array, *, optimized: bool) -> None:
        want = trial.results[place]
        if place in self._silent and not same_bits(want, got):
            found = "NaN in the original's result of every trial"
            raise Unverifiable(place, found=found, expected="a reference without, or the same bits")
        comparison, difference = self._judged(trial, place, got)
        if difference and optimized and self._is_fault_of_runtime(trial, place):
            self.notes.append(
                f"{place}: onnxruntime's optimisations change the original too, in {trial}; not the rewrite"
            )
            return
        if comparison is not None:
            self._record(comparison)
        if difference is not None:
            found, expected = difference
            raise _Different(place, f"{found} in {trial}{_DEPLOYED if optimized else ''}", expected)

    def _is_fault_of_runtime(self, trial: Trial, place: str) -> bool:
        got = self._original_deployed(trial)
        return place not in got or self._judged(trial, place, got[place])[1] is not None

    def _original_deployed(self, trial: Trial) -> dict[str, Array]:
        if trial.number not in self._deployed:
            at = "the original" + _DEPLOYED
            session = Session(self.models.before, optimized=True, deadline=self.deadline, at=at)
            self._deployed[trial.number] = run(session, trial.feeds, deadline=self.deadline)
        return self._deployed[trial.number]

    def _judged(
        self, trial: Trial, place: str, got: Array
    ) -> tuple[OutputComparison | None, tuple[str, str] | None]:
        """The numbers (None without any), and what is wrong and was expected (None when all is right)."""
        want = trial.results[place]
        structural = mismatch(want, got)
        if structural is not None:
            return None, structural
        comparison = self._measured(trial, place, errors(want, got))
        if comparison.margin <= 1.0:
            return comparison, None
        found = f"{comparison.max_abs:.3g} off at {comparison.worst_index}"
        return comparison, (found, f"within {comparison.tolerance:.3g}")

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
        for runs in (RUNS, MANY_RUNS):
            noise = self._noise_of(trial, runs=runs)
            movement = noise.of(whole.name)
            part = nearest(want, distance, bound=derived if movement is None else least, movement=movement)
            if part.error <= part.allowed or part.error > FACTOR * part.allowed:
                break  # so near the limit that bad luck with few runs may be all, it is worth more of them
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

    def _noise_of(self, trial: Trial, *, runs: int = RUNS) -> Noise:
        if (trial.number, runs) not in self._noise:
            # all trials at once while a moved model is open; one alone where more runs are asked for
            trials = self._trials if runs == RUNS else [trial]
            measured = measured_noise(
                self.models.before, trials, seed=self.seed, runs=runs, deadline=self.deadline
            )
            self._noise |= {(t.number, runs): noise for t, noise in zip(trials, measured, strict=True)}
        return self._noise[trial.number, runs]

    def _record(self, comparison: OutputComparison) -> None:
        previous = self._worst.get(comparison.name)
        if previous is None or comparison.margin > previous.margin:
            self._worst[comparison.name] = comparison


_DEPLOYED = " as deployed (runtime optimisations on)"


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


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
