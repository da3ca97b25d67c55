"""The worklist that runs rewrites together until none applies.

Nodes wait in the worklist; an application puts back what it touched and the neighbours, and a last full round
makes sure that nothing was missed, so the work grows with the number of nodes and of applications, not with
their product. What does not pay by itself is then looked at again with what it makes possible
(``convgraph.passes.search``).
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from convgraph.analysis.census import node_name
from convgraph.analysis.infer import assumed_sizes
from convgraph.errors import CannotRun, ConvgraphError, PassFailed
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Constant, Op
from convgraph.passes.account import Account
from convgraph.passes.bodies import OpenBody, bodies_of, close, look, opened
from convgraph.passes.rewrite import PRICE, PricedRewrite, Refusal
from convgraph.passes.search import Search, Step
from convgraph.passes.trace import AnyRewrite, Application, Ledger, Occasion, Trace

_FEW = 64
PATIENCE = 50  # applications for each node
_TRIES = 8  # to rewrite a body, each without what the one before ran into
_CAN_RUN = "what_follows_can_run"
_STAYS = "what_was_measured_to_be_faster_stays"
_MEASURED = "What was made here because it was measured to be faster is not undone."
_CANNOT_RUN = "What reads the result in this body can run on what is then known of it."


class Run:
    """One run over one graph or body: the worklist, and what was refused; ``path`` leads to the body.

    ``plays`` is for a run over a region, to see what comes of something: it takes what pays as it comes, and
    leaves bodies alone.
    """

    def __init__(self, graph: Graph, *, ledger: Ledger, path: str = "", plays: bool = False) -> None:
        self.graph = graph
        self.path = path
        self._plays = plays
        self._ledger = ledger
        self._sizes = assumed_sizes(graph)
        self._refusals: dict[int, dict[str, Refusal]] = {}
        self._inner: dict[tuple[int, str], Run] = {}
        self._seen: dict[int, tuple[object, ...]] = {}
        self._illegal: set[tuple[int, str]] = set()
        self._made: dict[str, set[int]] = {}  # by rewrites that another one undoes
        self._rested: Sequence[AnyRewrite] = ()
        self._calm: _Calm | None = None
        ledger.patience += PATIENCE * len(graph)

    def settle(self, dispatch: "Dispatch") -> None:
        """Run the rewrites to their joint fixpoint."""
        search = None if self._plays else self._search(dispatch)
        self._calm = _Calm(others=dispatch.beside(self._rested))
        changed = True
        while changed and not self._ledger.stopped:
            changed = self._work(self.graph.nodes(), dispatch, search)
            if not changed and search is not None:
                changed = self._look_ahead(dispatch, search)
            self._calm = None
        self._rested = () if changed else dispatch.rewrites

    def go_on(self, graph: Graph, path: str) -> None:
        """Take up the body again, as it now is and where it now is."""
        self.graph, self.path, self._rested = graph, path, ()

    def trace(self) -> Trace:
        """The record so far; refusals of nodes that are gone are dropped."""
        refusals = dict.fromkeys((*self._standing(), *self._ledger.left_out))
        return Trace(applications=tuple(self._ledger.applications), refusals=tuple(refusals))

    def _standing(self) -> Iterator[Refusal]:
        for node, told in self._refusals.items():
            yield from told.values() if node in self.graph else ()
        for (node, _), run in self._inner.items():
            yield from run.trace().refusals if node in self.graph else ()

    def _work(self, nodes: Iterable[int], dispatch: "Dispatch", search: Search | None) -> bool:
        """Visit nodes, and what then is touched, until nothing is left; whether anything applied."""
        queue = deque(nodes)
        waiting = set(queue)
        done = len(self._ledger.applications)
        while queue and not self._ledger.stopped:
            node = queue.popleft()
            waiting.discard(node)
            if node not in self.graph or not dispatch.concerns(self.graph.op(node)):
                continue
            touched = self._visit(node, dispatch, search)
            fresh = [n for n in self._stir(touched) if n not in waiting]
            queue.extend(fresh)
            waiting.update(fresh)
        return len(self._ledger.applications) > done

    def _visit(self, node: int, dispatch: "Dispatch", search: Search | None) -> Iterable[int]:
        """Try the rewrites that may start here; returns the nodes that the first one to apply touched."""
        refused = self._refusals.get(node, {})
        for rewrite in self._to_try(node, dispatch).at(self.graph.op(node)):
            if refused:
                refused.pop(rewrite.name, None)
            match = rewrite.find(self.graph, node)
            if match is None:
                continue
            step = Step(rewrite, node, match)
            refusal = self._refusal(step, search)
            if refusal is None:
                return self._carry_out([step] if search is None else search.best(self.graph, step), search)
            refused = self._refusals.setdefault(node, refused)
            refused[rewrite.name] = refusal
        return () if self._plays else self._look_inside(node, dispatch)

    def _to_try(self, node: int, dispatch: "Dispatch") -> "Dispatch":
        return dispatch if self._calm is None or node in self._calm.stirred else self._calm.others

    def _refusal(self, step: Step, search: Search | None) -> Refusal | None:
        at = self._name(step.node)
        if search is None:
            refusal = step.rewrite.refusal(self.graph, step.match, at=at)
        else:
            refusal = search.refusal(self.graph, step, at=at)
        return refusal or self._drop(step, at=at)

    def _search(self, dispatch: "Dispatch") -> Search:
        def play(part: Graph, first: Step) -> Sequence[Step]:
            steps: list[Step] = []
            ledger = Ledger(
                limit=None,
                dropped=self._ledger.dropped,
                progress=None,
                observe=lambda made: steps.append(Step(made.rewrite, made.node, made.match)),
            )
            run = Run(part, ledger=ledger, path=self.path, plays=True)
            run._carry_out([first], None)
            run.settle(dispatch)
            return steps

        def allows(step: Step) -> bool:
            return self._drop(step, at=self._name(step.node)) is None

        return Search(rewrites_at=dispatch.at, play=play, allows=allows)

    def _look_ahead(self, dispatch: "Dispatch", search: Search) -> bool:
        """Apply what pays only together with what it makes possible; whether there was any."""
        names = {rewrite.name: rewrite for rewrite in dispatch.rewrites}
        dear = {
            n: [r.rewrite for r in told.values() if r.requirement == PRICE and r.rewrite in names]
            for n, told in self._refusals.items()
        }
        done = len(self._ledger.applications)
        for node in self.graph.nodes():
            for name in dear.get(node, ()):
                step = Step(names[name], node, None).again(self.graph)
                if step is None or self._ledger.stopped:
                    continue
                if steps := search.ahead(self.graph, step):
                    touched = self._carry_out(steps, search)
                    self._work(self._stir(touched), dispatch, search)
        return len(self._ledger.applications) > done

    def _carry_out(self, steps: Sequence[Step], search: Search | None) -> Iterable[int]:
        """Apply steps, as long as those with a price are found again; returns the nodes touched."""
        touched: dict[int, None] = {}
        for index, step in enumerate(steps):
            found = step if index == 0 else step.again(self.graph)
            at = "" if found is None else self._name(found.node)
            if found is None or self._ledger.stopped or self._drop(found, at=at):
                if not step.is_priced:
                    continue
                if search is not None:
                    search.give_up(steps[0])
                break
            touched.update(dict.fromkeys(self._apply(found, at=at)))
        return touched

    def _drop(self, step: Step, *, at: str) -> Refusal | None:
        """Why a step is not made that nothing in the graph speaks against; None where it may be."""
        rewrite, node = step.rewrite, step.node
        if (node, rewrite.name) in self._illegal:
            return Refusal(rewrite=rewrite.name, at=at, requirement=_CAN_RUN, reason=_CANNOT_RUN)
        if isinstance(rewrite, PricedRewrite) and self._is_settled(rewrite, node):
            return Refusal(rewrite=rewrite.name, at=at, requirement=_STAYS, reason=_MEASURED)
        return self._ledger.drop(rewrite.name, at)

    def _is_settled(self, rewrite: PricedRewrite[Any], node: int) -> bool:
        """Whether a measurement was for what made this node, and against what the rewrite would do to it."""
        return rewrite.judge.stopwatch is not None and node in self._made.get(rewrite.opposite, ())

    def _look_inside(self, node: int, dispatch: "Dispatch") -> Iterable[int]:
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

    def _rewritten(self, node: int, name: str, dispatch: "Dispatch") -> OpenBody:
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

    def _inside(self, node: int, body: OpenBody) -> "Run":
        """The run over a body, which goes on where it was when the body was closed."""
        path = f"{self._name(node)}/{body.name}/"
        if (node, body.name) not in self._inner:
            self._inner[node, body.name] = Run(body.graph, ledger=self._ledger, path=path)
        run = self._inner[node, body.name]
        run.go_on(body.graph, path)
        return run

    def _apply(self, step: Step, *, at: str) -> Iterable[int]:
        rewrite, node, match = step.rewrite, step.node, step.match
        index = len(self._ledger.applications) + 1
        self._ledger.announce(
            Occasion(index=index, rewrite=rewrite, graph=self.graph, node=node, match=match, at=at)
        )
        newest = self.graph.next_order
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
        if isinstance(rewrite, PricedRewrite) and rewrite.opposite:
            self._made.setdefault(rewrite.name, set()).update(n for n in edit.touched if n >= newest)
        self._ledger.enter(Application(index=index, rewrite=rewrite.name, at=at, **account.closed()))
        return edit.touched

    def _stir(self, touched: Iterable[int]) -> dict[int, None]:
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
        if self._calm is not None:
            self._calm.stirred.update(near)
        return near

    def _name(self, node: int) -> str:
        return self.path + node_name(self.graph, node)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Calm:
    """A first round after some rewrites came to rest: only ``others`` are tried, but where it ``stirred``.

    Elsewhere they would find what they found and be refused as they were.
    """

    others: "Dispatch"
    stirred: set[int] = field(default_factory=set)


def _few(neighbours: Iterable[int]) -> Iterable[int]:
    """The neighbours, unless they are half the graph: going to those each time would multiply the work.

    What that leaves out, the next full round visits.
    """
    few = list(islice(neighbours, _FEW + 1))
    return few if len(few) <= _FEW else ()


class Dispatch:
    """Which rewrites may start at which operation, in pipeline order."""

    def __init__(self, rewrites: Sequence[AnyRewrite]) -> None:
        self.rewrites = rewrites
        self._by_class: dict[type[Op], tuple[AnyRewrite, ...]] = {}
        self._inside: Dispatch | None = None

    @property
    def inside(self) -> "Dispatch":
        """The same for bodies: approximations are chosen by outputs, at nodes of the graph itself."""
        if self._inside is None:
            exact = [rewrite for rewrite in self.rewrites if rewrite.exact]
            self._inside = self if len(exact) == len(self.rewrites) else Dispatch(exact)
        return self._inside

    def beside(self, rewrites: Sequence[AnyRewrite]) -> "Dispatch":
        """The same without some rewrites."""
        those = set(map(id, rewrites))
        return Dispatch([r for r in self.rewrites if id(r) not in those]) if those else self

    def concerns(self, op: Op) -> bool:
        """Whether anything may start at such an operation or inside it."""
        return bool(self.at(op) or bodies_of(op))

    def at(self, op: Op) -> tuple[AnyRewrite, ...]:
        """The rewrites that may start at such an operation."""
        kind = type(op)
        if kind not in self._by_class:
            self._by_class[kind] = tuple(r for r in self.rewrites if issubclass(kind, r.roots))
        return self._by_class[kind]
