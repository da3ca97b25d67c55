"""In whatever order rewrites that run together are listed, the result is right and nothing is left to do.

Where the order does matter a pipeline has steps, and rewrites name those that come ``after`` which.
"""

from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from fuzz.networks import Subject, faults, ways
from laws.draw import Draw
from laws.tables import tables_of

from convgraph.errors import PassFailed
from convgraph.ir.graph import Graph
from convgraph.passes import (
    ALGEBRA,
    CLEAN,
    CLEANUP,
    EXACT,
    FOLDING,
    FUSION,
    SETTLING,
    AnyRewrite,
    Pipeline,
    Repeat,
)

SUBJECTS = (6, 26, 38, 48, 51, 58)  # in which five rewrites or more apply

NOT_LOST = {
    "drop-unread-values",
    "propagate-stride",
}  # what is unread goes with what it reads; done once more


def shuffled(pipeline: Pipeline, *, seed: int) -> Pipeline:
    """The same steps, the rewrites of each in another order."""
    rng = np.random.default_rng(seed)
    orders = ((step, rng.permutation(len(step.rewrites))) for step in pipeline.steps)
    return Pipeline(Repeat(*(step.rewrites[place] for place in order)) for step, order in orders)


@pytest.mark.parametrize("seed", SUBJECTS)
def test_no_order_within_a_step_gives_something_wrong_or_unfinished(seed: int) -> None:
    way, pipeline = next(ways())
    subject, counts = Subject(seed), Counter[str]()
    for number in range(3):
        other = shuffled(pipeline, seed=10 * seed + number)
        assert not list(faults(subject, way, other, run=False, counts=counts)), number
    assert counts


@pytest.mark.parametrize("steps", [CLEAN, EXACT], ids=["clean", "exact"])
def test_a_step_listed_before_what_it_builds_on_is_refused(steps: tuple[Repeat, ...]) -> None:
    *earlier, last = Pipeline(steps).steps
    with pytest.raises(PassFailed, match=r": before .*; after "):
        Pipeline([last, *earlier])


@cache
def examples(rewrite: AnyRewrite) -> list[Graph]:
    """What a rewrite is for."""
    return [build(Draw(dyadic=True)) for build in tables_of(rewrite).EXAMPLES.values()]


def prevents(late: AnyRewrite, early: AnyRewrite, graph: Graph) -> bool:
    """Whether there is nothing left to do for one rewrite where the other one was before it."""
    started = (isinstance(graph.op(node), late.roots) for node in graph.nodes())
    if not any(started):
        return False
    before, trace = Pipeline([late]).run(graph)
    return bool(trace.applications) and not Pipeline([early]).run(before)[1].applications


@pytest.mark.parametrize("late", [*FUSION, *SETTLING], ids=lambda rewrite: rewrite.name)
def test_a_rewrite_of_a_late_step_comes_after_all_that_it_would_prevent(late: AnyRewrite) -> None:
    """As the examples of each tell."""
    prevented = set[str]()
    for early in (*CLEANUP, *FOLDING, *ALGEBRA):
        chosen = replace(early, **getattr(tables_of(early), "OPTIONS", {}))
        if any(prevents(late, chosen, graph) for graph in examples(early)):
            prevented.add(early.name)
    assert prevented - NOT_LOST <= set(late.after)
