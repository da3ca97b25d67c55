"""The summary of a run: as JSON for programs (schema.json says what is in it), as a table for people."""

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from convgraph.analysis.cost import Cost, graph_cost, parameters
from convgraph.analysis.infer import assumed_sizes
from convgraph.analysis.onnxruntime_cpu.rates import committed
from convgraph.analysis.target import OnnxruntimeCpu, Target
from convgraph.compiler.approximate import Approximated, Budgeted
from convgraph.compiler.culprit import Culprit
from convgraph.compiler.proof import Proof
from convgraph.compiler.tuning.choice import Choice
from convgraph.ir.graph import Graph
from convgraph.numerics.compare import OutputComparison, Verification
from convgraph.numerics.verdict import Boundaries
from convgraph.passes.rewrite import Refusal
from convgraph.passes.trace import Application, Trace
from convgraph.report.layers import counted_at
from convgraph.report.power import power_summary
from convgraph.report.proof import proof_summary

SCHEMA = 1
PHASES = ("import", "passes", "approximate", "export", "verify", "culprit", "tune", "total")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """A model as a file: its path (None when it never was one), SHA-256 and number of its bytes, opset."""

    path: str | None
    sha256: str
    bytes: int
    opset: int


class Run(Protocol):
    """What a summary needs to know of a run; ``convgraph.compiler.result.OptimizeResult`` is one."""

    @property
    def graph(self) -> Graph:
        """The result."""

    @property
    def original(self) -> Graph:
        """What the run started from."""

    @property
    def target(self) -> Target:
        """What it is to be fast on."""

    @property
    def trace(self) -> Trace:
        """What was done and what was refused."""

    @property
    def approximated(self) -> Budgeted | None:
        """What was approximated within an error budget; None without one."""

    @property
    def verification(self) -> Verification | None:
        """Whether both compute the same; None when nobody asked."""

    @property
    def proof(self) -> Proof | None:
        """Which applications were proven; None when nobody asked, or the result is not equal."""

    @property
    def culprits(self) -> Sequence[Culprit]:
        """The applications found at fault, and dropped."""

    @property
    def choice(self) -> Choice | None:
        """What was measured to be fastest; None when nothing was measured."""

    @property
    def seconds(self) -> Mapping[str, float]:
        """Wall time by phase."""

    @property
    def model(self) -> FileFacts | None:
        """The file the run started from."""

    @property
    def optimized(self) -> FileFacts | None:
        """The file of the result."""


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of ``summary``."""
    text = files("convgraph.report").joinpath("schema.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def summary(result: Run) -> dict[str, object]:
    """Everything about a run, as JSON values; numbers that are not finite are null.

    MACs and bytes are counted at ``assumed_sizes`` where the model leaves sizes open.
    """
    trace, verification, approximated = result.trace, result.verification, result.approximated
    return {
        "schema": SCHEMA,
        "convgraph": _version("convgraph"),
        "onnxruntime": _version("onnxruntime"),
        "machine": _machine(),
        "target": _target(result.target),
        "assumed_sizes": assumed_sizes(result.original),
        "model": _model(result.original, result.model, on=result.target),
        "optimized": _model(result.graph, result.optimized, on=result.target),
        "rewrites": [_rewrite(application) for application in trace.applications],
        "refusals": [_refusal(refusal) for refusal in trace.refusals],
        "approximation": None if approximated is None else _approximation(approximated),
        "verification": None if verification is None else _verification(verification, result.proof),
        "culprits": [_culprit(culprit) for culprit in result.culprits],
        "latency": None if result.choice is None else _latency(result.choice),
        "seconds": {phase: _number(result.seconds.get(phase)) for phase in PHASES},
        "peak_rss_bytes": peak_rss_bytes(),
    }


def table(result: Run) -> RenderableType:
    """A short before/after table; below it how open sizes were counted, and what the check is worth."""
    before, after = graph_cost(result.original), graph_cost(result.graph)
    rows = Table(box=None, pad_edge=False)
    rows.add_column("")
    for heading in ("before", "after", "change"):
        rows.add_column(heading, justify="right")
    for name, old, new in _counts(result, before, after):
        rows.add_row(name, f"{old:,}", f"{new:,}", _change(old, new))
    if result.choice is not None:
        was, now = (f"{1e3 * seconds:.2f}" for seconds in (result.choice.before, result.choice.after))
        rows.add_row("latency ms", was, now, f"{result.choice.gain:.2f}x")
    rows.add_row("max error", "", _error(result.verification), "")
    if result.culprits:
        rows.add_row("culprits", "", f"{len(result.culprits)} dropped", "")
    if result.approximated is not None:
        rows.add_row("budget", "", *_spent(result.approximated))
    seconds = result.seconds.get("total")
    rows.add_row("seconds", "", "-" if seconds is None else f"{seconds:.2f}", "")
    note = counted_at(assumed_sizes(result.original), approximate=before.approximate or after.approximate)
    notes = [f"MACs and bytes {note}"] if note else []
    notes += [str(result.choice)] if result.choice is not None else []
    power = None if result.verification is None else result.verification.power
    notes += [str(power)] if power is not None and power.attempts else []
    notes += [str(result.proof)] if result.proof is not None and result.proof.applications else []
    return Group(rows, *map(Text, notes)) if notes else rows


def peak_rss_bytes() -> int | None:
    """The most memory this process has held so far, in bytes; None where the system does not say."""
    try:
        import resource  # noqa: PLC0415 - not there on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024  # kilobytes everywhere but on macOS


def processor() -> str | None:
    """The processor's model name, where Linux tells it; ``platform.processor`` is empty there."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            names = (line.partition(":")[2].strip() for line in file if line.startswith("model name"))
            return next(names, None)
    except OSError:
        return platform.processor() or None


