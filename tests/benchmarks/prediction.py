"""How well the cost model of onnxruntime's CPU provider predicts whole models, and what the rewrites gain.

Run it with ``PYTHONPATH=tests python -m benchmarks.prediction [MODEL | FILE.onnx …]``; without arguments it
takes every model of benchmarks/suite/models. Each is measured as exported and as ``--level exact`` makes it,
in turns, on one thread. A line has the milliseconds measured and predicted of both, and the speed-up measured
and predicted. The table that comes with convgraph is counted with, or with ``--calibrate`` that of this
machine. ``--layers N`` adds the N nodes of the optimized model whose prediction is off by most, by the
runtime's own profile.
"""

import argparse
import json
import math
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from benchmarks.suite.apart import StepFailed
from benchmarks.suite.variants import EXACT, ORIGINAL, made

import convgraph as cg
from convgraph.analysis.census import node_label, node_name
from convgraph.analysis.cost import types_at_assumed_sizes
from convgraph.analysis.onnxruntime_cpu.plan import planned
from convgraph.analysis.onnxruntime_cpu.predict import node_seconds, seconds
from convgraph.analysis.onnxruntime_cpu.rates import Rates, committed
from convgraph.analysis.onnxruntime_cpu.streams import reorder_seconds
from convgraph.compiler.calibration.calibrate import rates_here
from convgraph.compiler.calibration.timer import random_feeds
from convgraph.compiler.measure import measure
from convgraph.ir.graph import Graph

CHANGED = 0.05  # of the speed: a model that changes by more counts
NEAR = 0.10  # of the measured speed-up: a prediction that is as close is right
PROFILED_RUNS = 7
REORDERS = "changes of layout"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """The seconds of a model before and after, measured and predicted."""

    name: str
    measured: tuple[float, float]
    predicted: tuple[float, float]

    @property
    def speed_ups(self) -> tuple[float, float]:
        """How many times as fast: measured, predicted."""
        (before, after), (early, late) = self.measured, self.predicted
        return before / after, early / late

    @property
    def changes(self) -> bool:
        """Whether the measured speed changes by enough to count."""
        return abs(self.speed_ups[0] - 1) > CHANGED

    @property
    def is_near(self) -> bool:
        """Whether the predicted speed-up is close to the measured one."""
        found, told = self.speed_ups
        return abs(told / found - 1) <= NEAR

    def __str__(self) -> str:
        found, told = self.speed_ups
        sides = (
            f"{1000 * was:8.2f} ({is_told / was:4.2f})"
            for was, is_told in zip(self.measured, self.predicted, strict=True)
        )
        verdict = "" if not self.changes else "near" if self.is_near else "OFF"
        return (
            f"{self.name:26} {'  '.join(sides)}   {found:6.3f} {told:6.3f} {told / found - 1:+7.1%} {verdict}"
        )


def entry(name: str, files: Mapping[str, str], *, rates: Rates, budget: float) -> Entry:
    """Measure and predict a model's two files."""
    graphs = [cg.load(files[side]) for side in (ORIGINAL, EXACT)]
    found = measure(files, feeds=random_feeds(graphs[0]), seconds=budget).rounds
    before, after = (float(np.quantile(found[side], 0.25)) for side in (ORIGINAL, EXACT))
    early, late = (seconds(graph, rates) for graph in graphs)
    return Entry(name=name, measured=(before, after), predicted=(early, late))


def summary(entries: Sequence[Entry]) -> str:
    """How far off single predictions are, and how many speed-ups are predicted."""
    offs = [
        abs(math.log(told / found))
        for one in entries
        for told, found in zip(one.predicted, one.measured, strict=True)
    ]
    counted = [one for one in entries if one.changes]
    near = sum(one.is_near for one in counted)
    middle, worst = (math.expm1(off) for off in (statistics.median(offs), max(offs)))
    return (
        f"times are off by {middle:.1%} in the median, {worst:.1%} at most; of {len(counted)} models whose "
        f"speed changes by more than {CHANGED:.0%}, the speed-up of {near} is predicted within {NEAR:.0%}"
    )


