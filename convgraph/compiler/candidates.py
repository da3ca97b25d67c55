"""What could be approximated: at each place a ladder of settings, from the least to save to the most.

Only settings on the lower convex hull of error against multiplications saved are worth taking: on it, every
further rung costs more error for each multiplication than the one before.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from convgraph.analysis.census import node_name
from convgraph.analysis.cost import node_cost
from convgraph.ir.graph import Graph
from convgraph.ir.tensor import Array
from convgraph.passes.approximate.approximation import Approximation, Setting

AnyApproximation = Approximation[Any]

LEAST = 0.25
"""The part of a node's multiplications to save at least: less does not make up for a second operation."""
RUNGS = 16
PLACES = 100
"""Where there are more places, those with the most to save are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One way to approximate one place: a rewrite set to do this there and nothing else."""

    rewrite: AnyApproximation
    setting: Setting[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A node that can be approximated, and how, each rung with more error than the one before."""

    node: int
    at: str
    rungs: tuple[Rung, ...]

    def weight(self, graph: Graph, rung: int) -> Array:
        """The weight for which a rung is exact."""
        chosen = self.rungs[rung]
        return chosen.rewrite.nearest(graph, chosen.setting.match)


def places(graph: Graph, rewrites: Sequence[AnyApproximation]) -> tuple[Place, ...]:
    """Where the rewrites can approximate something worth it, in the graph's order."""
    found = (_place(graph, node, rewrites) for node in graph.nodes())
    some = [place for place in found if place.rungs]
    kept = sorted(some, key=lambda place: -place.rungs[-1].setting.macs_saved)[:PLACES]
    return tuple(place for place in some if place in kept)


def hull(rungs: Iterable[Rung]) -> tuple[Rung, ...]:
    """Those on the lower convex hull of error over multiplications saved, seen from doing nothing."""
    kept: list[Rung] = []
    for rung in sorted(rungs, key=lambda r: (r.setting.macs_saved, -r.setting.error)):
        while kept and _slope(kept[-2] if len(kept) > 1 else None, kept[-1]) >= _slope(kept[-1], rung):
            kept.pop()
        kept.append(rung)
    return tuple(kept)


def _place(graph: Graph, node: int, rewrites: Sequence[AnyApproximation]) -> Place:
    starting = [rewrite for rewrite in rewrites if isinstance(graph.op(node), rewrite.roots)]
    least = LEAST * node_cost(graph, node).macs if starting else 0.0
    rungs = [
        Rung(rewrite=replace(rewrite, tolerance=setting.error, only=node), setting=setting)
        for rewrite in starting
        for setting in rewrite.settings(graph, node)
        if rewrite.on_request or setting.macs_saved >= least
        if setting.error <= (rewrite.tolerance or math.inf)
    ]
    ladder = hull(rungs)
    step = -(-len(ladder) // RUNGS)  # every so many, the last one kept
    return Place(node=node, at=node_name(graph, node), rungs=ladder[::-1][:: step or 1][::-1])


def _slope(before: Rung | None, after: Rung) -> float:
    """Error for each further multiplication saved; where none is, infinitely much, or little if it falls."""
    error, saved = (before.setting.error, before.setting.macs_saved) if before else (0.0, 0)
    more, further = after.setting.error - error, after.setting.macs_saved - saved
    return more / further if further > 0 else math.copysign(math.inf, more)
