"""Where in a result a rewrite may have gone wrong: the operations that changed, and who was at work there."""

from typing import Literal

from convgraph.exporters.sketch import changed_nodes
from convgraph.ir.graph import Graph
from convgraph.numerics.power import Suspects
from convgraph.passes import Trace

PowerMode = Literal["sample", "full", "off"]
"""How many seeded faults to try in a result found equal: those there is time for, all, or none."""


def suspects(before: Graph, after: Graph, trace: Trace, *, mode: PowerMode) -> Suspects | None:
    """The operations of the file of ``after`` that ``before`` does not have, with the rewrites behind each.

    A rewrite is behind what it made, or started at; one that took over a name is behind with those before.
    None where there is no such operation, or nobody asks.
    """
    if mode == "off":
        return None
    behind: dict[str, dict[str, None]] = {}
    for done in trace.applications:
        for name in (*done.made, done.at):
            behind.setdefault(name, {})[done.rewrite] = None
    rewrites: dict[str, tuple[str, ...]] = {}
    for node in changed_nodes(before, after):
        known = (behind.get(name, {}) for name in (node.name, *node.output) if name)
        rewrites[node.output[0]] = tuple(dict.fromkeys(rewrite for some in known for rewrite in some))
    return Suspects(rewrites=rewrites, full=mode == "full") if rewrites else None
