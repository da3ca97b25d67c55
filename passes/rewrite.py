"""What a rewrite is: a shape to find, requirements that say when it is right, and the algebra to apply.

``find`` looks at the shape of the subgraph only and returns a frozen dataclass that names the roles. Each
method marked ``@requirement`` is a fact that must hold, checked in the order they are written; the first
line of its docstring is the reason a user reads when it does not. ``apply`` may then assume all of them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Generic, TypeVar

from convgraph.analysis.cost import Cost
from convgraph.analysis.target import GenericTarget, Target
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Op

Match = TypeVar("Match")
Measure = Callable[[Graph], Any]
_Fact = TypeVar("_Fact", bound=Callable[..., bool])

SAME_RESULTS = "the_results_stay_the_same"
"""The requirement that only running the model can check."""
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


@dataclass(frozen=True, kw_only=True)
class Rewrite(ABC, Generic[Match]):
    """A local change that keeps what the graph computes. Options are the fields of the dataclass.

    ``roots`` are the operations at which ``find`` can start. ``measure`` is a number that every application
    lowers, so that no two rewrites chase each other. ``after`` names rewrites that must not run later in a
    pipeline. ``exact`` is False for a rewrite that changes the function by more than rounding. ``lowers``
    names the operations that it spells with others, for devices that lack them, ``makes`` those that it may
    bring into a model without any. ``needs_a_judge`` says that counts do not settle whether it pays: it is
    left to targets whose costs predict time.
    """

    name: ClassVar[str]
    roots: ClassVar[tuple[type[Op], ...]]
    after: ClassVar[tuple[str, ...]] = ()
    exact: ClassVar[bool] = True
    lowers: ClassVar[tuple[type[Op], ...]] = ()
    makes: ClassVar[tuple[type[Op], ...]] = ()
    needs_a_judge: ClassVar[bool] = False
    measure: ClassVar[Measure] = staticmethod(op_count)

    @abstractmethod
    def find(self, graph: Graph, node: int) -> Match | None:
        """The match rooted at ``node``, or None. Looks at the shape of the subgraph only, changes nothing."""

    @abstractmethod
    def apply(self, edit: Edit, match: Match) -> None:
        """Carry out the rewrite. Called only when every requirement holds."""

    def is_evident(self, graph: Graph, match: Match) -> bool:
        """Whether the match alone shows that every value stays what it is, without computing anything."""
        del graph, match
        return False

    @classmethod
    def requirements(cls) -> tuple[Requirement, ...]:
        """What must hold before ``apply``, in the order it is checked: the class's own, then its bases'."""
        facts = ((name, getattr(cls, name)) for name in _requirement_names(cls))
        return tuple(
            Requirement(name=name, reason=_first_sentence(fact.__doc__ or ""), holds=fact)
            for name, fact in facts
        )

    @classmethod
    def equation(cls) -> str:
        """The identity behind the rewrite, as its module's docstring states it."""
        doc = __import__(cls.__module__, fromlist=["__doc__"]).__doc__ or ""
        lines = [line.strip() for line in doc.splitlines() if line.startswith("    ")]
        return "; ".join(lines)

    def refusal(self, graph: Graph, match: Match, *, at: str) -> Refusal | None:
        """The first requirement that does not hold for a match, or None when all do."""
        for name in _requirement_names(type(self)):
            fact = getattr(self, name)
            if not fact(graph, match):
                reason = _first_sentence(fact.__doc__ or "")
                return Refusal(rewrite=self.name, at=at, requirement=name, reason=reason)
        return None


@dataclass(frozen=True, kw_only=True)
class PricedRewrite(Rewrite[Match]):
    """A rewrite that pays on some targets only: it is rehearsed on the region it replaces, and priced.

    ``target`` None is the generic one, which counts.
    """

    target: Target | None = None

    @abstractmethod
    def replaces(self, graph: Graph, match: Match) -> Iterable[int]:
        """The nodes that the rewrite replaces, constants aside."""

    @requirement
    def it_is_cheaper_on_the_target(self, graph: Graph, m: Match) -> bool:
        """The target finds the result cheaper than what it replaces."""
        before, after = self.costs(graph, m)
        return (self.target or GenericTarget()).prefers(after, before=before)

    def costs(self, graph: Graph, match: Match) -> tuple[Cost, Cost]:
        """What the target says of the region to replace, and of what would stand in its place."""
        target = self.target or GenericTarget()
        region = graph.region(self.replaces(graph, match))
        before = target.cost(region)
        edit = Edit(region)
        self.apply(edit, match)
        edit.sweep()
        return before, target.cost(region)


@cache
def _requirement_names(cls: type[Rewrite[Any]]) -> tuple[str, ...]:
    """Only the names are kept: what they stand for is looked up each time."""
    own = ((n, f) for base in cls.__mro__ for n, f in vars(base).items())
    return tuple(dict.fromkeys(name for name, fact in own if getattr(fact, "is_requirement", False)))


def _first_sentence(doc: str) -> str:
    return " ".join(doc.strip().split("\n\n", maxsplit=1)[0].split())
