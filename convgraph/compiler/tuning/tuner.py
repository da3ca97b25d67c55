"""Choices by measurement: regions timed as they are and rewritten, then the whole model each way.

For each place where a target's price decides, the region is cut out, as it is and as it would be, and both
are run in onnxruntime in turns, on as many threads as the model will have. Places alike are measured once.
The budget is for what takes the most time: what would take more of it than its part of the model's time, a
few times over as there may be several ways, is left to the prediction, as is what is predicted to take twice
as long when rewritten, and everything once the budget is spent. At the end the models
that came of it, and the original, are run against each other: the fastest is the result.

A model that was tuned before is not measured again: what it was made of is known, and where it was not, the
prediction holds as it did. So a second run gives the same file, at once. Where nothing is faster than the
model as it is, that is the result.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from convgraph.analysis.alike import likeness
from convgraph.analysis.target import OnnxruntimeCpu, Target
from convgraph.compiler.calibration.block import block_here
from convgraph.compiler.calibration.timer import random_feeds
from convgraph.compiler.job import Clock, Progress
from convgraph.compiler.measure import Latencies, Run, clock_of, interleaved
from convgraph.compiler.selection import NONE, Level
from convgraph.compiler.tuning.choice import Choice, Plan
from convgraph.compiler.tuning.kept import Kept, name_of
from convgraph.errors import PassFailed, UnsupportedOp
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.graph import Graph
from convgraph.numerics.feeds import Feeds
from convgraph.numerics.session import Session, Unverifiable
from convgraph.passes import Pipeline

_ORIGINAL = "original"  # the level that does nothing but what has to be done
_BEFORE, _AFTER = "before", "after"
BUDGET = 60.0  # seconds
_WAYS = 4.0  # times its part of the budget, as of the model's time: more is not worth a measurement
_HOPELESS = 2.0  # times as long, as predicted
_REGION = 0.4  # seconds for the runs of two regions, at least
_ROUNDS = 8  # of both, where these take longer
_WHOLE = 4.0  # seconds for the runs of the models at the end, at least
_TIE = 0.01  # as fast: the one that is named first


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How to tune: in how many seconds, and in which file to keep the timings (None: the cache folder's)."""

    budget: float = BUDGET
    file: str | os.PathLike[str] | None = None


@dataclass(slots=True, kw_only=True)
class Tuner:
    """Measures, within a budget of seconds, and remembers. ``whole`` is the predicted time of the model."""

    kept: Kept
    threads: int
    budget: float = BUDGET
    whole: float = 0.0
    progress: Progress | None = None
    predicting: Target = field(default_factory=OnnxruntimeCpu)
    spent: float = 0.0
    measured: int = 0
    is_closed: bool = False

    def __call__(self, before: Graph, after: Graph) -> tuple[float, float] | None:
        """The seconds of two graphs: as known, or measured now; None where the prediction is to hold."""
        alike = likeness(before), likeness(after)
        if None in alike:
            return None
        name = name_of((self.threads, *alike))
        known = self.kept.get("pairs", name)
        if known is not None:
            return (known[0], known[1]) if known else None
        if self.is_closed or self.spent >= self.budget:
            return None
        was, now = (self.predicting.price(graph)[0] for graph in (before, after))
        seconds = max(_REGION, _ROUNDS * (was + now))
        if seconds * self.whole > _WAYS * self.budget * was or now > _HOPELESS * was:
            return None
        found = self._timed(before, after, seconds=seconds)
        self.kept.add("pairs", name, found)
        return (found[0], found[1]) if found else None

    def _timed(self, before: Graph, after: Graph, *, seconds: float) -> list[float]:
        """The seconds of both, the second by the ratio, which is steadier; nothing where they do not run.

        Of the interval of the ratio it is the end that is nearer to one: both alike where that is within.
        """
        start = time.monotonic()
        self.measured += 1
        if self.progress is not None:
            self.progress(f"tune: region {self.measured}, {self.spent:.0f} of {self.budget:.0f} s")
        try:
            found = _turns({_BEFORE: before, _AFTER: after}, threads=self.threads, seconds=seconds)
        except Unverifiable:
            return []
        finally:
            self.spent += time.monotonic() - start
        if _AFTER not in found.rounds:
            return []
        old, ratio = found.median(_BEFORE), found.ratio(_BEFORE, _AFTER)
        return [old, old / min(max(1.0, ratio.low), ratio.high)]

    def compared(self, models: Mapping[str, Graph]) -> Latencies:
        """Whole models, timed in turns: as often as regions are, as far as another budget goes."""
        runs = _ROUNDS * sum(self.predicting.price(model)[0] for model in models.values())
        return _turns(models, threads=self.threads, seconds=max(_WHOLE, min(self.budget, runs)))


