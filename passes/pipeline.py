"""Pipelines as data, the worklist that runs them, and the Trace of what they did and refused.

A Repeat runs its rewrites together until none applies. Nodes wait in a worklist; an application puts back
what it touched and the neighbours, and a last full round makes sure that nothing was missed, so the work
grows with the number of nodes and of applications, not with their product. Every application has a number:
``stop_after=N`` replays a run up to it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from convgraph.analysis.cost import NOTHING, Cost, node_cost
from convgraph.analysis.infer import assumed_sizes
from convgraph.errors import CannotRun, ConvgraphError, PassFailed
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Constant, Op
from convgraph.ir.wellformed import check
from convgraph.passes.rewrite import Refusal, Rewrite

AnyRewrite = Rewrite[Any]

_FEW = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One rewrite applied once. ``before`` and ``after`` are the costs of the nodes it removed and added."""

    index: int
    rewrite: str
    at: str
    before: Cost
    after: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What a run did, in order, and what matched but was refused in the end, and why."""

    applications: tuple[Application, ...] = ()
    refusals: tuple[Refusal, ...] = ()


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

    def run(
        self,
        graph: Graph,
        *,
        stop_after: int | None = None,
        progress: Callable[[Application], None] | None = None,
    ) -> tuple[Graph, Trace]:
        """Apply the pipeline to a copy of ``graph``; at most ``stop_after`` applications.

        Raises PassFailed when a rewrite raises or the result is not well-formed, CannotRun where the model
        itself turns out not to run.
        """
        run = _Run(graph.copy(), stop_after=stop_after, progress=progress)
        for step in self.steps:
            run.repeat(step.rewrites)
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


class _Run:
    """One run over one graph: the worklist, the numbering and the record."""

    def __init__(
        self, graph: Graph, *, stop_after: int | None, progress: Callable[[Application], None] | None
    ) -> None:
        self.graph = graph
        self._sizes = assumed_sizes(graph)
        self._limit = stop_after
        self._patience = 100 + 50 * len(graph)
        self._progress = progress
        self._applications: list[Application] = []
        self._refusals: dict[int, dict[str, Refusal]] = {}

    @property
    def _stopped(self) -> bool:
        return self._limit is not None and len(self._applications) >= self._limit

    def repeat(self, rewrites: Sequence[AnyRewrite]) -> None:
        """Run rewrites to their joint fixpoint."""
        dispatch = _Dispatch(rewrites)
        changed = True
        while changed and not self._stopped:
            changed = self._round(dispatch)

    def trace(self) -> Trace:
        """The record so far; refusals of nodes that are gone are dropped."""
        current = (told.values() for node, told in self._refusals.items() if node in self.graph)
        return Trace(applications=tuple(self._applications), refusals=tuple(chain.from_iterable(current)))

    def _round(self, dispatch: "_Dispatch") -> bool:
        queue = deque(self.graph.nodes())
        waiting = set(queue)
        done = len(self._applications)
        while queue and not self._stopped:
            node = queue.popleft()
            waiting.discard(node)
            if node not in self.graph:
                continue
            touched = self._visit(node, dispatch)
            fresh = [n for n in self._neighbourhood(touched) if n not in waiting]
            queue.extend(fresh)
            waiting.update(fresh)
        return len(self._applications) > done

    def _visit(self, node: int, dispatch: "_Dispatch") -> Iterable[int]:
        """Try the rewrites that may start here; returns the nodes that the first one to apply touched."""
        refused = self._refusals.get(node, {})
        for rewrite in dispatch.at(self.graph.op(node)):
            refused.pop(rewrite.name, None)
            match = rewrite.find(self.graph, node)
            if match is None:
                continue
            at = self._name(node)
            refusal = rewrite.refusal(self.graph, match, at=at)
            if refusal is None:
                return self._apply(rewrite, match, node=node, at=at)
            refused = self._refusals.setdefault(node, refused)
            refused[rewrite.name] = refusal
        return ()

    def _apply(self, rewrite: AnyRewrite, match: object, *, node: int, at: str) -> Iterable[int]:
        start = self.graph.next_order
        before = NOTHING

        def account(erased: int) -> None:
            nonlocal before
            before += node_cost(self.graph, erased, sizes=self._sizes)

        edit = Edit(self.graph, near=node, on_erase=account)
        try:
            rewrite.apply(edit, match)
            edit.sweep()
        except CannotRun:
            raise
        except ConvgraphError as error:
            raise PassFailed(f"{rewrite.name} at {at}", found=str(error), expected="an edit") from error
        added = range(start, self.graph.next_order)
        costs = (node_cost(self.graph, n, sizes=self._sizes) for n in added if n in self.graph)
        after = sum(costs, NOTHING)
        index = len(self._applications) + 1
        if index > self._patience:
            raise PassFailed(
                f"{rewrite.name} at {at}", found=f"{index} applications", expected="a run that comes to rest"
            )
        record = Application(index=index, rewrite=rewrite.name, at=at, before=before, after=after)
        self._applications.append(record)
        if self._progress is not None:
            self._progress(record)
        return edit.touched

    def _neighbourhood(self, touched: Iterable[int]) -> dict[int, None]:
        """Where matches may have arisen: touched nodes, their producers, readers, and readers' readers."""
        near: dict[int, None] = {}
        for node in touched:
            if node not in self.graph:
                continue
            near[node] = None
            if isinstance(self.graph.op(node), Constant):
                continue  # a constant may have readers everywhere; who now reads it was touched too
            near.update(dict.fromkeys(_few(self.graph.nx.pred[node])))
            for reader in _few(self.graph.nx.succ[node]):
                near[reader] = None
                near.update(dict.fromkeys(_few(self.graph.nx.succ[reader])))
        return near

    def _name(self, node: int) -> str:
        names = (self.graph.value_name(value) for value in self.graph.results(node))
        return self.graph.info(node).name or next((n for n in names if n), f"#{node}")


def _few(neighbours: Mapping[int, object]) -> Iterable[int]:
    """The neighbours, unless they are half the graph: going to those each time would multiply the work.

    What that leaves out, the next full round visits.
    """
    return neighbours if len(neighbours) <= _FEW else ()


class _Dispatch:
    """Which rewrites may start at which operation, in pipeline order."""

    def __init__(self, rewrites: Sequence[AnyRewrite]) -> None:
        self._rewrites = rewrites
        self._by_class: dict[type[Op], tuple[AnyRewrite, ...]] = {}

    def at(self, op: Op) -> tuple[AnyRewrite, ...]:
        kind = type(op)
        if kind not in self._by_class:
            self._by_class[kind] = tuple(r for r in self._rewrites if issubclass(kind, r.roots))
        return self._by_class[kind]
