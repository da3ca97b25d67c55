"""Which application of a rewrite is at fault when a result is not the same function, found by bisection.

The run is replayed up to applications in between, and each stage compared with the original, on no more
inputs than show the fault. So the first application is found after which the results are others: the stage
before it was seen to be right, that after it to be wrong, whatever comes between or later. It is cut out and
dropped, and the run made anew without it; a rewrite found at fault again and again is dropped altogether.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

from convgraph.compiler.comparison import Comparison
from convgraph.compiler.excerpt import excerpts
from convgraph.compiler.proof import Refuted
from convgraph.compiler.upgrade import upgraded
from convgraph.exporters.onnx_model import ready
from convgraph.ir.graph import Graph
from convgraph.numerics.compare import Disagreement, Verification
from convgraph.passes import Application, Drop, Pipeline

MOST = 10
"""Culprits after which a run is given up."""

ENOUGH = 3
"""Culprits of one rewrite after which it is dropped everywhere."""

_TIMES = 30.0  # as long as a verdict takes: some bisections
_MINUTE = 60.0  # seconds, which no search is denied


@dataclass(frozen=True, slots=True, kw_only=True)
class Culprit:
    """An application after which the model computed something else; it was dropped.

    ``index`` is its number in the run in which it was found: for the first culprit, what ``stop_after``
    counts. ``disagreement`` says where the results differ. ``before`` and ``after`` are the part that it
    changed as models of their own, and ``files`` where these were written.
    """

    rewrite: str
    at: str
    index: int
    disagreement: Disagreement
    before: Graph
    after: Graph
    files: tuple[str, str] | None = None

    def __str__(self) -> str:
        return f"{self.rewrite} at {self.at} (application {self.index}): {self.disagreement}"


def drops(culprits: Iterable[tuple[str, str]]) -> tuple[Drop, ...]:
    """What a run must do without that found these culprits, each a rewrite and the place."""
    places = tuple(culprits)
    found = Counter(rewrite for rewrite, _ in places)
    everywhere = (Drop(rewrite) for rewrite, count in found.items() if count >= ENOUGH)
    return (*everywhere, *(Drop(rewrite, at) for rewrite, at in places))


class _GivenUp(Exception):
    """The time allowed is over."""


@dataclass(slots=True, kw_only=True)
class CulpritSearch:
    """The search for what is at fault in the runs of a pipeline on a graph, and what it found so far."""

    graph: Graph
    pipeline: Pipeline
    comparison: Comparison
    culprits: list[Culprit] = field(default_factory=list)
    _patience: float | None = None

    @property
    def dropped(self) -> tuple[Drop, ...]:
        """What the next run must do without."""
        return drops((culprit.rewrite, culprit.at) for culprit in self.culprits)

    def find(self, *, applications: int, verified_in: float) -> bool:
        """Find one more culprit among the applications of a run that was made without the ``dropped``.

        ``verified_in`` is how many seconds the verdict on it took. False where there is none: the fault is
        not in the pipeline, or there are too many, or no time is left: all searches together may take as long
        as the comparison may, or else so many times as long as it took.
        """
        if len(self.culprits) == MOST:
            return False
        if self._patience is None:
            self._patience = self.comparison.timeout or max(_MINUTE, _TIMES * verified_in)
        start = time.monotonic()
        try:
            culprit = self._found(applications, until=start + self._patience)
        except _GivenUp:
            culprit = None
        self._patience -= time.monotonic() - start
        if culprit is not None:
            self.culprits.append(culprit)
        return culprit is not None

    def blame(self, refuted: Sequence[Refuted]) -> bool:
        """Take applications that a proof found to be wrong for culprits. False where there are too many."""
        found = [
            Culprit(
                rewrite=one.rewrite,
                at=one.at,
                index=one.index,
                disagreement=one.disagreement,
                before=one.before,
                after=one.after,
            )
            for one in refuted[: MOST - len(self.culprits)]
        ]
        self.culprits += found
        return bool(found)

    def _found(self, applications: int, *, until: float) -> Culprit | None:
        for comparison in _from_few(self.comparison):
            verdict = self._verdict(applications, comparison, until=until)
            if verdict.status == "different":
                return self._bisected(applications, verdict, comparison, until=until)
        return None

    def _bisected(
        self, wrong: int, verdict: Verification, comparison: Comparison, *, until: float
    ) -> Culprit | None:
        """The application that makes a right stage wrong; None where the very first is wrong already."""
        right = -1
        while wrong - right > 1:
            middle = (right + wrong) // 2
            told = self._verdict(middle, comparison, until=until)
            if told.status == "different":
                wrong, verdict = middle, told
            else:
                right = middle
        return None if wrong == 0 else self._described(wrong, verdict)

    def _described(self, number: int, verdict: Verification) -> Culprit:
        before, _ = self._stage(number - 1)
        after, application = self._stage(number)
        assert application is not None
        old, new = excerpts(before, after)
        return Culprit(
            rewrite=application.rewrite,
            at=application.at,
            index=number,
            disagreement=verdict.disagreement or Disagreement("models", verdict.reason, "the same function"),
            before=self._as_stated(old),
            after=self._as_stated(new),
        )

    def _stage(self, number: int) -> tuple[Graph, Application | None]:
        """The graph after so many applications, and the last of them."""
        graph, trace = self.pipeline.run(self.graph, stop_after=number, dropped=self.dropped)
        return graph, trace.applications[-1] if trace.applications else None

    def _as_stated(self, graph: Graph) -> Graph:
        """The graph with all its operators from the opset that it states: a rewrite may have asked for it."""
        return upgraded(graph, graph.model.opset, since=self.graph.model.opset)

    def _verdict(self, number: int, comparison: Comparison, *, until: float) -> Verification:
        """How the model compares after so many applications. Raises _GivenUp when the time is over."""
        left = until - time.monotonic()
        if left > 0:
            graph, _ = self._stage(number)
            with closing(ready(self._as_stated(graph), place=None)) as stage:
                verdict = replace(comparison, timeout=left).equal(stage.opened)
            if time.monotonic() < until:
                return verdict
        raise _GivenUp


def _from_few(comparison: Comparison) -> Iterator[Comparison]:
    """The comparison on one trial, on two, on four, and so on up to all of them."""
    feeds = comparison.feeds
    whole, few = comparison.trials if feeds is None else len(feeds), 1
    while few < whole:
        yield replace(comparison, trials=few, feeds=None if feeds is None else feeds[:few])
        few *= 2
    yield comparison
