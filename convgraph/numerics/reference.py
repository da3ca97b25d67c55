"""The reference: the original model run in onnxruntime with its optimisations off, on feeds that suit it.

Finds sizes for open dimensions, ranges for integers and a manner for floats that the model accepts, and
keeps what it returned. Says so when nothing can be compared: no run succeeds, or two runs differ.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from onnx import ModelProto, ValueInfoProto

from convgraph.ir.tensor import MOST_AXES, Array, DataType, Dim, Shape, TensorType
from convgraph.numerics.deviation import has_finite, is_constant, is_finite, leaves, same_bits
from convgraph.numerics.feeds import Feeds, Manner, character_of, make_feeds, others_of, perturbed
from convgraph.numerics.session import ModelSource, Session, TimedOut, Unverifiable
from convgraph.numerics.shapes import types_on
from convgraph.numerics.sizes import candidates, open_shapes, sized, smallest
from convgraph.numerics.structure import (
    computed,
    convolved_from_nothing,
    index_bounds,
    readers,
    required_inputs,
    tensor_type,
)
from convgraph.numerics.tolerance import is_exact

_CEILINGS = (64, 8, 2, 1)  # integer inputs lie below; smaller where a run refuses an index
_CALM = 0.03  # gain that brings large feeds down to about 1
_FEW = 256  # indices or truth values: fewer hide a fault that moves what they are chosen from a little
_MOST_RETURNED = 1 << 22  # elements of all outputs together
_MOST_INSIDE = 1 << 27  # elements of one value
_ATTEMPTS = 60  # runs to find sizes that a model accepts


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run of the reference: what it was given and every tensor it returned, by place.

    ``seed`` is None when the feeds are the user's.
    """

    number: int
    feeds: Feeds
    results: Mapping[str, Array]
    character: str = "given"
    seed: int | None = None

    def __str__(self) -> str:
        return f"trial {self.number} ({self.character}" + (
            ")" if self.seed is None else f", seed {self.seed})"
        )


def run(session: Session, feeds: Feeds, *, deadline: float | None) -> dict[str, Array]:
    """Every tensor a model returns, by place."""
    results = session.run(feeds, deadline=deadline)
    return dict(leaf for name, result in results.items() for leaf in leaves(name, result))


def blind_spots(model: ModelProto, trials: Sequence[Trial]) -> list[str]:
    """Where little is seen: outputs of an exact type (indices, truth values) that are few or never change.

    Raises Unverifiable where nothing is: an output that was always empty, never finite, or, of floats
    computed from the inputs, always the same (saturated, or all zero), would be so in a wrong model too.
    """
    data = computed(model)
    notes: list[str] = []
    for output in model.graph.output:
        results = [r for t in trials for place, r in t.results.items() if _is_in(place, output.name)]
        if 0 in _declared(output):
            continue
        found = _sightless(results)
        if found is None and output.name in data and is_constant(results):
            found = "the same in every trial"
            if all(is_exact(DataType.of(r.dtype)) for r in results):
                notes.append(f"{output.name}: {found}, which shows little")
                continue
        if found is not None:
            raise Unverifiable(output.name, found=found, expected="a result that tells models apart")
    if (total := _decisions(trials)) is not None and total < _FEW:
        notes.append(f"{total} integers or truth values in all, which show little")
    return notes


def _decisions(trials: Sequence[Trial]) -> int | None:
    """The number of elements of all results, where floats were given and nothing but exact types returned."""
    given = {DataType.of(array.dtype) for trial in trials for array in trial.feeds.values()}
    results = [r for trial in trials for r in trial.results.values()]
    if all(map(is_exact, given)) or not all(is_exact(DataType.of(r.dtype)) for r in results):
        return None
    return sum(r.size for r in results)


def _is_in(place: str, output: str) -> bool:
    return place == output or place.startswith(f"{output}[")


def _declared(output: ValueInfoProto) -> tuple[Dim, ...]:
    type_ = tensor_type(output)
    return () if type_ is None or type_.shape is None else type_.shape


def _sightless(results: Sequence[Array]) -> str | None:
    if not any(r.size for r in results):
        return "no element in any trial"
    return (
        None
        if any(has_finite(r) for r in results)
        else "NaN or nothing finite in the original's result of every trial"
    )


