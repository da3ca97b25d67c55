"""Which rewrites run: a level's pipeline, narrowed or extended by name, with the options of this run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from importlib.metadata import entry_points
from typing import Any, Literal

from convgraph.compiler.lacking import lowering
from convgraph.errors import UnsupportedOp
from convgraph.passes import ALL, APPROXIMATE, CLEAN, EXACT, AnyRewrite, Pipeline, Repeat
from convgraph.passes.approximate.approximation import Approximation

Level = Literal["clean", "exact", "tune"]
PassList = Sequence[str | AnyRewrite | Repeat]

ENTRY_POINTS = "convgraph.passes"
NONE = "none"

LEVELS: dict[Level, tuple[AnyRewrite | Repeat, ...]] = {"clean": CLEAN, "exact": EXACT, "tune": EXACT}


def available() -> dict[str, AnyRewrite]:
    """Every rewrite by name: convgraph's own, then those that installed packages add."""
    added = (entry.load()() for entry in entry_points(group=ENTRY_POINTS))
    return {rewrite.name: rewrite for rewrite in (*ALL, *added)}


def select(
    *,
    level: Level,
    passes: PassList | None,
    skip: Sequence[str],
    options: Mapping[str, object],
    without: Sequence[str] = (),
) -> Pipeline:
    """The pipeline of a run, without approximations: those are for ``approximations``.

    ``passes`` None is the whole pipeline of the level. Names narrow it, keeping its order, and add what it
    lacks at the end; ``("none",)`` is empty. Rewrites and Repeats among
    them make a pipeline of exactly those entries, in that order. ``options`` go to the rewrites with fields
    of these names (``size_limit``, ``runtime``, ``target``), unless they were given values of their own.
    Rewrites that spell the operators ``without`` with others run together after all, and then the pipeline
    once more on what they made; rewrites that would make such an operator are left out. Raises UnsupportedOp
    for a name no rewrite, or no operator, has.
    """
    known = available()
    _check_names((name for name in (*(passes or ()), *skip) if isinstance(name, str)), known)
    if passes is None:
        chosen = Pipeline(LEVELS[level])
    elif all(isinstance(entry, str) for entry in passes):
        exact = [str(entry) for entry in passes if entry != NONE and known[str(entry)].exact]
        chosen = _named(exact, level=level, known=known)
    else:
        whole = Pipeline(_listed(passes, known))
        chosen = whole.without([rewrite.name for rewrite in whole if not rewrite.exact])
    chosen = chosen.without([r.name for r in chosen if any(op.__name__ in without for op in r.makes)])
    if lowered := lowering(without, known.values()):
        chosen = Pipeline((*chosen.steps, Repeat(*lowered), *chosen.steps))
    return _configured(chosen.without(skip), options)


def approximations(
    *,
    passes: PassList | None,
    skip: Sequence[str],
    options: Mapping[str, object],
    budget: float | None,
) -> tuple[Approximation[Any], ...]:
    """The approximations of a run, to be chosen from within the error budget.

    ``passes`` None stands for all that save multiplications, a list for those in it. Raises UnsupportedOp for
    an approximation that is asked for without a budget, and for any other rewrite that is not exact.
    """
    if budget is not None and not budget > 0:
        raise UnsupportedOp("max_error", found=f"{budget}", expected="an error above 0, such as 0.01")
    known = available()
    if passes is None:
        chosen = [rewrite for rewrite in APPROXIMATE if not getattr(rewrite, "on_request", False)]
    else:
        chosen = [rewrite for rewrite in Pipeline(_listed(passes, known)) if not rewrite.exact]
        _check_inexact(chosen, budget=budget)
    if budget is None:
        return ()
    kept = (_given(rewrite, options) for rewrite in chosen if rewrite.name not in skip)
    return tuple(rewrite for rewrite in kept if isinstance(rewrite, Approximation))


def _listed(passes: PassList, known: Mapping[str, AnyRewrite]) -> list[AnyRewrite | Repeat]:
    return [known[entry] if isinstance(entry, str) else entry for entry in passes if entry != NONE]


def _check_inexact(rewrites: Iterable[AnyRewrite], *, budget: float | None) -> None:
    for rewrite in rewrites:
        if not isinstance(rewrite, Approximation):
            found = "a rewrite that is not exact"
            raise UnsupportedOp(rewrite.name, found=found, expected="an exact one or an Approximation")
        if budget is None:
            found = "an approximation without an error budget"
            expected = "--allow-approximate --max-error E, or max_error=E"
            raise UnsupportedOp(rewrite.name, found=found, expected=expected)


def _named(names: Sequence[str], *, level: Level, known: dict[str, AnyRewrite]) -> Pipeline:
    kept = Pipeline(LEVELS[level]).only(names)
    present = {rewrite.name for rewrite in kept}
    return Pipeline((*kept.steps, *(known[name] for name in names if name not in present)))


def _configured(pipeline: Pipeline, options: Mapping[str, object]) -> Pipeline:
    return Pipeline(Repeat(*(_given(r, options) for r in step.rewrites)) for step in pipeline.steps)


def _given(rewrite: AnyRewrite, options: Mapping[str, object]) -> AnyRewrite:
    """The rewrite with the options of the run in those of its fields that were left at their default."""
    open_fields = (f.name for f in fields(rewrite) if getattr(rewrite, f.name) == f.default)
    return replace(rewrite, **{name: options[name] for name in open_fields if name in options})


def _check_names(names: Iterable[str], known: dict[str, AnyRewrite]) -> None:
    for name in names:
        if name not in known and name != NONE:
            raise UnsupportedOp(name, found="no rewrite of this name", expected=f"one of {', '.join(known)}")
