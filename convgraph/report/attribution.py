"""Which rewrites of a run are behind each difference that it made, and what each new node came from.

A run's report lists for every application the nodes that it took and made, by name. A node that one made and
a later one took is followed to the nodes of the model before that it came from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convgraph.report.differences import Difference

Report = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """A difference and the applications behind it, by number and name, in order.

    ``sources`` are the nodes of the model before whose work a node does that is there after, those that are
    gone and the one it was, if there are such.
    """

    difference: Difference
    rewrites: tuple[tuple[int, str], ...] = ()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """How many nodes of a kind there are, and of how many a rewrite is known that removed or added them."""

    kind: str
    total: int
    known: int

    def __str__(self) -> str:
        return f"{self.known} of {self.total} {self.kind} nodes accounted for"


def attributed(differences: Sequence[Difference], report: Report) -> list[Attribution]:
    """The differences with the rewrites behind them, as the JSON summary of a run tells."""
    entries: list[Report] = report["rewrites"]
    sources = _sources(entries)
    gone = frozenset(name for one in differences if one.kind == "removed" for name in one.names)
    return [
        Attribution(
            difference=difference,
            rewrites=_rewrites(difference, entries),
            sources=_origin(difference, sources, gone=gone),
        )
        for difference in differences
    ]


def balances(attributions: Sequence[Attribution]) -> tuple[Balance, Balance]:
    """What is accounted for of the nodes that are gone, and of the new ones."""
    removed, added = (_balance(attributions, kind=kind) for kind in ("removed", "added"))
    return removed, added


def _balance(attributions: Sequence[Attribution], *, kind: str) -> Balance:
    there = [one for one in attributions if one.difference.kind == kind]
    return Balance(kind=kind, total=len(there), known=sum(bool(one.rewrites) for one in there))


def _sources(entries: Sequence[Report]) -> dict[str, dict[str, None]]:
    """For each node that was made, the nodes of the model before that it came from."""
    sources: dict[str, dict[str, None]] = {}
    for entry in entries:
        came_from: dict[str, None] = {}
        for name in reversed(entry.get("took", ())):
            came_from |= sources.get(name, {name: None})
        sources.update(dict.fromkeys(entry.get("made", ()), came_from))
    return sources


def _rewrites(difference: Difference, entries: Sequence[Report]) -> tuple[tuple[int, str], ...]:
    roles = {"removed": ("took",), "added": ("made",), "changed": ("took", "made")}[difference.kind]
    return tuple(
        (entry["index"], entry["name"])
        for entry in entries
        if any(not difference.names.isdisjoint(entry.get(role, ())) for role in roles)
    )


def _origin(
    difference: Difference, sources: Mapping[str, Mapping[str, None]], *, gone: frozenset[str]
) -> tuple[str, ...]:
    if difference.kind == "removed":
        return ()
    each = (sources.get(name, {}) for name in sorted(difference.names))
    found = tuple(dict.fromkeys(name for some in each for name in some))
    return tuple(name for name in found if name in gone or name in difference.names) or found