def fastest(graph: Graph, pipelines: Mapping[str, Pipeline], *, tuner: Tuner) -> Choice:
    """Which of the pipelines to take, the first of which measures by ``tuner``; as known, or measured now.

    Of those as fast it is the first; the last of them should do least.
    """
    alike = likeness(graph)
    name = name_of((tuner.threads, alike, [[r.name for r in p] for p in pipelines.values()]))
    known = None if alike is None else tuner.kept.get("models", name)
    if known is not None and known["level"] in pipelines:
        tuner.is_closed = True
        gains = {level: known["gains"][level] for level in pipelines if level in known["gains"]}
        return Choice(**{**known, "gains": gains})
    tuner.whole = tuner.predicting.price(graph)[0]
    made = dict(_made(graph, pipelines))
    tuner.is_closed = True
    found = tuner.compared({_BEFORE: graph, **made})
    names = {level: level if pipeline.steps else _BEFORE for level, pipeline in pipelines.items()}
    ratios = {level: found.ratio(_BEFORE, name) for level, name in names.items() if name in found.rounds}
    gains = {level: ratio.median for level, ratio in ratios.items()}
    level = next(each for each, gain in gains.items() if gain >= (1 - _TIE) * max(gains.values()))
    ratio, before = ratios[level], found.median(_BEFORE)
    choice = Choice(
        level=level,
        threads=tuner.threads,
        before=before,
        after=before / ratio.median,
        low=ratio.low,
        high=ratio.high,
        gains=gains,
    )
    if alike is not None:
        tuner.kept.add("models", name, asdict(choice))
    return choice


def _made(graph: Graph, pipelines: Mapping[str, Pipeline]) -> Iterator[tuple[str, Graph]]:
    """What each pipeline that does anything makes of a graph, but for one that measures and comes to no rest.

    Times of regions need not agree with each other as predictions do: each of two ways may have been the
    faster one beside other neighbours.
    """
    for number, (level, pipeline) in enumerate(pipelines.items()):
        try:
            if pipeline.steps:
                yield level, pipeline.run(graph)[0]
        except PassFailed:
            if number > 0:
                raise


def planned(
    level: Level,
    pick: Callable[..., Pipeline],
    options: Mapping[str, object],
    *,
    graph: Graph,
    tuning: Tuning,
    clock: Clock,
) -> Plan:
    """What ``pick`` makes of a level and options; at level "tune" whichever makes the fastest model here.

    On as many threads as the target in the ``options`` has, or there are processors. Raises UnsupportedOp for
    a target that is not measured here, and InvalidTuning for a file that holds no timings.
    """
    if level != "tune":
        return Plan(pipeline=pick(level=level, options=options))
    device = options["target"]
    if not isinstance(device, OnnxruntimeCpu):
        expected = f"{OnnxruntimeCpu.name}, or another level"
        raise UnsupportedOp("level 'tune'", found="a target that is not measured here", expected=expected)
    rates = device.rates if device.is_this_machine else replace(device.rates, block=block_here())
    with clock.stage("tune"):
        tuner = Tuner(
            kept=Kept(None if tuning.file is None else Path(tuning.file)),
            threads=device.threads or len(os.sched_getaffinity(0)),
            budget=tuning.budget,
            progress=clock.progress,
            predicting=OnnxruntimeCpu(rates, threads=device.threads),
        )
        measuring = OnnxruntimeCpu(rates, threads=device.threads, stopwatch=tuner)
        pipelines = {
            "tune": pick(level="tune", options={**options, "target": measuring}),
            "exact": pick(level="exact", options=options),
            "clean": pick(level="clean", options=options),
            _ORIGINAL: pick(level="clean", options=options, passes=(NONE,)),
        }
        choice = fastest(graph, pipelines, tuner=tuner)
    return Plan(pipeline=pipelines[choice.level], choice=choice)


def _turns(graphs: Mapping[str, Graph], *, threads: int, seconds: float) -> Latencies:
    """Graphs of the same inputs, timed in turns, without those that do not run.

    Raises Unverifiable where the first of them does not.
    """
    feeds = random_feeds(next(iter(graphs.values())))
    runs: dict[str, Run] = {}
    for name, graph in graphs.items():
        try:
            session = Session(to_onnx(graph), optimized=True, threads=threads, at=name)
            runs[name] = session.prepared(_read(feeds, graph))
        except Unverifiable:
            if not runs:
                raise
    return interleaved(runs, clock=clock_of(threads), seconds=seconds)


def _read(feeds: Feeds, graph: Graph) -> Feeds:
    """Those of the inputs that a graph reads."""
    given = {graph.value_name(value) for value in graph.inputs}
    return {name: array for name, array in feeds.items() if name in given}
