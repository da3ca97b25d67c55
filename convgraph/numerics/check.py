"""Two models run side by side: the original, and the rewritten one as written and as deployed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from convgraph.ir.tensor import Array
from convgraph.numerics.feeds import Feeds
from convgraph.numerics.inside import Inside
from convgraph.numerics.judge import Judge, Judged, first_disagreement
from convgraph.numerics.limits import Limits
from convgraph.numerics.pair import Pair
from convgraph.numerics.reference import Reference, Trial, blind_spots, run
from convgraph.numerics.session import ModelSource, Session, Spent, Unverifiable
from convgraph.numerics.truth import Meaning
from convgraph.numerics.undecided import decides, is_as_true, is_true
from convgraph.numerics.verdict import Boundaries, Different, Disagreement, OutputComparison

_DEPLOYED = " as deployed (runtime optimisations on)"


@dataclass(slots=True, kw_only=True)
class Check:
    """One comparison under way: ``compare`` returns when the models agree and raises otherwise.

    ``names_are_kept`` says that a value by the same name in both is the same one, so that they are looked at
    inside, too. ``meaning`` settles close calls, ``slack`` times the tolerance is allowed.
    """

    models: Pair
    limits: Limits
    seed: int
    deadline: float | None
    names_are_kept: bool = False
    meaning: Meaning | None = None
    slack: float = 1.0
    earlier: Sequence[Trial] = ()
    boundaries: Boundaries | None = None
    notes: list[str] = field(default_factory=list)
    _worst: dict[str, OutputComparison] = field(default_factory=dict)
    _deployed: dict[int, dict[str, Array]] = field(default_factory=dict)
    _known: Judge | None = None
    _inside: Inside | None = None

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
        self.notes.extend(blind_spots(self.models.old, trials))
        self._compare_runs(trials, optimized=False)
        if self.names_are_kept:
            self._compare_inside(trials[0])
        self._compare_runs(trials, optimized=True)

    def _compare_inside(self, trial: Trial) -> None:
        """Compare at the boundaries as far as time and memory go."""
        seen = Boundaries(total=0)
        try:
            self._inside = inside = Inside.of(
                self.models,
                trial,
                limits=self.limits,
                seed=self.seed,
                deadline=self.deadline,
                meaning=self.meaning,
            )
            seen = self.boundaries = Boundaries(total=inside.total)
            for judged in inside.judged(self.models.after, model=self.models.new):
                seen = self.boundaries = seen.with_one(judged.comparison)
                if judged.disagreement is not None:
                    raise Different(*judged.disagreement)
        except (Unverifiable, MemoryError) as error:
            self.notes.append(f"{seen.compared} of {seen.total} values inside compared: {error}")

    def disagreement(self, model: ModelSource, trials: Sequence[Trial]) -> Disagreement | None:
        """What tells another model, run as written on the same trials, from the original; None: nothing.

        The first trial tells most, so the others are run only where it does not, and what is inside last.
        Leaves no trace in this check. Raises Unverifiable where it cannot be said.
        """
        judge = self._judge(trials)
        try:
            for some in (trials[:1], trials[1:]):
                results = self._results(model, some, optimized=False, at="the other model")
                pairs = zip(some, results, strict=True)
                judged = ((t, j, got) for t, got in pairs for j in judge.all(t, got))
                told = (j for t, j, got in judged if not self._is_undecided(t, j, got, judge=judge))
                if (found := first_disagreement(told)) is not None:
                    return found
            return None if self._inside is None else self._inside.disagreement(model)
        except Spent:
            raise
        except Unverifiable as error:
            return Disagreement(error.at, error.found, error.expected)

    def _judge(self, trials: Sequence[Trial]) -> Judge:
        """The judge of these trials: what it has measured on them is not measured again."""
        if self._known is None or self._known.trials is not trials:
            self._known = Judge(
                model=self.models.before,
                limits=self.limits,
                seed=self.seed,
                deadline=self.deadline,
                trials=trials,
                slack=self.slack,
                meaning=self.meaning,
                declared=self.models.declared(),
            )
        return self._known

    def _compare_runs(self, trials: Sequence[Trial], *, optimized: bool) -> None:
        at = "the rewritten model" + (_DEPLOYED if optimized else "")
        try:
            results = self._results(self.models.after, trials, optimized=optimized, at=at)
        except Spent:
            raise
        except Unverifiable as error:
            self._blame_failure(error, trials, optimized=optimized)
            return
        judge = self._judge(trials)
        for trial, got in zip(trials, results, strict=True):
            for judged in judge.all(trial, got):
                self._take(judged, trial, got, judge=judge, optimized=optimized)

    def _results(
        self, model: ModelSource, trials: Sequence[Trial], *, optimized: bool, at: str
    ) -> list[dict[str, Array]]:
        """What a model returns; it is closed again before another is opened."""
        session = Session(model, optimized=optimized, deadline=self.deadline, at=at)
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
        raise Different(error.at, error.found, error.expected)

    def _take(
        self, judged: Judged, trial: Trial, got: Mapping[str, Array], *, judge: Judge, optimized: bool
    ) -> None:
        """Keep the numbers of one result. Raises Different unless it is right or something else to blame."""
        place, comparison, disagreement = judged
        if disagreement is not None and optimized and self._is_fault_of_runtime(trial, place, judge=judge):
            self.notes.append(
                f"{place}: onnxruntime's optimisations change the original too, in {trial}; not the rewrite"
            )
            return
        if self._is_undecided(trial, judged, got, judge=judge):
            note = f"{place}: rounding decides what the original returns in {trial}; not compared"
            self.notes += [] if note in self.notes else [note]
            return
        if comparison is not None:
            self._record(comparison)
        if disagreement is not None:
            at, found, expected = disagreement
            raise Different(at, f"{found}{_DEPLOYED if optimized else ''}", expected)

    def _is_undecided(self, trial: Trial, judged: Judged, got: Mapping[str, Array], *, judge: Judge) -> bool:
        """Whether a disagreement is one of roundings: the original is as far from what it means there.

        In some other trial it has to be what it means: there the two are compared.
        """
        place, _, disagreement = judged
        if disagreement is None or self.limits.are_given or not {place} <= got.keys() & trial.results.keys():
            return False
        if not decides(self.models.old):
            return False
        truth, allowed = judge.truth(trial), self.limits.allowed(place, trial.results[place])
        others = (other for other in (*self.earlier, *judge.trials) if other.number != trial.number)
        return is_as_true(truth, place, trial.results[place], got[place], allowed=allowed) and any(
            self._means_it(other, place, judge=judge) for other in others
        )

    def _means_it(self, trial: Trial, place: str, *, judge: Judge) -> bool:
        """Whether the original returned what it means."""
        result = trial.results.get(place)
        if result is None:
            return False
        return is_true(judge.truth(trial), place, result, allowed=self.limits.allowed(place, result))

    def _is_fault_of_runtime(self, trial: Trial, place: str, *, judge: Judge) -> bool:
        got = self._original_deployed(trial)
        return place not in got or judge.one(trial, place, got[place]).disagreement is not None

    def _original_deployed(self, trial: Trial) -> dict[str, Array]:
        if trial.number not in self._deployed:
            at = "the original" + _DEPLOYED
            session = Session(self.models.before, optimized=True, deadline=self.deadline, at=at)
            self._deployed[trial.number] = run(session, trial.feeds, deadline=self.deadline)
        return self._deployed[trial.number]

    def _record(self, comparison: OutputComparison) -> None:
        previous = self._worst.get(comparison.name)
        if previous is None or comparison.margin > previous.margin:
            self._worst[comparison.name] = comparison
