"""Which rewrites run: a level's pipeline, narrowed or extended by name, with the options of this run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from importlib.metadata import entry_points
from typing import Literal

from convgraph.analysis.target import Target
from convgraph.compiler.lacking import lowering
from convgraph.errors import UnsupportedOp
from convgraph.passes import ALL, CLEAN, EXACT, AnyRewrite, Pipeline, Repeat

Level = Literal["clean", "exact"]
PassList = Sequence[str | AnyRewrite | Repeat]

ENTRY_POINTS = "convgraph.passes"
NONE = "none"

LEVELS: dict[Level, tuple[AnyRewrite | Repeat, ...]] = {"clean": CLEAN, "exact": EXACT}


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
    """The pipeline of a run.

    ``passes`` None is the whole pipeline of the level, as far as the target can judge it. Names narrow it,
    keeping its order, and add what it lacks at the end; ``("none",)`` is empty. Rewrites and Repeats among
    them make a pipeline of exactly those entries, in that order. ``options`` go to the rewrites with fields
    of these names (``size_limit``, ``runtime``, ``target``), unless they were given values of their own.
    Rewrites that spell the operators ``without`` with others run together at the end. Raises UnsupportedOp
    for a name no rewrite, or no operator, has.
    """
    known = available()
    _check_names((name for name in (*(passes or ()), *skip) if isinstance(name, str)), known)
    if passes is None:
        chosen = Pipeline(LEVELS[level]).without(_undecided(options.get("target")))
    elif all(isinstance(entry, str) for entry in passes):
        chosen = _named([str(entry) for entry in passes if entry != NONE], level=level, known=known)
    else:
        listed = (known[entry] if isinstance(entry, str) else entry for entry in passes if entry != NONE)
        chosen = Pipeline(listed)
    lowered = Repeat(*lowering(without, known.values()))
    return _configured(Pipeline((*chosen.steps, lowered)).without(skip), options)


def _undecided(target: object) -> list[str]:
    """The rewrites that wait for a target that judges; by name they can be asked for all the same."""
    judges = not isinstance(target, Target) or target.judges
    return [] if judges else [rewrite.name for rewrite in ALL if rewrite.needs_a_judge]


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
