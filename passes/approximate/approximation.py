"""What an approximation is: a rewrite that is exact for a weight near the one that is there.

It replaces a weight W by the nearest W′ that has the structure it needs, and is then exact up to rounding.
So the change of the weight, ‖W′ − W‖ / ‖W‖ in the Frobenius norm, is all the error there is: what it makes
of the outputs can be measured on the graph as it was, with W′ in it.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic

from convgraph.ir.graph import Graph
from convgraph.ir.tensor import Array
from convgraph.passes.rewrite import Match, Rewrite


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting(Generic[Match]):
    """One way to approximate a node: the relative change of its weight, and the MACs that this saves.

    ``match`` is what is found at the node when the error is the tolerance.
    """

    match: Match
    error: float
    macs_saved: int


@dataclass(frozen=True, kw_only=True)
class Approximation(Rewrite[Match]):
    """A rewrite that changes a weight by at most ``tolerance``, relative to its norm, each time it applies.

    ``only`` is the node to look at; None stands for every node, those that it made itself among them.
    """

    name: ClassVar[str]
    exact: ClassVar[bool] = False
    on_request: ClassVar[bool] = False
    """Whether it saves nothing by itself, and so waits until it is asked for by name."""

    tolerance: float = 0.0
    only: int | None = None

    def find(self, graph: Graph, node: int) -> Match | None:
        """What ``closest`` finds at the node, if this is one to look at."""
        return self.closest(graph, node) if self.only in (None, node) else None

    @abstractmethod
    def closest(self, graph: Graph, node: int) -> Match | None:
        """The match at a node that saves most within the tolerance, or None."""

    @abstractmethod
    def settings(self, graph: Graph, node: int) -> Sequence[Setting[Match]]:
        """What there is to choose from at a node; a setting's error is the tolerance that asks for it."""

    @abstractmethod
    def nearest(self, graph: Graph, match: Match) -> Array:
        """W′, the weight for which the result is exact."""
