"""The record of a run: each application, what was refused in the end, and the limits that a run has."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from convgraph.analysis.cost import Cost
from convgraph.errors import PassFailed
from convgraph.ir.graph import Graph
from convgraph.passes.rewrite import Drop, Refusal, Rewrite

AnyRewrite = Rewrite[Any]


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


@dataclass(slots=True, kw_only=True)
class Ledger:
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