@dataclass(slots=True, kw_only=True)
class Reference:
    """Runs the original. What a trial learns about the model serves the next ones."""

    session: Session
    model: ModelProto
    deadline: float | None
    _failed: set[tuple[str, int, bool]] = field(default_factory=set)
    _accepted: dict[tuple[str, int, bool], "_Setting"] = field(default_factory=dict)

    @classmethod
    def open(cls, source: ModelSource, *, model: ModelProto, deadline: float | None) -> "Reference":
        """Load the original. Raises Unverifiable with the runtime's reason, or where it makes up a result."""
        if (made_up := convolved_from_nothing(model)) is not None:
            found = "a convolution without input channels, whose result onnxruntime leaves as memory has it"
            raise Unverifiable(made_up, found=found, expected="a result that the runtime computes")
        session = Session(source, deadline=deadline, at="the original")
        return cls(session=session, model=model, deadline=deadline)

    def given(self, feeds: Sequence[Feeds]) -> list[Trial]:
        """One trial for each of the user's feeds."""
        trials = [
            Trial(number=n, feeds=feed, results=run(self.session, feed, deadline=self.deadline))
            for n, feed in enumerate(feeds)
        ]
        self._refuse_random(trials)
        return trials

    def seeded(self, *, trials: int, seed: int, overridable: Mapping[str, Array]) -> list[Trial]:
        """``trials`` seeded trials, and one more each for what is left open.

        That is one at the smallest spatial sizes the model takes, and one that overrides the initializers in
        ``overridable``.

        Raises Unverifiable, with the runtime's reason, when the model runs at no size.
        """
        done = [self._trial(number, seed=seed + number) for number in range(trials)]
        self._refuse_random(done)
        if done:
            done.extend(self._smallest(number=trials, seed=seed + trials))
        if done and overridable:
            done.extend(self._overriding(done[0], overridable, number=len(done)))
        return done

    def _refuse_random(self, trials: Sequence[Trial]) -> None:
        """Run the first trial again: a model that answers differently cannot be compared."""
        for trial in trials[:1]:
            again = run(self.session, trial.feeds, deadline=self.deadline)
            stable = again.keys() == trial.results.keys() and all(
                same_bits(again[place], result) for place, result in trial.results.items()
            )
            if not stable:
                found = "the original is random: two runs on the same inputs differ"
                raise Unverifiable("the original", found=found, expected="the same results again")

    def _smallest(self, *, number: int, seed: int) -> Iterator[Trial]:
        """A trial at the smallest spatial sizes that the model takes; none where they are fixed."""
        like = next(iter(self._accepted.values()))
        for sizes in smallest(like.shapes, sizes=like.sizes):
            setting = replace(like, sizes=sizes, manner=replace(like.manner, others=()))
            try:
                trial = self._calmed(self._run(setting, number=number, seed=seed), setting)
            except TimedOut:
                raise
            except Unverifiable:
                continue
            inside = types_on(self.model, trial.feeds)
            if inside and not self._lacks(inside):
                yield trial
                return

    def _overriding(self, trial: Trial, overridable: Mapping[str, Array], *, number: int) -> Iterator[Trial]:
        seed = (trial.seed or 0) + number
        moved = [
            (name, perturbed(data, seed=[seed, n])) for n, (name, data) in enumerate(overridable.items())
        ]
        taken = self._taken(trial.feeds, moved)
        results = self._results({**trial.feeds, **taken}) if taken else None
        if results is not None:
            feeds = {**trial.feeds, **taken}
            yield Trial(
                number=number, feeds=feeds, results=results, character="overridden defaults", seed=seed
            )

    def _taken(self, feeds: Feeds, moved: Sequence[tuple[str, Array]]) -> dict[str, Array]:
        """The overrides the model takes: not one that sets a size, say. Found by halving."""
        if not moved or self._results({**feeds, **dict(moved)}) is not None:
            return dict(moved)
        if len(moved) == 1:
            return {}
        half = len(moved) // 2
        return self._taken(feeds, moved[:half]) | self._taken(feeds, moved[half:])

    def _results(self, feeds: Feeds) -> dict[str, Array] | None:
        """What the model returns; None when it refuses."""
        try:
            return run(self.session, feeds, deadline=self.deadline)
        except TimedOut:
            raise
        except Unverifiable:
            return None

    def _trial(self, number: int, *, seed: int) -> Trial:
        """The first setting the model accepts, among those not tried before while there are any."""
        reason: Unverifiable | None = None
        for setting in itertools.islice(self._settings(number), _ATTEMPTS):
            try:
                trial = self._run(setting, number=number, seed=seed)
            except TimedOut:
                raise
            except Unverifiable as error:
                reason = reason or error
                self._failed.add(setting.key)
                continue
            self._accepted[setting.key] = setting
            return self._calmed(trial, setting)
        raise reason or Unverifiable("the original", found="no size left to try", expected="a run")

    def _settings(self, number: int) -> Iterator["_Setting"]:
        """Fresh settings first, then those that worked before; last, fresh ones of poor sizes."""
        poor = []
        for setting in self._fresh(number):
            if self._is_poor(setting):
                poor.append(setting)
            else:
                yield setting
        yield from (
            replace(s, manner=replace(s.manner, character=character_of(number)))
            for s in tuple(self._accepted.values())
        )
        yield from poor

    def _is_poor(self, setting: "_Setting") -> bool:
        """Whether a model that leaves its sizes open makes of these far more than a check needs, or none."""
        if not setting.sizes:
            return False
        shapes = {name: sized(shape, sizes=setting.sizes) for name, shape in setting.shapes.items()}
        feeds = {n: np.broadcast_to(np.empty((), t.dtype.numpy), shapes[n]) for n, t in self._types().items()}
        types = types_on(self.model, feeds)
        inside = {name: type_.size or 0 for name, type_ in types.items()}
        returned = sum(inside.get(output.name, 0) for output in self.model.graph.output)
        is_vast = returned > _MOST_RETURNED or max(inside.values(), default=0) > _MOST_INSIDE
        return is_vast or self._lacks(types)

    def _lacks(self, inside: Mapping[str, TensorType]) -> bool:
        """Whether anything that a model computes from its inputs is empty, when the values inside are these.

        Runtimes differ in what they still accept then. A Concat of onnxruntime's passes over what is empty,
        fit or not, and returns what it happens to find in memory at the places left for it.
        """
        data = computed(self.model)
        return any(name in data and type_.size == 0 for name, type_ in inside.items())

    def _fresh(self, number: int) -> Iterator["_Setting"]:
        known = readers(self.model)
        for shapes in open_shapes(self._types(), readers=known):
            for sizes, manner in itertools.product(
                candidates(shapes, readers=known, trial=number), self._manners(number)
            ):
                setting = _Setting(shapes=shapes, sizes=sizes, manner=manner)
                if setting.key not in self._failed:
                    yield setting

    def _manners(self, number: int) -> list[Manner]:
        """Ranges of integers, largest first; each second trial begins with negative ones, where they work."""
        normal = Manner(character=character_of(number), others=others_of(number))
        if not any(_is_index(t.dtype) for t in self._types().values()):
            return [normal]
        works = min((s.manner.ceiling for s in self._accepted.values()), default=_CEILINGS[0])
        manners = [replace(normal, ceiling=c) for c in _CEILINGS if c <= works]
        refused = any(wide for *_, wide in self._failed)
        odd = number % 2 == 1 and works == _CEILINGS[0] and not refused
        return [replace(normal, wide=True), *manners] if odd else manners

    def _run(self, setting: "_Setting", *, number: int, seed: int) -> Trial:
        feeds = make_feeds(
            self._types(),
            shapes=setting.shapes,
            sizes=setting.sizes,
            seed=seed,
            manner=setting.manner,
            bounds=index_bounds(self.model) if setting.manner.ceiling == _CEILINGS[0] else {},
        )
        results = run(self.session, feeds, deadline=self.deadline)
        return Trial(
            number=number, feeds=feeds, results=results, character=setting.manner.character, seed=seed
        )

    def _calmed(self, trial: Trial, setting: "_Setting") -> Trial:
        """The same trial with feeds on which every result is finite, if the usual remedies find some."""
        remedies = (replace(setting.manner, gain=_CALM), replace(setting.manner, gain=_CALM, positive=True))
        for manner in remedies:
            if all(is_finite(result) for result in trial.results.values()):
                break
            calmer = self._run(replace(setting, manner=manner), number=trial.number, seed=trial.seed or 0)
            if all(is_finite(result) for result in calmer.results.values()):
                return calmer
        return trial

    def _types(self) -> dict[str, TensorType]:
        types = required_inputs(self.model)
        foreign = [name for name, type_ in types.items() if type_ is None]
        if foreign:
            raise Unverifiable(foreign[0], found="an input that is no tensor", expected="feeds of your own")
        for name, type_ in types.items():
            if type_ is not None and (type_.rank or 0) > MOST_AXES:
                raise Unverifiable(
                    name, found=f"an input of {type_.rank} axes", expected=f"at most {MOST_AXES}"
                )
        return {name: type_ for name, type_ in types.items() if type_ is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """What a trial decides before drawing its feeds."""

    shapes: Mapping[str, Shape]
    sizes: Mapping[str, int]
    manner: Manner

    @property
    def key(self) -> tuple[str, int, bool]:
        """What a run's success depends on."""
        ranks = [len(shape or ()) for shape in self.shapes.values()]
        return f"{ranks}{sorted(self.sizes.items())}", self.manner.ceiling, self.manner.wide


def _is_index(dtype: DataType) -> bool:
    return dtype.label.lstrip("u").startswith("int")
