"""How fast models run in onnxruntime, one against another: runs take turns, so that all meet the same noise.

A round runs every model once (a short one several times), in an order of its own. Ratios are taken within a
round, where a busy neighbour or a changed clock rate slows both sides; what is reported is their median, with
the percentile interval of that median when the rounds are drawn again and again (Efron's bootstrap).
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from convgraph.numerics.feeds import Feeds
from convgraph.numerics.session import ModelSource, Session

Run = Callable[[], object]
Clock = Callable[[], float]

CONFIDENCE = 0.95
LEAST_ROUNDS = 5
MOST_ROUNDS = 1000
TURN = 0.02  # seconds: a model that takes less runs several times in a row, on caches it has warmed itself
MOST_TIMES = 1000  # in a row
_WARM_UPS = 2  # the first run of a model allocates its memory
_RESAMPLES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How many times as fast: the median over the rounds, and the ends of its confidence interval."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """Seconds that one run of each model took, round by round; ``seed`` draws the resampled rounds."""

    rounds: Mapping[str, tuple[float, ...]]
    seed: int

    def median(self, name: str) -> float:
        """The typical seconds of one run of a model."""
        return float(np.median(self.rounds[name]))

    def ratio(self, before: str, after: str) -> Ratio:
        """How many times as fast as the model ``before`` the model ``after`` is."""
        found = np.asarray(self.rounds[before]) / np.asarray(self.rounds[after])
        drawn = np.random.default_rng(self.seed).integers(len(found), size=(_RESAMPLES, len(found)))
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(np.median(found[drawn], axis=1), (tail, 1 - tail))
        return Ratio(median=float(np.median(found)), low=float(low), high=float(high))


def measure(
    models: Mapping[str, ModelSource],
    *,
    feeds: Feeds,
    threads: int = 1,
    seconds: float = 10.0,
    seed: int = 0,
) -> Latencies:
    """Run models in turns on the same inputs, all of the runtime's optimisations on, for about ``seconds``.

    Loading and warming up come on top. One thread is timed by its own processor time, which leaves out what
    other programs take; several by the clock on the wall. Raises Unverifiable, with the runtime's reason, for
    a model that does not load or run.
    """
    sessions = {
        name: Session(source, optimized=True, threads=threads, at=name) for name, source in models.items()
    }
    runs = {name: session.prepared(feeds) for name, session in sessions.items()}
    return interleaved(runs, clock=clock_of(threads), seconds=seconds, seed=seed)


def clock_of(threads: int) -> Clock:
    """The clock for so many threads; a single one is the caller's own."""
    return time.thread_time if threads == 1 else time.perf_counter


def interleaved(runs: Mapping[str, Run], *, clock: Clock, seconds: float, seed: int = 0) -> Latencies:
    """Time things that can be run, in turns, for about ``seconds`` and at least ``LEAST_ROUNDS`` rounds.

    ``clock`` gives seconds. The order within each round is drawn anew, so that none always follows another.
    """
    random = np.random.default_rng(seed)
    timed = {name: partial(_turn, run, clock, times=_times(run, clock)) for name, run in runs.items()}
    names, rounds = list(runs), {name: list[float]() for name in runs}
    deadline = time.monotonic() + seconds
    for number in range(MOST_ROUNDS):
        if number >= LEAST_ROUNDS and time.monotonic() >= deadline:
            break
        for place in random.permutation(len(names)):
            rounds[names[place]].append(timed[names[place]]())
    return Latencies(rounds={name: tuple(found) for name, found in rounds.items()}, seed=seed)


def _times(run: Run, clock: Clock) -> int:
    """How often to run in each turn, after warming up."""
    once = [_turn(run, clock, times=1) for _ in range(_WARM_UPS)]
    return math.ceil(TURN / max(once[-1], TURN / MOST_TIMES))


def _turn(run: Run, clock: Clock, *, times: int) -> float:
    """Seconds of one run, from several."""
    start = clock()
    for _ in range(times):
        run()
    return (clock() - start) / times
