"""What two models compute inside, at the boundaries of what was changed, compared as their outputs are.

Both are run once more, as written, with those values as further outputs: so many at a time that they fit
into a set amount of memory, and no more than a few times.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, groupby

from onnx import ModelProto

from convgraph.ir.tensor import Array, TensorType
from convgraph.numerics.boundaries import Side, boundaries
from convgraph.numerics.declared import Declared
from convgraph.numerics.deviation import is_finite
from convgraph.numerics.judge import Judge, Judged, first_disagreement
from convgraph.numerics.limits import Limits
from convgraph.numerics.noise import MANY_RUNS, RUNS
from convgraph.numerics.pair import Pair
from convgraph.numerics.placed import exposed, folder_of, measuring
from convgraph.numerics.reference import Trial
from convgraph.numerics.session import ModelSource, Session, Spent, Unverifiable
from convgraph.numerics.shapes import types_on
from convgraph.numerics.structure import model_lengths, read, weight_bytes
from convgraph.numerics.tolerance import is_exact
from convgraph.numerics.truth import Meaning
from convgraph.numerics.verdict import Disagreement

ROOM = 128 << 20  # bytes of values that one run returns
_RUNS = 4  # of each model; where they do not suffice, some of the values are left out
_SLACK = 2.0  # a fault is many times larger here; what is looked at has many more parts to be unlucky in
_HEAVY = 256 << 20  # bytes of weights, to move all of which takes longer than the comparison


@dataclass(slots=True, kw_only=True)
class Inside:
    """The original run on one trial, and what it computed at the boundaries.

    ``portions`` are the values by run, of ``total`` there are.
    """

    before: ModelSource
    trial: Trial
    portions: Sequence[tuple[str, ...]]
    total: int
    limits: Limits
    seed: int
    deadline: float | None
    meaning: Meaning | None = None
    declared: Declared = field(default_factory=Declared)
    _known: dict[tuple[str, ...], Judge] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        pair: Pair,
        trial: Trial,
        *,
        limits: Limits,
        seed: int,
        deadline: float | None,
        names: Sequence[str] | None = None,
        meaning: Meaning | None = None,
    ) -> "Inside":
        """The boundaries of what is different in two models, or ``names``; ``limits`` are the outputs'."""
        if names is None:
            names = boundaries(Side(pair.old, folder_of(pair.before)), Side(pair.new, folder_of(pair.after)))
        types = [types_on(model, trial.feeds) for model in (pair.old, pair.new)]
        floats = [name for name in names if name in types[0] and not is_exact(types[0][name].dtype)]
        sized = _sized({name: types[0][name] for name in floats}, pair.before, trial, deadline=deadline)
        return cls(
            before=pair.before,
            trial=trial,
            portions=in_portions(sized),
            total=len(floats),
            limits=_limits(pair, floats, types=types, like=limits),
            seed=seed,
            deadline=deadline,
            meaning=meaning,
            declared=pair.declared(),
        )

    def judged(self, source: ModelSource, *, model: ModelProto) -> Iterator[Judged]:
        """The values of another model, also given as read, judged one after the other.

        What the original's own noise drowns is passed over. Raises Unverifiable when one does not run.
        """
        made = {name for node in model.graph.node for name in node.output}
        for portion in self.portions:
            judge = self._judge(portion)
            (trial,) = judge.trials
            names = [name for name in trial.results if name in made]
            got = self._run(source, names, at="the rewritten model")
            for name in names:
                try:
                    found = judge.one(trial, name, got[name])
                except Spent:
                    raise
                except Unverifiable:
                    continue
                yield _inside(found)

    def disagreement(self, source: ModelSource) -> Disagreement | None:
        """The first value of another model that is not the original's."""
        return first_disagreement(self.judged(source, model=read(source)))

    def _judge(self, portion: tuple[str, ...]) -> Judge:
        """What the original computes, where that is finite throughout; kept for the next model."""
        if portion not in self._known:
            results = self._run(self.before, portion, at="the original")
            telling = {name: result for name, result in results.items() if is_finite(result)}
            self._known.clear()  # the values of two portions are more than there may be room for
            self._known[portion] = Judge(
                model=exposed(self.before, telling),
                limits=self.limits,
                seed=self.seed,
                deadline=self.deadline,
                trials=[replace(self.trial, results=telling)],
                runs=(RUNS, MANY_RUNS),
                slack=_SLACK,
                meaning=self.meaning,
                declared=self.declared,
            )
        return self._known[portion]

    def _run(self, model: ModelSource, names: Sequence[str], *, at: str) -> dict[str, Array]:
        session = Session(exposed(model, names), deadline=self.deadline, at=at)
        return session.run(self.trial.feeds, outputs=names, deadline=self.deadline)


def _inside(judged: Judged) -> Judged:
    """Said of a value that no caller sees."""
    if judged.disagreement is None:
        return judged
    at = f"value {judged.place} (inside)"
    return judged._replace(disagreement=judged.disagreement._replace(at=at))


def _limits(
    pair: Pair, names: Sequence[str], *, types: Sequence[Mapping[str, TensorType]], like: Limits
) -> Limits:
    """The limits of some values, with those of the outputs for a model."""
    old, new = (
        model_lengths(model, types=known, names=names)
        for model, known in zip((pair.old, pair.new), types, strict=True)
    )
    return replace(
        like,
        lengths={name: max(old[name], new[name]) for name in names},
        coarse=weight_bytes(pair.old) > _HEAVY,
        singles=model_lengths(pair.old, combine=max, types=types[0], names=names),
    )


def _sized(
    types: Mapping[str, TensorType], source: ModelSource, trial: Trial, *, deadline: float | None
) -> dict[str, TensorType]:
    """The types on this trial; what inference left open is measured by a run that returns shapes alone."""
    left = [name for name, type_ in types.items() if type_.nbytes is None]
    if not left:
        return dict(types)
    model, shapes = measuring(source, left)
    session = Session(model, deadline=deadline, at="the original")
    found = session.run(trial.feeds, outputs=list(shapes.values()), deadline=deadline)
    sizes = {name: tuple(int(size) for size in found[shape]) for name, shape in shapes.items()}
    measured = {name: TensorType(types[name].dtype, shape=shape) for name, shape in sizes.items()}
    return {**types, **measured}


def in_portions(types: Mapping[str, TensorType], *, room: int = ROOM) -> list[tuple[str, ...]]:
    """The names of some values, in portions of about so many bytes.

    Some are left out, evenly, where they are too many for a few runs, and each that alone is too large.
    """
    sizes = {name: size for name, type_ in types.items() if (size := type_.nbytes or 0) <= room}
    step = max(1, math.ceil(sum(sizes.values()) / (room * _RUNS)))
    taken = [name for number, name in enumerate(sizes) if number % step == 0]
    ends = accumulate(sizes[name] for name in taken)
    numbered = groupby(zip(taken, ends, strict=True), key=lambda pair: pair[1] // room)
    return [tuple(name for name, _ in portion) for _, portion in numbered]
