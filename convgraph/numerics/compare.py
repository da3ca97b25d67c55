"""Are two models the same function? Both run in onnxruntime; the original, unoptimised, is the reference.

The rewritten model runs twice: node by node as written, and as deployed, with every optimisation of the
runtime. Where only the deployed run disagrees, and the original disagrees with itself there too, the fault is
the runtime's and is named as such.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from onnx import ModelProto

from convgraph.numerics.check import Check
from convgraph.numerics.feeds import Feeds, check_feeds
from convgraph.numerics.limits import Limits
from convgraph.numerics.pair import Pair
from convgraph.numerics.power import Suspects, measured_power
from convgraph.numerics.reference import Trial
from convgraph.numerics.regions import SLACK, Compare, available_memory, verified_in_regions
from convgraph.numerics.session import ModelSource, Unverifiable, runtime_name
from convgraph.numerics.structure import read, required_inputs, weight_bytes
from convgraph.numerics.truth import Meaning
from convgraph.numerics.verdict import Different, Disagreement, OutputComparison, Status, Verification

__all__ = ["Disagreement", "OutputComparison", "Status", "Verification", "verify_models"]


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
    names_are_kept: bool = False,
    memory: int | None = None,
    meaning: Meaning | None = None,
    suspects: Suspects | None = None,
) -> Verification:
    """Whether ``after`` computes what ``before`` does, in onnxruntime on the CPU.

    ``lengths`` are the accumulated roundings of each output (``tolerance.accumulated_length``), read off the
    models when None. ``rtol`` and ``atol`` replace the derived tolerance by ``atol + rtol * largest
    |reference|``. ``feeds`` replace the seeded trials. ``timeout`` is in seconds, for everything. With
    ``names_are_kept``, a value that has the same name in both is to be the same one: those that a changed
    operation makes are compared, too, and where its weights take more than ``memory`` bytes (what there is,
    when None), only the changed regions are, one at a time, on seeded trials of their own. ``meaning``
    computes a model in float64, to settle a close call. ``suspects`` are where an equal ``after`` is given
    faults, to measure what is seen. Raises InvalidModel for feeds that do not fit and for what is no model.
    """
    verdict = Verification(status="unverified", reference=f"{runtime_name()}, optimisations off")
    models = Pair(before=before, after=after, old=read(before), new=read(after))
    if feeds is not None:
        known = {i.name for i in models.old.graph.input}
        check_feeds(feeds, types=required_inputs(models.old), known=known)
    start = time.monotonic()
    deadline = None if timeout is None else start + timeout
    if names_are_kept and not _fits(models.old, memory):
        alone = partial(_outputs, trials=trials, seed=seed, rtol=rtol, atol=atol, deadline=deadline)
        return _in_regions(models, replace(verdict, trials=trials), compare=alone)
    counted = models.lengths() if lengths is None else lengths
    limits = Limits(model=models.old, lengths=counted, rtol=rtol, atol=atol)
    check = Check(
        models=models,
        limits=limits,
        seed=seed,
        deadline=deadline,
        names_are_kept=names_are_kept,
        meaning=meaning,
    )
    try:
        done = check.reference_trials(trials, feeds)
        verdict = _on(verdict, done)
        check.compare(done)
        verdict = replace(verdict, status="equal", reason="; ".join(check.notes))
        if suspects is not None:
            verdict = _tested(verdict, check, done, suspects, seconds=time.monotonic() - start)
    except (Unverifiable, MemoryError) as error:
        verdict = replace(verdict, reason=str(error) or "not enough memory")
    except Different as error:
        found = error.disagreement
        verdict = replace(verdict, status="different", reason=str(found), disagreement=found)
    return replace(verdict, outputs=check.outputs, boundaries=check.boundaries)


def _fits(model: ModelProto, memory: int | None) -> bool:
    room = available_memory() if memory is None else memory
    return room is None or weight_bytes(model) <= room


def _outputs(
    region: Pair, *, trials: int, seed: int, rtol: float | None, atol: float | None, deadline: float | None
) -> Sequence[OutputComparison]:
    """The outputs of a region of both, compared. Raises Different."""
    limits = Limits(model=region.old, lengths=region.lengths(), rtol=rtol, atol=atol)
    check = Check(models=region, limits=limits, seed=seed, deadline=deadline, slack=SLACK)
    check.compare(check.reference_trials(trials, None))
    return check.outputs


def _in_regions(models: Pair, verdict: Verification, *, compare: Compare) -> Verification:
    """The verdict where the models are too large to be run."""
    try:
        return verified_in_regions(models, verdict=verdict, compare=compare)
    except (Unverifiable, MemoryError) as error:
        return replace(verdict, trials=0, reason=str(error) or "not enough memory")
    except Different as error:
        found = error.disagreement
        return replace(verdict, status="different", reason=str(found), disagreement=found)


def _tested(
    verdict: Verification, check: Check, trials: Sequence[Trial], suspects: Suspects, *, seconds: float
) -> Verification:
    """The verdict with what the check sees, resting on the trials that showed more, too."""
    power, further = measured_power(check, trials, suspects, seconds=seconds)
    return replace(_on(verdict, [*trials, *further]), power=power)


def _on(verdict: Verification, trials: Sequence[Trial]) -> Verification:
    """The verdict, resting on these trials."""
    seeds = tuple(trial.seed for trial in trials if trial.seed is not None)
    return replace(verdict, trials=len(trials), seeds=seeds)
