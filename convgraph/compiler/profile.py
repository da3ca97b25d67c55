"""Where the time of a model goes in onnxruntime, layer by layer, told with names that several models share.

The runtime times each node of the graph it made itself, in which operations are fused, renamed and joined by
reorders. A node of it is known by the name of what it was made from or of the value it makes. Where that is
no name that all the models know, it counts for the first value made from it that they do: the parts that one
convolution was split into are the time of that convolution.
"""

import json
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from convgraph.analysis.census import node_name
from convgraph.held import temporary_folder
from convgraph.ir.graph import Graph
from convgraph.numerics.feeds import Feeds
from convgraph.numerics.session import ModelSource, Session

REORDERS = "(reorders of layout)"
RUNS = 20

_ADDED = re.compile(r"^fused |(_nchwc|/MatMulAddFusion)$")
_KERNEL = "_kernel_time"
_MICRO = 1e-6


def layer_seconds(
    source: ModelSource, *, feeds: Feeds, titles: Mapping[str, str], threads: int = 1
) -> dict[str, float]:
    """The median seconds of each layer over some runs, by title; what has none goes by the runtime's name.

    Raises Unverifiable, with the runtime's reason, for a model that does not load or run.
    """
    with temporary_folder() as folder:
        session = Session(source, optimized=True, threads=threads, profile=str(folder / "profile"))
        for _ in range(RUNS):
            session.run(feeds)
        events = json.loads(Path(session.profiled()).read_text(encoding="utf-8"))
    spent = defaultdict[tuple[str, str], list[float]](list)
    for event in events:
        if event["name"].endswith(_KERNEL):
            spent[event["args"]["node_index"], event["name"]].append(event["dur"] * _MICRO)
    found = defaultdict[str, float](float)
    for (_, name), seconds in spent.items():
        found[_title(name.removesuffix(_KERNEL), titles)] += statistics.median(seconds)
    return dict(found)


def titles_of(graph: Graph, *, known: Iterable[str]) -> dict[str, str]:
    """For each name of a node or value, the layer that it is part of: the next one ``known`` made from it."""
    layers, titles, found = {*known}, dict[int, str](), dict[str, str]()
    for node in reversed(graph.nodes()):
        names = [graph.value_name(value) for value in graph.results(node)]
        own = next((name for name in names if name in layers), None)
        ahead = (titles[reader] for reader in graph.nx.successors(node) if reader in titles)
        titles[node] = own or next(ahead, node_name(graph, node))
        found |= dict.fromkeys((*names, graph.info(node).name), titles[node])
    found.pop("", None)
    return found


def value_names(graph: Graph) -> list[str]:
    """The names of the values that a graph computes, in order."""
    values = (value for node in graph.compute_nodes() for value in graph.results(node))
    return [name for value in values if (name := graph.value_name(value))]


def _title(name: str, titles: Mapping[str, str]) -> str:
    if name.startswith("Reorder"):
        return REORDERS
    made_from = _ADDED.sub("", name)
    return titles.get(made_from, made_from)
