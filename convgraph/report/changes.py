"""The differences between two models as a table for people and as JSON for programs."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from convgraph.report.attribution import Attribution, attributed, balances
from convgraph.report.differences import Difference

SCHEMA = 1


def render_differences(
    differences: Sequence[Difference], *, report: Mapping[str, Any] | None = None
) -> RenderableType:
    """One row for each difference.

    ``report``, the JSON summary of a run, adds the rewrites behind each, what a new node came from, and of
    how many nodes that are gone or new it tells what removed or added them.
    """
    if not differences:
        return Text("no difference")
    table = Table("", "name", "operation", "what", box=None, pad_edge=False)
    if report is None:
        for difference in differences:
            table.add_row(*_row(difference))
        return table
    table.add_column("rewrite")
    found = attributed(differences, report)
    for one in found:
        table.add_row(
            *_row(one.difference, *_origin(one)), ", ".join(f"{n} {name}" for n, name in one.rewrites)
        )
    return Group(table, *(Text(str(balance)) for balance in balances(found) if balance.total))


def differences_as_json(
    differences: Sequence[Difference], *, report: Mapping[str, Any] | None = None
) -> dict[str, object]:
    """The same as JSON values; without a report, what only that tells is null."""
    if report is None:
        rows = [_entry(difference) | {"rewrites": None, "from": None} for difference in differences]
        return {"schema": SCHEMA, "differences": rows, "accounted_for": None}
    found = attributed(differences, report)
    return {
        "schema": SCHEMA,
        "differences": [_entry(one.difference) | _told(one) for one in found],
        "accounted_for": {b.kind: {"nodes": b.total, "known": b.known} for b in balances(found)},
    }


def _row(difference: Difference, *more: str) -> tuple[str, ...]:
    what = "\n".join((*difference.details, *more))
    return difference.kind, difference.name, difference.label, what


def _origin(one: Attribution) -> tuple[str, ...]:
    """What a node came from, beyond the one that it was."""
    itself = one.difference.names.issuperset(one.sources)
    return () if itself else (f"from {', '.join(one.sources)}",)


def _entry(difference: Difference) -> dict[str, object]:
    return {
        "kind": difference.kind,
        "name": difference.name,
        "operation": difference.label,
        "details": list(difference.details),
    }


def _told(one: Attribution) -> dict[str, object]:
    rewrites = [{"index": index, "name": name} for index, name in one.rewrites]
    return {"rewrites": rewrites, "from": list(one.sources)}
