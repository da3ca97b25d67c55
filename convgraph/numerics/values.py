"""Values inside two models compared one by one, so that the first that differs can be told."""

import time
from collections.abc import Mapping, Sequence

from onnx import ModelProto

from convgraph.numerics.check import Check
from convgraph.numerics.feeds import Feeds
from convgraph.numerics.inside import Inside
from convgraph.numerics.judge import Judge, Judged, first_disagreement
from convgraph.numerics.limits import Limits
from convgraph.numerics.pair import Pair
from convgraph.numerics.placed import renamed
from convgraph.numerics.reference import Trial, run
from convgraph.numerics.session import ModelSource, Session
from convgraph.numerics.structure import read
from convgraph.numerics.verdict import Different


def compared_values(
    before: ModelSource,
    after: ModelSource,
    *,
    names: Mapping[str, str],
    trials: int = 3,
    seed: int = 0,
    rtol: float | None = None,
    atol: float | None = None,
    feeds: Sequence[Feeds] | None = None,
    timeout: float | None = None,
) -> list[Judged]:
    """The values ``names`` of ``before``, each with its name in ``after``, and the outputs: one by one.

    They are those of the first trial in which any differs, or else of the last; values of exact types, and
    some where they are too many, are left out. Models that a caller could not exchange differ in that alone.
    The other parameters are those of ``verify_models``. Raises Unverifiable where the models do not run.
    """
    old = read(before)
    inside = _computed(old, names, read(after))
    alike = renamed(after, inside)
    pair = Pair(before=before, after=alike, old=old, new=read(alike))
    deadline = None if timeout is None else time.monotonic() + timeout
    limits = Limits(model=pair.old, lengths=pair.lengths(), rtol=rtol, atol=atol)
    check = Check(models=pair, limits=limits, seed=seed, deadline=deadline)
    found: list[Judged] = []
    try:
        for trial in check.reference_trials(trials, feeds):
            values = Inside.of(pair, trial, limits=limits, seed=seed, deadline=deadline, names=list(inside))
            found = [*values.judged(alike, model=pair.new), *_outputs(check, trial)]
            if first_disagreement(found) is not None:
                break
    except Different as error:
        return [Judged(error.disagreement.at, None, error.disagreement)]
    return found


def _computed(old: ModelProto, names: Mapping[str, str], new: ModelProto) -> dict[str, str]:
    """The names that nodes of the models give their results: what a reader made of a node has none there."""
    ours, theirs = ({name for node in model.graph.node for name in node.output} for model in (old, new))
    return {name: other for name, other in names.items() if name in ours and other in theirs}


def _outputs(check: Check, trial: Trial) -> list[Judged]:
    session = Session(check.models.after, deadline=check.deadline, at="the other model")
    judge = Judge(
        model=check.models.before,
        limits=check.limits,
        seed=check.seed,
        deadline=check.deadline,
        trials=[trial],
    )
    return list(judge.all(trial, run(session, trial.feeds, deadline=check.deadline)))
