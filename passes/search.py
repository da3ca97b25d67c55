"""Which priced rewrite applies where several match, and which ones pay only in company.

The worklist applies what pays as it comes upon it. Two things it does not see by itself:

* *Contention.* Two rewrites that would pay want the same nodes, and the one that is come upon first need not
  be the better one. So before a priced rewrite applies, those that would replace a node of the same region
  are sought at its nodes and beside them; each, whether or not it would pay by itself, is played out on a
  region around all of them: applied, with all that the worklist then does there. The cheapest outcome wins;
  by less than the target's margin none does, and the first that was found stays. So it does where more than
  ``CROWD`` nodes are at stake: crowds contend in wide fans, where to play each would multiply the work.
* *Lookahead.* What does not pay by itself may make possible what does. When the worklist is at rest, each
  rewrite that only its price spoke against is played out likewise. If the outcome is a gain, all that the
  play applied is applied to the graph: a region keeps the numbers of its nodes, and new ones are given out as
  in the graph, so that the same rewrites at the same nodes are found there. Before, the whole sequence is
  rehearsed on a larger region, where every step that has a price has to apply again and the whole has to pay.

What has to save a set part of the price is left out of both unless it does.

A play is a run of the worklist on a copy of at most ``MOST`` nodes, without any lookahead of its own. Every
application or bundle of them lowers the target's price of its region by the target's margin, and what was
played in vain is not played again before something in its region has changed, nor, after ``ENOUGH`` times, in
a region that is alike but for the numbers in its weights: so a run comes to rest, and one over a network of
many equal blocks soon. What it costs grows with the number of rewrites that match without paying and of those
that contend, each a play of a bounded region: thousandths of seconds for small weights, more where a
rehearsal computes large ones.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from convgraph.analysis.target import Prices, Target
from convgraph.errors import CannotRun
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Op
from convgraph.passes.rewrite import PRICE, PricedRewrite, Refusal, Rewrite, surroundings

HOPS, MOST = 3, 48  # how far a play sees beyond what is replaced: in steps, and in nodes in all
CROWD = 16  # nodes that contending rewrites replace in all, where they are played out
ENOUGH = 4  # plays in vain of one rewrite in places alike: blocks come again and again
_WIDER = 2  # steps beyond a play, for the rehearsal of what it found


@dataclass(frozen=True, slots=True)
class Step:
    """A rewrite that matches at a node."""

    rewrite: Rewrite[Any]
    node: int
    match: Any

    def again(self, graph: Graph) -> "Step | None":
        """The same rewrite where the graph has changed; None where more than its price speaks against it.

        Or its price, where it has to pay alone: a play may have seen a part only of what it replaces.
        """
        node = self.rewrite.root(graph, self.node)
        match = self.rewrite.find(graph, node) if node in graph else None
        if match is None:
            return None
        step = Step(self.rewrite, node, match)
        but = "" if _has_to_pay_alone(step) else PRICE
        return step if self.rewrite.refusal(graph, match, at="", but=but) is None else None

    @property
    def is_priced(self) -> bool:
        """Whether a price decides it; what only tidies up behind others the worklist comes upon by itself."""
        return isinstance(self.rewrite, PricedRewrite)

    def replaced(self, graph: Graph) -> set[int]:
        """The nodes that a priced rewrite would replace."""
        assert isinstance(self.rewrite, PricedRewrite)
        return set(self.rewrite.replaces(graph, self.match))


Play = Callable[[Graph, Step], Sequence[Step]]
"""Applies a step to a region and then whatever applies; returns all steps. Raises CannotRun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What a play did, and the prices of the region before and after."""

    steps: tuple[Step, ...]
    before: Prices
    after: Prices


class Search:
    """The search over one graph. ``allows`` says whether a step may be made at all."""

    def __init__(
        self,
        *,
        rewrites_at: Callable[[Op], Iterable[Rewrite[Any]]],
        play: Play,
        allows: Callable[[Step], bool],
    ) -> None:
        self._rewrites_at, self._play, self._allows = rewrites_at, play, allows
        self._in_vain: dict[tuple[str, int], object] = {}
        self._refusals: dict[tuple[str, int], tuple[object, Refusal]] = {}
        self._too_dear_alike: dict[object, Refusal | None] = {}
        self._given_up: set[str] = set()
        self._alike: Counter[object] = Counter()
        self._priced: dict[type[Op], tuple[PricedRewrite[Any], ...]] = {}

    def refusal(self, graph: Graph, step: Step, *, at: str) -> Refusal | None:
        """Why a step may not be made, or None; a price is asked again only where something has changed."""
        rewrite = step.rewrite
        refused = rewrite.refusal(graph, step.match, at=at, but=PRICE)
        if refused is not None or not isinstance(rewrite, PricedRewrite):
            return refused
        near = surroundings(graph, step.replaced(graph), steps=rewrite.judge.around)
        seen = look(graph, near, which=False)
        known = self._refusals.get((rewrite.name, step.node))
        if known is not None and known[0] == seen:
            return replace(known[1], at=at)
        refused = self._too_dear(graph, step, near, at=at)
        if refused is not None:
            self._refusals[rewrite.name, step.node] = seen, refused
        return refused

    def _too_dear(self, graph: Graph, step: Step, near: set[int], *, at: str) -> Refusal | None:
        """What its price says against a step, rehearsed once for places alike where weights do not matter."""
        assert isinstance(step.rewrite, PricedRewrite)
        if step.rewrite.reads_weights:
            return step.rewrite.too_dear(graph, step.match, at=at)
        place = (step.rewrite.name, *structure(graph, near, root=step.node))
        if place not in self._too_dear_alike:
            self._too_dear_alike[place] = step.rewrite.too_dear(graph, step.match, at=at)
        refused = self._too_dear_alike[place]
        return refused and replace(refused, at=at)

    def best(self, graph: Graph, step: Step) -> Sequence[Step]:
        """What to do where a step pays: itself, or the best of what contends with it for its nodes."""
        rivals = list(self._rivals(graph, step))
        wanted = {node for one in (step, *rivals) for node in one.replaced(graph)} if rivals else set()
        if not rivals or len(wanted) > CROWD:
            return (step,)
        contest = (*(one.rewrite.name for one in (step, *rivals)), *structure(graph, wanted, root=step.node))
        if self._alike[contest] >= ENOUGH:
            return (step,)
        judge = _judge(step)
        nodes = surroundings(graph, wanted, steps=HOPS, most=MOST)
        first = best = self._played(graph, step, nodes)
        for rival in rivals:
            outcome = self._played(graph, rival, nodes)
            if best is not None and outcome is not None and _is_gain(judge, outcome.after, best.after):
                best = outcome
        if best is None or best is first:
            self._alike[contest] += 1
            return (step,)
        winner = best.steps[0]
        if winner.rewrite.refusal(graph, winner.match, at="") is None:
            return (winner,)
        return best.steps if self._pays(graph, best, nodes) else (step,)

    def ahead(self, graph: Graph, step: Step) -> Sequence[Step]:
        """The steps that begin with one that does not pay and that pay together; none when there are none."""
        if step.rewrite.name in self._given_up or _has_to_pay_alone(step) or not self._allows(step):
            return ()
        nodes = surroundings(graph, step.replaced(graph), steps=HOPS, most=MOST)
        seen, key = look(graph, nodes), (step.rewrite.name, step.node)
        if self._in_vain.get(key) == seen:
            return ()
        self._in_vain[key] = seen
        place = (step.rewrite.name, *structure(graph, nodes, root=step.node))
        if self._alike[place] >= ENOUGH:
            return ()
        outcome = self._played(graph, step, nodes)
        if outcome is not None and self._pays(graph, outcome, nodes):
            return outcome.steps
        self._alike[place] += 1
        return ()

    def give_up(self, step: Step) -> None:
        """Look no further ahead from this rewrite: what was to follow it could not be carried out."""
        self._given_up.add(step.rewrite.name)

    def _rivals(self, graph: Graph, step: Step) -> Iterator[Step]:
        """The other priced rewrites that only their price may speak against and that replace a same node.

        None where very many are replaced, or the same ones by the same rewrite, found at another node; nor
        where another target judges: prices are compared.
        """
        wanted = step.replaced(graph) if isinstance(step.rewrite, PricedRewrite) else set()
        if len(wanted) > CROWD:
            return
        for node in sorted(surroundings(graph, wanted, steps=1), key=lambda n: (graph.info(n).order, n)):
            for rewrite in self._priced_at(graph.op(node)):
                itself = node == step.node and rewrite == step.rewrite
                if itself or rewrite.judge.name != _judge(step).name:
                    continue
                rival = Step(rewrite, node, None).again(graph)
                if rival is None or not self._allows(rival):
                    continue
                same = rewrite == step.rewrite and rival.replaced(graph) == wanted
                if wanted & rival.replaced(graph) and not same:
                    yield rival

    def _priced_at(self, op: Op) -> tuple[PricedRewrite[Any], ...]:
        kind = type(op)
        if kind not in self._priced:
            self._priced[kind] = tuple(r for r in self._rewrites_at(op) if isinstance(r, PricedRewrite))
        return self._priced[kind]

    def _played(self, graph: Graph, step: Step, nodes: set[int]) -> _Outcome | None:
        part = graph.region(nodes)
        before = _judge(step).prices(part)
        try:
            steps = self._play(part, step)
        except CannotRun:
            return None
        return _Outcome(steps=tuple(steps), before=before, after=_judge(step).prices(part))

    def _pays(self, graph: Graph, outcome: _Outcome, nodes: set[int]) -> bool:
        """Whether an outcome is a gain, also in the graph around it, where all of it has to apply again."""
        judge = _judge(outcome.steps[0])
        if not _is_gain(judge, outcome.after, outcome.before):
            return False
        part = graph.region(surroundings(graph, nodes, steps=_WIDER))
        before = judge.prices(part)
        for step in outcome.steps:
            found = step.again(part)
            if found is None and step.is_priced:
                return False
            if found is None:
                continue
            edit = Edit(part, near=found.node)
            found.rewrite.apply(edit, found.match)
            edit.sweep()
        return _is_gain(judge, judge.prices(part), before)


def look(graph: Graph, nodes: Iterable[int], *, which: bool = True) -> object:
    """All that rewrites see at these nodes: equal where none of it has changed.

    Not ``which`` of equal small constants is read, where that makes no difference.
    """

    def read(value: Value | None) -> object:
        kind = value and graph.type(value)
        if which or kind is None or kind.known is None or graph.constant(value) is None:
            return value, kind
        return kind, kind.known

    seen = []
    for node in sorted(nodes):
        given = list(map(read, graph.operands(node)))
        made = [(graph.type(v), graph.readers(v), graph.is_output(v)) for v in graph.results(node)]
        seen.append((node, given, made))
    return seen


def structure(graph: Graph, nodes: Iterable[int], *, root: int) -> tuple[object, ...]:
    """These nodes as seen from one of them: equal for others that differ in the numbers of weights alone."""
    places = {node: place for place, node in enumerate(sorted(nodes))}

    def read(value: Value | None) -> object:
        if value is None or value.node in places:
            return value and (places[value.node], value.output)
        return graph.constant(value) is not None, graph.type(value), graph.type(value).known

    def made(value: Value) -> object:
        inside = sorted((places[use.node], use.slot) for use in graph.readers(value) if use.node in places)
        return graph.type(value), *inside, len(graph.readers(value)), graph.is_output(value)

    return places[root], *(
        (graph.op(node), *map(read, graph.operands(node)), *map(made, graph.results(node))) for node in places
    )


def _has_to_pay_alone(step: Step) -> bool:
    """Whether a prediction for what the rewrite makes is worth too little to play it out with others."""
    return isinstance(step.rewrite, PricedRewrite) and step.rewrite.margin(step.match) > 0


def _judge(step: Step) -> Target:
    assert isinstance(step.rewrite, PricedRewrite)
    return step.rewrite.judge


def _is_gain(judge: Target, after: Prices, before: Prices) -> bool:
    old, new = judge.change(after, before=before)
    return judge.prefers(new, before=old)
