"""The rates of this machine: measured once, and kept for each machine and version of onnxruntime.

The file lies in the user's cache folder (``XDG_CACHE_HOME`` moves it on Linux). It is written whole or not at
all; several runs at once each measure, and the last one's stays. One that is damaged, or lacks what this
version of convgraph counts with, is measured anew.
"""

import hashlib
import os
import platform
from pathlib import Path

from platformdirs import user_cache_path

from convgraph.analysis.onnxruntime_cpu.rates import SCHEMA, InvalidRates, Rates, committed
from convgraph.analysis.target import OnnxruntimeCpu, Target, target_named
from convgraph.compiler.calibration import convolutions, streams
from convgraph.compiler.calibration.block import block_here
from convgraph.compiler.calibration.timer import Timer, timer
from convgraph.compiler.job import Progress
from convgraph.errors import UnsupportedOp
from convgraph.exporters.replacing import replacing
from convgraph.ir.graph import Graph
from convgraph.numerics.session import runtime_version
from convgraph.report.summary import processor

ROUNDS = 3


def target_for(
    name: str, *, calibrate: bool, threads: int | None = None, progress: Progress | None = None
) -> Target:
    """The target with this name, for so many threads; to ``calibrate`` it, with the rates of this machine.

    Those come as ``rates_here`` has them. Raises UnsupportedOp for a name that no target has, and for one to
    calibrate that counts with no rates.
    """
    target = target_named(name, threads=threads)
    if not calibrate:
        return target
    if not isinstance(target, OnnxruntimeCpu):
        expected = f"{OnnxruntimeCpu.name}, or no calibration"
        raise UnsupportedOp(f"target {name!r}", found="nothing to measure", expected=expected)
    return target_named(name, rates=rates_here(progress=progress), threads=threads)


def rates_here(*, progress: Progress | None = None) -> Rates:
    """The rates of this machine: as kept, or measured now and kept, which takes a minute or two.

    Raises OSError where the cache folder cannot be written to, before anything is measured.
    """
    path = kept_at()
    kept = _kept(path)
    if kept is not None:
        return kept
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        rates = measured(timer(), progress=progress)
        file.write(rates.as_json().encode())
    return rates


def measured(measure: Timer, *, progress: Progress | None = None) -> Rates:
    """The rates that ``measure`` finds, as they are when read back.

    All probes are timed ``ROUNDS`` times over and the least time of each counts: what slows down the machine
    for seconds falls on other probes in the next round.
    """
    told = _told(measure, progress)
    rounds = [_times(told) for _ in range(ROUNDS)]
    least = map(min, *rounds)
    rates = Rates(
        block=block_here(),
        table=_table(lambda _: next(least)),
        machine=_machine(),
        runtime=runtime_version(),
    )
    return Rates.of_json(rates.as_json())


def kept_at() -> Path:
    """Where the rates of this machine are kept: a name for each machine, runtime and meaning of the table."""
    facts = (SCHEMA, _machine(), os.cpu_count(), block_here(), runtime_version())
    digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
    return user_cache_path("convgraph", appauthor=False) / f"rates-{digest}.json"


def _table(measure: Timer) -> dict[str, float]:
    return {**convolutions.measured(measure), **streams.measured(measure)}


def _times(measure: Timer) -> list[float]:
    """The seconds of each probe, in order."""
    found: list[float] = []

    def noted(graph: Graph) -> float:
        found.append(measure(graph))
        return found[-1]

    _table(noted)
    return found


def _kept(path: Path) -> Rates | None:
    """The rates in a file; None where it is not there, is damaged or lacks what is counted with."""
    try:
        rates = Rates.of_json(path.read_text(encoding="utf-8"), at=str(path))
    except (FileNotFoundError, UnicodeDecodeError, InvalidRates):
        return None
    return rates if rates.table.keys() == committed().table.keys() else None


def _told(measure: Timer, progress: Progress | None) -> Timer:
    """The timer, saying how far it has come."""
    if progress is None:
        return measure
    count = 0

    def timed(graph: Graph) -> float:
        nonlocal count
        count += 1
        progress(f"calibrate: probe {count}, {graph.name}")
        return measure(graph)

    return timed


def _machine() -> str:
    return processor() or platform.machine()
