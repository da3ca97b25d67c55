"""Pipelines as data, the worklist that runs them, and the Trace of what they did and refused.

A Repeat runs its rewrites together until none applies. Nodes wait in a worklist; an application puts back
what it touched and the neighbours, and a last full round makes sure that nothing was missed, so the work
grows with the number of nodes and of applications, not with their product. Every application has a number:
``stop_after=N`` replays a run up to it. The bodies of control flow are graphs of their own, rewritten where
the worklist comes upon their node: what happens there is numbered in the same sequence, and its place is a
path, ``If_3/then_branch/Conv_7``.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from convgraph.analysis.census import node_name
from convgraph.analysis.cost import Cost
from convgraph.analysis.functions import nodes_called
from convgraph.analysis.infer import assumed_sizes
from convgraph.errors import CannotRun, ConvgraphError, PassFailed
from convgraph.ir.collecting import collecting_rarely
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Constant, Op
from convgraph.ir.wellformed import check
from convgraph.passes.account import Account
from convgraph.passes.bodies import OpenBody, bodies_of, close, look, opened
from convgraph.passes.rewrite import Drop, Refusal, Rewrite

AnyRewrite = Rewrite[Any]

_FEW = 64
_PATIENCE = 50  # applications for each node
_MOST_CALLED = 1 << 20  # nodes of functions that may be inlined, those of one call each time it is made
_TRIES = 8  # to rewrite a body, each without what the one before ran into
_CAN_RUN = "what_follows_can_run"
_CANNOT_RUN = "What reads the result in this body can run on what is then known of it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One rewrite applied once. ``before`` and ``after`` are the costs of the nodes it removed and added.

    ``took`` are the names of those it removed, ``made`` of those it added, constants aside.
    """

    index: int
    rewrite: str
    at: str
    before: Cost
    after: Cost
    took: tuple[str, ...] = ()
    made: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What a run did, in order, and what matched but was refused in the end, and why."""

    applications: tuple[Application, ...] = ()
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """An application about to be made: its number, and the graph that it will change, as it still is."""

    index: int
    rewrite: AnyRewrite
    graph: Graph
    node: int
    match: Any
    at: str


Observer = Callable[[Occasion], None]


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
        ledger = _Ledger(limit=stop_after, dropped=dropped, progress=progress, observe=observe)
        ledger.patience += _PATIENCE * min(nodes_called(graph), _MOST_CALLED)
        work = graph.copy()
        work.reserve(list(graph.names()))  # a name goes on meaning the value it meant, even when that is gone
        run = _Run(work, ledger=ledger)
        for step in self.steps:
            run.settle(_Dispatch(step.rewrites))
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


@dataclass(slots=True, kw_only=True)
class _Ledger:
    """What the runs over a graph and over the bodies in it share: numbering, limits and record."""

    limit: int | None
    dropped: Sequence[Drop]
    progress: Callable[[Application], None] | None
    observe: Observer | None
    patience: int = 100
    applications: list[Application] = field(default_factory=list)
    left_out: dict[Refusal, None] = field(default_factory=dict)

    @property
    def stopped(self) -> bool:
        """Whether as many applications were made as were asked for."""
        return self.limit is not None and len(self.applications) >= self.limit

    def drop(self, rewrite: str, at: str) -> Refusal | None:
        """The refusal of an application not to be made; it is told of whatever becomes of the node."""
        told = (drop.refusal(rewrite, at) for drop in self.dropped)
        refusal = next(filter(None, told), None)
        if refusal is not None:
            self.left_out[refusal] = None
        return refusal

    def announce(self, occasion: Occasion) -> None:
        """Show an application that is about to be made. Raises PassFailed when there are too many."""
        if occasion.index > self.patience:
            found, expected = f"{occasion.index} applications", "a run that comes to rest"
            raise PassFailed(f"{occasion.rewrite.name} at {occasion.at}", found=found, expected=expected)
        if self.observe is not None:
            self.observe(occasion)

    def enter(self, application: Application) -> None:
        """Record an application."""
        self.applications.append(application)
        if self.progress is not None:
            self.progress(application)


class _Run:
    """One run over one graph or body: the worklist, and what was refused; ``path`` leads to the body."""

    def __init__(self, graph: Graph, *, ledger: _Ledger, path: str = "") -> None:
        self.graph = graph
        self.path = path
        self._ledger = ledger
        self._sizes = assumed_sizes(graph)
        self._refusals: dict[int, dict[str, Refusal]] = {}
        self._inner: dict[tuple[int, str], _Run] = {}
        self._seen: dict[int, tuple[object, ...]] = {}
        self._illegal: set[tuple[int, str]] = set()
        ledger.patience += _PATIENCE * len(graph)

    def settle(self, dispatch: "_Dispatch") -> None:
        """Run the rewrites to their joint fixpoint."""
        changed = True
        while changed and not self._ledger.stopped:
            changed = self._round(dispatch)

    def trace(self) -> Trace:
        """The record so far; refusals of nodes that are gone are dropped."""
        refusals = dict.fromkeys((*self._standing(), *self._ledger.left_out))
        return Trace(applications=tuple(self._ledger.applications), refusals=tuple(refusals))

    def _standing(self) -> Iterator[Refusal]:
        for node, told in self._refusals.items():
            yield from told.values() if node in self.graph else ()
        for (node, _), run in self._inner.items():
            yield from run.trace().refusals if node in self.graph else ()

    def _round(self, dispatch: "_Dispatch") -> bool:
        queue = deque(self.graph.nodes())
        waiting = set(queue)
        done = len(self._ledger.applications)
        while queue and not self._ledger.stopped:
            node = queue.popleft()
            waiting.discard(node)
            if node not in self.graph or not dispatch.concerns(self.graph.op(node)):
                continue
            touched = self._visit(node, dispatch)
            fresh = [n for n in self._neighbourhood(touched) if n not in waiting]
            queue.extend(fresh)
            waiting.update(fresh)
        return len(self._ledger.applications) > done

    def _visit(self, node: int, dispatch: "_Dispatch") -> Iterable[int]:
        """Try the rewrites that may start here; returns the nodes that the first one to apply touched."""
        refused = self._refusals.get(node, {})
        for rewrite in dispatch.at(self.graph.op(node)):
            if refused:
                refused.pop(rewrite.name, None)
            match = rewrite.find(self.graph, node)
            if match is None:
                continue
            at = self._name(node)
            refusal = rewrite.refusal(self.graph, match, at=at) or self._drop(rewrite.name, node, at=at)
            if refusal is None:
                return self._apply(rewrite, match, node=node, at=at)
            refused = self._refusals.setdefault(node, refused)
            refused[rewrite.name] = refusal
        return self._look_inside(node, dispatch)

    def _drop(self, rewrite: str, node: int, *, at: str) -> Refusal | None:
        if (node, rewrite) in self._illegal:
            return Refusal(rewrite=rewrite, at=at, requirement=_CAN_RUN, reason=_CANNOT_RUN)
        return self._ledger.drop(rewrite, at)

    def _look_inside(self, node: int, dispatch: "_Dispatch") -> Iterable[int]:
        """Rewrite the bodies of a node, if it has any and they are new; returns the nodes touched around."""
        if not bodies_of(self.graph.op(node)) or self._seen.get(node) == (dispatch, *look(self.graph, node)):
            return ()
        done = len(self._ledger.applications)
        names = bodies_of(self.graph.op(node))
        bodies = [self._rewritten(node, name, dispatch.inside) for name in names]
        edit = Edit(self.graph, near=node)
        if len(self._ledger.applications) > done:
            close(edit, node, bodies)
        self._seen[node] = (dispatch, *look(self.graph, node))
        return edit.touched

    def _rewritten(self, node: int, name: str, dispatch: "_Dispatch") -> OpenBody:
        """A body of a node, rewritten without what turns out not to run: it may be one that never does."""
        done = len(self._ledger.applications)
        for _ in range(_TRIES):
            body = opened(self.graph, node, name)
            run = self._inside(node, body)
            try:
                run.settle(dispatch)
            except CannotRun:
                del self._ledger.applications[done:]
                continue
            return body
        return opened(self.graph, node, name)

    def _inside(self, node: int, body: OpenBody) -> "_Run":
        """The run over a body, which goes on where it was when the body was closed."""
        path = f"{self._name(node)}/{body.name}/"
        if (node, body.name) not in self._inner:
            self._inner[node, body.name] = _Run(body.graph, ledger=self._ledger, path=path)
        run = self._inner[node, body.name]
        run.graph, run.path = body.graph, path
        return run

    def _apply(self, rewrite: AnyRewrite, match: object, *, node: int, at: str) -> Iterable[int]:
        index = len(self._ledger.applications) + 1
        self._ledger.announce(
            Occasion(index=index, rewrite=rewrite, graph=self.graph, node=node, match=match, at=at)
        )
        account = Account(self.graph, near=node, sizes=self._sizes, path=self.path)
        edit = account.edit
        try:
            rewrite.apply(edit, match)
            edit.sweep()
        except CannotRun:
            self._illegal.add((node, rewrite.name))
            raise
        except ConvgraphError as error:
            raise PassFailed(f"{rewrite.name} at {at}", found=str(error), expected="an edit") from error
        self._ledger.enter(Application(index=index, rewrite=rewrite.name, at=at, **account.closed()))
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
            near.update(dict.fromkeys(_few(self.graph.nx.predecessors(node))))
            for reader in _few(self.graph.nx.successors(node)):
                near[reader] = None
                near.update(dict.fromkeys(_few(self.graph.nx.successors(reader))))
        return near

    def _name(self, node: int) -> str:
        return self.path + node_name(self.graph, node)


def _few(neighbours: Iterable[int]) -> Iterable[int]:
    """The neighbours, unless they are half the graph: going to those each time would multiply the work.

    What that leaves out, the next full round visits.
    """
    few = list(islice(neighbours, _FEW + 1))
    return few if len(few) <= _FEW else ()


class _Dispatch:
    """Which rewrites may start at which operation, in pipeline order."""

    def __init__(self, rewrites: Sequence[AnyRewrite]) -> None:
        self._rewrites = rewrites
        self._by_class: dict[type[Op], tuple[AnyRewrite, ...]] = {}
        self._inside: _Dispatch | None = None

    @property
    def inside(self) -> "_Dispatch":
        """The same for bodies: approximations are chosen by outputs, at nodes of the graph itself."""
        if self._inside is None:
            exact = [rewrite for rewrite in self._rewrites if rewrite.exact]
            self._inside = self if len(exact) == len(self._rewrites) else _Dispatch(exact)
        return self._inside

    def concerns(self, op: Op) -> bool:
        """Whether anything may start at such an operation or inside it."""
        return bool(self.at(op) or bodies_of(op))

    def at(self, op: Op) -> tuple[AnyRewrite, ...]:
        """The rewrites that may start at such an operation."""
        kind = type(op)
        if kind not in self._by_class:
            self._by_class[kind] = tuple(r for r in self._rewrites if issubclass(kind, r.roots))
        return self._by_class[kind]