def _target(target: Target) -> dict[str, object]:
    """The target by name, and whose rates it counts with, where it has any."""
    if not isinstance(target, OnnxruntimeCpu):
        return {"name": target.name, "rates": None, "machine": None, "onnxruntime": None, "threads": None}
    rates = target.rates
    return {
        "name": target.name,
        "rates": "committed" if rates == committed() else "measured",
        "machine": rates.machine,
        "onnxruntime": rates.runtime,
        "threads": target.threads,
    }


def _model(graph: Graph, file: FileFacts | None, *, on: Target) -> dict[str, object]:
    cost = graph_cost(graph)
    return {
        "path": None if file is None else file.path,
        "sha256": None if file is None else file.sha256,
        "file_bytes": None if file is None else file.bytes,
        "opset": graph.model.opset if file is None else file.opset,
        "nodes": _operations(graph),
        "parameters": parameters(graph),
        "macs": cost.macs,
        "bytes": cost.bytes,
        "reorders": on.reorders(graph),
        "approximate": cost.approximate,
    }


def _rewrite(application: Application) -> dict[str, object]:
    return {
        "index": application.index,
        "name": application.rewrite,
        "at": application.at,
        "took": list(application.took),
        "made": list(application.made),
        "macs_before": application.before.macs,
        "macs_after": application.after.macs,
        "bytes_before": application.before.bytes,
        "bytes_after": application.after.bytes,
    }


def _approximation(given: Budgeted) -> dict[str, object]:
    return {
        "budget": given.budget,
        "error": _number(given.error),
        "undone": given.undone,
        "reason": given.reason,
        "rewrites": [_approximated(step) for step in given.steps],
    }


def _approximated(step: Approximated) -> dict[str, object]:
    return {
        "index": step.index,
        "name": step.rewrite,
        "at": step.at,
        "weight_error": step.weight_error,
        "alone": _number(step.alone),
        "error": _number(step.error),
    }


def _refusal(refusal: Refusal) -> dict[str, object]:
    return {
        "name": refusal.rewrite,
        "at": refusal.at,
        "requirement": refusal.requirement,
        "reason": refusal.reason,
    }


def _verification(verification: Verification, proof: Proof | None) -> dict[str, object]:
    return {
        "status": verification.status,
        "equal": verification.equal,
        "reason": verification.reason,
        "reference": verification.reference,
        "trials": verification.trials,
        "seeds": list(verification.seeds),
        "power": None if verification.power is None else power_summary(verification.power),
        "proof": None if proof is None else proof_summary(proof),
        "outputs": [_output(output) for output in verification.outputs],
        "boundaries": None if verification.boundaries is None else _boundaries(verification.boundaries),
    }


def _boundaries(seen: Boundaries) -> dict[str, object]:
    worst = None if seen.worst is None else _output(seen.worst)
    return {"total": seen.total, "compared": seen.compared, "worst": worst}


def _latency(choice: Choice) -> dict[str, object]:
    return {
        "before_ms": 1e3 * choice.before,
        "after_ms": 1e3 * choice.after,
        "ratio": 1 / choice.gain,
        "ratio_low": 1 / choice.high,
        "ratio_high": 1 / choice.low,
        "threads": choice.threads,
        "level": choice.level,
        "gains": dict(choice.gains),
    }


def _culprit(culprit: Culprit) -> dict[str, object]:
    files = culprit.files
    return {
        "index": culprit.index,
        "name": culprit.rewrite,
        "at": culprit.at,
        "disagreement": culprit.disagreement._asdict(),
        "model": None if files is None else dict(zip(("before", "after"), files, strict=True)),
    }


def _output(output: OutputComparison) -> dict[str, object]:
    return {
        "name": output.name,
        "max_abs": _number(output.max_abs),
        "max_rel": _number(output.max_rel),
        "tolerance": _number(output.tolerance),
        "bound": output.bound,
        "worst_index": None if output.worst_index is None else [int(i) for i in output.worst_index],
    }


def _number(number: float | None) -> float | None:
    """A number that JSON has, else None."""
    return None if number is None or not math.isfinite(number) else float(number)


def _machine() -> dict[str, object]:
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": processor(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _operations(graph: Graph) -> int:
    return sum(1 for _ in graph.compute_nodes())


def _counts(result: Run, before: Cost, after: Cost) -> list[tuple[str, int, int]]:
    old, new = result.original, result.graph
    counts = [
        ("nodes", _operations(old), _operations(new)),
        ("parameters", parameters(old), parameters(new)),
        ("MACs", before.macs, after.macs),
        ("bytes", before.bytes, after.bytes),
    ]
    was, now = result.target.reorders(old), result.target.reorders(new)
    if was is not None and now is not None:
        counts.append(("reorders", was, now))
    if result.model is not None and result.optimized is not None:
        counts.append(("file size", result.model.bytes, result.optimized.bytes))
    return counts


def _change(old: int, new: int) -> str:
    if old == new:
        return "="
    if old == 0:
        return "new"
    percent = 100 * (new - old) / old
    return f"{percent:+.1f} %" if abs(percent) >= 0.1 else f"{percent:+.1g} %"


def _error(verification: Verification | None) -> str:
    if verification is None:
        return "not verified"
    if not verification.outputs:
        return verification.status
    errors = [output.max_abs for output in verification.outputs]
    worst = math.nan if any(math.isnan(error) for error in errors) else max(errors)
    return f"{worst:.3g}" if verification.equal else f"{worst:.3g} ({verification.status})"


def _spent(given: Budgeted) -> tuple[str, str]:
    """How much of an error budget is used, and for how many approximations."""
    return f"{given.error:.3g} of {given.budget:g}", f"{len(given.steps)} approximate"
