"""Pipelines as data, and how they run.

A Repeat runs its rewrites together until none applies (``convgraph.passes.worklist``). Every application
has a number: ``stop_after=N`` replays a run up to it. The bodies of control flow are graphs of their own,
rewritten where the worklist comes upon their node: what happens there is numbered in the same sequence, and
its place is a path, ``If_3/then_branch/Conv_7``.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from convgraph.analysis.functions import nodes_called
from convgraph.errors import ConvgraphError, PassFailed
from convgraph.ir.collecting import collecting_rarely
from convgraph.ir.graph import Graph
from convgraph.ir.wellformed import check
from convgraph.passes.rewrite import Drop
from convgraph.passes.trace import AnyRewrite, Application, Ledger, Observer, Trace
from convgraph.passes.worklist import PATIENCE, Dispatch, Run

_MOST_CALLED = 1 << 20  # nodes of functions that may be inlined, those of one call each time it is made


class Repeat:
    """Rewrites that run together, earlier ones first at each node, until none applies."""

    def __init__(self, *rewrites: AnyRewrite) -> None:
        self.rewrites = rewrites

    def __repr__(self) -> str:
        return f"Repeat({', '.join(rewrite.name for rewrite in self.rewrites)})"


class Pipeline:
    """Steps in order; each is a Repeat or a single rewrite.

    Raises PassFailed when a rewrite that must come after another stands before it.
    """

    def __init__(self, steps: Iterable[AnyRewrite | Repeat]) -> None:
        self.steps = tuple(step if isinstance(step, Repeat) else Repeat(step) for step in steps)
        self._check_order()

    def __iter__(self) -> Iterator[AnyRewrite]:
        return (rewrite for step in self.steps for rewrite in step.rewrites)

    def only(self, names: Sequence[str]) -> "Pipeline":
        """The same pipeline with nothing but the named rewrites."""
        return self._where(lambda rewrite: rewrite.name in names)

    def without(self, names: Sequence[str]) -> "Pipeline":
        """The same pipeline minus the named rewrites."""
        return self._where(lambda rewrite: rewrite.name not in names)

    @collecting_rarely()
    @np.errstate(all="ignore")  # a rewrite looks at what it computed, and whoever runs it is told nothing
    def run(
        self,
        graph: Graph,
        *,
        stop_after: int | None = None,
        dropped: Sequence[Drop] = (),
        progress: Callable[[Application], None] | None = None,
        observe: Observer | None = None,
    ) -> tuple[Graph, Trace]:
        """Apply the pipeline to a copy of ``graph``; at most ``stop_after`` applications, none ``dropped``.

        ``observe`` is shown each application before it is made, ``progress`` told of it afterwards.

        Raises PassFailed when a rewrite raises or the result is not well-formed, CannotRun where the model
        itself turns out not to run.
        """
        ledger = Ledger(limit=stop_after, dropped=dropped, progress=progress, observe=observe)
        ledger.patience += PATIENCE * min(nodes_called(graph), _MOST_CALLED)
        work = graph.copy()
        work.reserve(list(graph.names()))  # a name goes on meaning the value it meant, even when that is gone
        run = Run(work, ledger=ledger)
        for step in self.steps:
            run.settle(Dispatch(step.rewrites))
        try:
            check(run.graph)
        except ConvgraphError as error:
            raise PassFailed("pipeline", found=str(error), expected="a well-formed result") from error
        return run.graph, run.trace()

    def _where(self, keep: Callable[[AnyRewrite], bool]) -> "Pipeline":
        steps = (Repeat(*filter(keep, step.rewrites)) for step in self.steps)
        return Pipeline(step for step in steps if step.rewrites)

    def _check_order(self) -> None:
        last = {rewrite.name: index for index, step in enumerate(self.steps) for rewrite in step.rewrites}
        for rewrite in self:
            for earlier in rewrite.after:
                if last.get(earlier, -1) > last[rewrite.name]:
                    raise PassFailed(rewrite.name, found=f"before {earlier}", expected=f"after {earlier}")
