"""What a rewrite is: a shape to find, requirements that say when it is right, and the algebra to apply.

``find`` looks at the shape of the subgraph only and returns a frozen dataclass that names the roles. Each
method marked ``@requirement`` is a fact that must hold, checked in the order they are written; the first
line of its docstring is the reason a user reads when it does not. ``apply`` may then assume all of them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Generic, TypeVar

from convgraph.analysis.at_load import weights_made_at_load
from convgraph.analysis.target import GenericTarget, Price, Target
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Constant, Input, Op

Match = TypeVar("Match")
Measure = Callable[[Graph], Any]
_Fact = TypeVar("_Fact", bound=Callable[..., bool])

SAME_RESULTS = "the_results_stay_the_same"
"""The requirement that only running the model can check."""
PRICE = "it_is_cheaper_on_the_target"
"""The requirement that asks the target."""
NOISE = 0.01  # of a measured time: less is no gain
_FEW = 64  # readers of one value that lie beside it
_CULPRIT = "The model's results stay the same; the comparison of this run found that here they did not."


def requirement(fact: _Fact) -> _Fact:
    """Mark a method ``(self, graph, match) -> bool`` as a fact that must hold before ``apply``."""
    if not fact.__doc__:
        raise TypeError(f"requirement {fact.__name__}: no docstring; the reason users see when it fails")
    fact.__dict__["is_requirement"] = True
    return fact


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One fact a rewrite needs: its name, the reason in words, and the check."""

    name: str
    reason: str
    holds: Callable[..., bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a rewrite that matched at a node was not applied there."""

    rewrite: str
    at: str
    requirement: str
    reason: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Applications not to make: those of ``rewrite`` at the node called ``at``; None: anywhere."""

    rewrite: str
    at: str | None = None

    def refusal(self, rewrite: str, at: str) -> Refusal | None:
        """The refusal of an application that is one of them; None for another one."""
        if rewrite != self.rewrite or self.at not in (None, at):
            return None
        return Refusal(rewrite=rewrite, at=at, requirement=SAME_RESULTS, reason=_CULPRIT)


def op_count(graph: Graph) -> int:
    """Measure: how many operations compute something."""
    return sum(1 for _ in graph.compute_nodes())


def target_cost(graph: Graph) -> Any:
    """Measure: what the graph costs on the generic target, MACs first, then bytes."""
    return GenericTarget().cost(graph)


def node_count(graph: Graph) -> int:
    """Measure: how many nodes there are, constants included."""
    return len(graph)


def operand_count(graph: Graph) -> int:
    """Measure: how many operands all operations are given together."""
    given = (graph.operands(node) for node in graph.compute_nodes())
    return sum(operand is not None for operands in given for operand in operands)


@dataclass(frozen=True, kw_only=True)
class Rewrite(ABC, Generic[Match]):
    """A local change that keeps what the graph computes. Options are the fields of the dataclass.

    ``roots`` are the operations at which ``find`` can start. ``measure`` is a number that every application
    lowers, so that no two rewrites chase each other. ``after`` names rewrites that must not run later in a
    pipeline. ``exact`` is False for a rewrite that changes the function by more than rounding. ``lowers``
    names the operations that it spells with others, for devices that lack them, ``makes`` those that it may
    bring into a model without any.
    """

    name: ClassVar[str]
    roots: ClassVar[tuple[type[Op], ...]]
    after: ClassVar[tuple[str, ...]] = ()
    exact: ClassVar[bool] = True
    lowers: ClassVar[tuple[type[Op], ...]] = ()
    makes: ClassVar[tuple[type[Op], ...]] = ()
    measure: ClassVar[Measure] = staticmethod(op_count)

    @abstractmethod
    def find(self, graph: Graph, node: int) -> Match | None:
        """The match rooted at ``node``, or None. Looks at the shape of the subgraph only, changes nothing."""

    @abstractmethod
    def apply(self, edit: Edit, match: Match) -> None:
        """Carry out the rewrite. Called only when every requirement holds."""

    def root(self, graph: Graph, node: int) -> int:
        """Where ``graph`` has the match that one with more or less around it has at ``node``."""
        del graph
        return node

    def is_evident(self, graph: Graph, match: Match) -> bool:
        """Whether the match alone shows that every value stays what it is, without computing anything."""
        del graph, match
        return False

    @classmethod
    def requirements(cls) -> tuple[Requirement, ...]:
        """What must hold before ``apply``, in the order it is checked: the class's own, then its bases'."""
        return tuple(
            Requirement(name=name, reason=_reason(cls, name), holds=getattr(cls, name))
            for name in _requirement_names(cls)
        )

    @classmethod
    def equation(cls) -> str:
        """The identity behind the rewrite, as its module's docstring states it."""
        doc = __import__(cls.__module__, fromlist=["__doc__"]).__doc__ or ""
        lines = [line.strip() for line in doc.splitlines() if line.startswith("    ")]
        return "; ".join(lines)

    def refusal(self, graph: Graph, match: Match, *, at: str, but: str = "") -> Refusal | None:
        """The first requirement that does not hold for a match, the one named ``but`` aside; or None."""
        for name in _requirement_names(type(self)):
            if name == but:
                continue
            if not getattr(self, name)(graph, match):
                return Refusal(rewrite=self.name, at=at, requirement=name, reason=_reason(type(self), name))
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a priced rewrite would change: what costs ``before`` on the target now, and what ``after`` it.

    ``replaced`` is the part of what it costs now that is not only priced otherwise, but gone; ``least`` the
    part of that to be saved at least.
    """

    before: Price
    after: Price
    replaced: Price
    least: float = 0.0

    @property
    def saving(self) -> Price:
        """How much less it is, figure by figure; the more the better."""
        return tuple(old - new for old, new in zip(self.before, self.after, strict=True))

    def measured(self, before: float, after: float) -> "Offer":
        """The same with the seconds that the region was found to take; of those a little is noise."""
        old, new = (before, *self.before[1:]), (after, *self.after[1:])
        return Offer(before=old, after=new, replaced=old, least=NOISE)


@dataclass(frozen=True, kw_only=True)
class PricedRewrite(Rewrite[Match]):
    """A rewrite that pays on some targets only: it is rehearsed on the region it replaces, and priced.

    The region is seen with as much around it as the target's prices depend on. ``target`` None is the generic
    one, which counts. ``reads_weights`` is False where what it makes of weights is the same whatever numbers
    are in them: places that are alike otherwise then have one price. ``opposite`` names the rewrite that
    undoes it, if one does: what was measured may say that either is the faster of the two.
    """

    reads_weights: ClassVar[bool] = True
    opposite: ClassVar[str] = ""

    target: Target | None = None

    @abstractmethod
    def replaces(self, graph: Graph, match: Match) -> Iterable[int]:
        """The nodes that the rewrite replaces, constants aside."""

    @requirement
    def it_is_cheaper_on_the_target(self, graph: Graph, m: Match, offer: Offer | None = None) -> bool:
        """The target finds the result cheaper than what it replaces."""
        return self.pays(offer or self.offer(graph, m))

    @property
    def judge(self) -> Target:
        """The target that prices it."""
        return self.target or GenericTarget()

    @property
    def can_be_judged(self) -> bool:
        """Whether the target's prices say if it pays; where they do not, there is nothing to find."""
        return True

    def margin(self, match: Match) -> float:
        """The part of the price of what it replaces that it has to save by itself; 0 where any gain will do.

        For what is made of operations whose predictions are far off, or that more threads make no faster.
        """
        del match
        return 0.0

    def pays(self, offer: Offer) -> bool:
        """Whether the target takes an offer."""
        is_clear = not offer.least or offer.saving[0] >= offer.least * offer.replaced[0]
        return is_clear and self.judge.prefers(offer.after, before=offer.before)

    def too_dear(self, graph: Graph, match: Match, *, at: str) -> Refusal | None:
        """What the target says against a match, with the figures of its offer; None where it takes it."""
        offer = self.offer(graph, match)
        if self.it_is_cheaper_on_the_target(graph, match, offer):
            return None
        says, reason = self.judge.says, _reason(type(self), PRICE).removesuffix(".")
        figures = f"{reason}: {says(offer.before)} now, {says(offer.after)} after it."
        if offer.least and self.judge.prefers(offer.after, before=offer.before):
            figures = f"{figures[:-1]}, which saves less than {offer.least:.0%} of what it replaces."
        return Refusal(rewrite=self.name, at=at, requirement=PRICE, reason=figures)

    def offer(self, graph: Graph, match: Match) -> Offer:
        """What it would change, by a rehearsal; as measured, where the target measures."""
        own, stopwatch = set(self.replaces(graph, match)), self.judge.stopwatch
        region = graph.region(surroundings(graph, own, steps=self.judge.around))
        before, as_it_is = self.judge.prices(region), region.copy() if stopwatch else region
        edit = Edit(region)
        self.apply(edit, match)
        edit.sweep()
        old, new = self.judge.change(self.judge.prices(region), before=before)
        replaced = self.judge.sum(price for node, price in before.items() if node in own)
        offer = Offer(before=old, after=new, replaced=replaced, least=self.margin(match))
        told = stopwatch(as_it_is, region) if stopwatch else None
        return offer if told is None else offer.measured(*told)


def surroundings(graph: Graph, nodes: Iterable[int], *, steps: int, most: int | None = None) -> set[int]:
    """These nodes and those up to ``steps`` from them, along the values that are computed; ``most`` in all.

    A value with very many readers leads nowhere. What weights are computed by, from constants, comes along.
    """
    inside = dict.fromkeys(nodes)
    ring = list(inside)
    for _ in range(steps):
        beside = dict.fromkeys(near for node in ring for near in neighbours(graph, node))
        ring = [near for near in beside if near not in inside]
        inside.update(dict.fromkeys(ring[: None if most is None else max(0, most - len(inside))]))
        ring = [near for near in ring if near in inside]
    return {*inside, *weights_made_at_load(graph, inside)}


def neighbours(graph: Graph, node: int) -> Iterator[int]:
    """The nodes that compute what a node reads, or that read what it computes, in order."""
    values = [value for value in graph.operands(node) if value is not None]
    near = [value.node for value in values] + [
        use.node for value in graph.results(node) if len(uses := graph.readers(value)) <= _FEW for use in uses
    ]
    return (node for node in near if not isinstance(graph.op(node), (Constant, Input)))


@cache
def _requirement_names(cls: type[Rewrite[Any]]) -> tuple[str, ...]:
    """Only the names are kept: what they stand for is looked up each time."""
    own = ((n, f) for base in cls.__mro__ for n, f in vars(base).items())
    return tuple(dict.fromkeys(name for name, fact in own if getattr(fact, "is_requirement", False)))


def _reason(cls: type[Rewrite[Any]], name: str) -> str:
    return _first_sentence(getattr(cls, name).__doc__ or "")


@cache
def _first_sentence(doc: str) -> str:
    return " ".join(doc.strip().split("\n\n", maxsplit=1)[0].split())