def layers(path: str, *, rates: Rates, most: int) -> Iterator[str]:
    """A line for each of the nodes whose predicted time is off by most."""
    graph = cg.load(path)
    names, told = _predicted(graph, rates)
    found = _profiled(path, graph, names)
    ordered = sorted(told.keys() | found.keys(), key=lambda name: -abs(told[name] - found[name]))
    for name in ordered[:most]:
        yield f"    {1e6 * found[name]:10.1f} µs, predicted {1e6 * told[name]:10.1f}: {name}"


def _predicted(graph: Graph, rates: Rates) -> tuple[dict[str, str], defaultdict[str, float]]:
    """What to call the node that makes a value or has a name, and the seconds of each so called.

    A fused node goes by the name of the one that it became part of.
    """
    types = types_at_assumed_sizes(graph)
    plan = planned(graph, types, block=rates.block)
    spent = node_seconds(graph, rates)
    told = defaultdict[str, float](float)
    for value in plan.reordered:
        again = reorder_seconds(types[value], rates=rates)
        spent[value.node] -= again
        told[REORDERS] += again
    names: dict[str, str] = {}
    for node in graph.compute_nodes():
        host = node
        while plan.fused.get(host, host) != host:
            host = plan.fused[host]
        title = f"{node_label(graph, host)} {node_name(graph, host)}"
        names |= {graph.value_name(value): title for value in graph.results(node)}
        names[graph.info(node).name] = title
        told[title] += spent[node]
    return names, told


def _profiled(path: str, graph: Graph, names: Mapping[str, str]) -> defaultdict[str, float]:
    """The seconds of each node by the runtime's profile, the least of several runs."""
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.enable_profiling = True
        options.profile_file_prefix = f"{folder}/profile"
        session = ort.InferenceSession(path, options)
        feeds = random_feeds(graph)
        for _ in range(PROFILED_RUNS):
            session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    least: dict[str, float] = {}
    for event in events:
        if event["name"].endswith("_kernel_time"):
            key = f"{event['args']['node_index']} {event['name']}"
            least[key] = min(least.get(key, math.inf), event["dur"] / 1e6)
    found = defaultdict[str, float](float)
    for key, spent in least.items():
        found[_title(key.partition(" ")[2].removesuffix("_kernel_time"), names)] += spent
    return found


def _title(name: str, names: Mapping[str, str]) -> str:
    """What to call a node of the runtime's: as the node of ours that it was made from, where that shows."""
    if name.startswith("Reorder"):
        return REORDERS
    made_from = name.removesuffix("_nchwc").removesuffix("/MatMulAddFusion")
    return names.get(made_from, f"the runtime's {name}")


def arguments() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="MODEL | FILE.onnx")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each model")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "convgraph-suite")
    parser.add_argument("--calibrate", action="store_true", help="count with the rates of this machine")
    parser.add_argument("--layers", type=int, default=0, metavar="N")
    return parser.parse_args()


def main() -> None:
    """Print a line for each model, and the summary."""
    asked = arguments()
    rates = rates_here() if asked.calibrate else committed()
    from benchmarks.suite.models import MODELS  # noqa: PLC0415 - they import torch

    entries = []
    print(f"{'model':26} before: ms (told)  after: ms (told)   faster   told     off", flush=True)
    for model in asked.models or [model.name for model in MODELS]:
        try:
            files = {name: str(one.path) for name, one in made(model, [EXACT], work=asked.work).items()}
            entries.append(entry(Path(model).stem, files, rates=rates, budget=asked.seconds))
        except (StepFailed, cg.ConvgraphError) as error:
            print(f"{Path(model).stem:26} failed: {error}", flush=True)
            continue
        lines = [str(entries[-1])]
        if asked.layers:
            lines += layers(files[EXACT], rates=rates, most=asked.layers)
        print(*lines, sep="\n", flush=True)
    if entries:
        print(summary(entries))


if __name__ == "__main__":
    main()
