"""What the suite measured: kept as JSON, shown as a table."""

import json
import math
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.suite.stored import put
from benchmarks.suite.variants import DIRECT, EXACT, ORIGINAL, SINGLE, TUNED, TUNED_TWO

RECORD = Path(__file__).parent.parent / "results" / "suite.json"
ONE, TWO, OPENVINO = "1 thread", "2 threads", "OpenVINO"
PACKAGES = ("numpy", "onnx", "onnxruntime", "onnxscript", "onnxsim", "onnxslim", "openvino", "torch")
RIVALS = ("onnxsim", "onnxslim")
TUNINGS = {TUNED: ONE, TUNED_TWO: TWO}
OTHERS = (SINGLE, DIRECT, *RIVALS)
DIGITS = 4  # of every figure that is kept

Ratio = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One variant of a model.

    ``told`` is what its maker said, what was counted, and the error of its outputs in onnxruntime, all
    optimisations on: relative to the largest value, and as a ``share`` of its tolerance. ``milliseconds`` and
    ``ratios`` (how many times as fast as the original, with the ends of the interval) are by setting.
    ``failure`` says why it was not timed.
    """

    told: Mapping[str, Any] = field(default_factory=dict)
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    ratios: Mapping[str, Ratio] = field(default_factory=dict)
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A model: when it was measured, its variants, and by setting the rounds, and what failed.

    Where it could not be made, or not be run at all, what failed is the ``model``.
    """

    name: str
    date: str
    outcomes: Mapping[str, Outcome]
    rounds: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)

    def ratio(self, setting: str, variant: str = EXACT) -> Ratio | None:
        """How many times as fast a variant is; None where that is not known."""
        outcome = self.outcomes.get(variant)
        return None if outcome is None else outcome.ratios.get(setting)

    def told(self, variant: str, what: str) -> Any:
        """What is known of a variant; None when it is not."""
        outcome = self.outcomes.get(variant)
        return None if outcome is None else outcome.told.get(what)


def read(path: Path) -> tuple[list[Entry], dict[str, Any]]:
    """The entries of a file, and where and with what they were measured."""
    told = json.loads(path.read_text(encoding="utf-8"))
    models = told.pop("models")
    return [entry(name, models[name]) for name in sorted(models)], told


def entry(name: str, told: Mapping[str, Any]) -> Entry:
    """An entry as it was kept."""
    outcomes = {variant: _outcome(**outcome) for variant, outcome in told["outcomes"].items()}
    return Entry(**{**told, "name": name, "outcomes": outcomes})


def _outcome(*, ratios: Mapping[str, Sequence[float]], **told: Any) -> Outcome:
    """A variant as it was kept: JSON has lists alone."""
    return Outcome(ratios={setting: (one, low, high) for setting, (one, low, high) in ratios.items()}, **told)


def as_json(one: Entry) -> dict[str, Any]:
    """An entry as it is kept."""
    told: dict[str, Any] = _rounded(asdict(one))
    del told["name"]
    return told


def write(path: Path, entries: Iterable[Entry]) -> None:
    """Keep entries, with this machine and the versions of the packages they were measured with."""
    told = {"machine": machine(), "versions": versions(), "models": {e.name: as_json(e) for e in entries}}
    path.parent.mkdir(parents=True, exist_ok=True)
    put(path, json.dumps(told, indent=1, sort_keys=True) + "\n")


def machine() -> str:
    """The processor, and how many of it there are."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{(names or [platform.machine()])[0]}, {os.cpu_count()} cores, {platform.system()}"


def versions() -> dict[str, str]:
    """The packages that matter, as far as they are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _rounded(value: Any) -> Any:
    """The same with numbers of a few digits."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {name: _rounded(one) for name, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, (list, tuple)) else value


# ---- the table ----

HEADS = (
    "model",
    "GMACs",
    "MACs allow",
    ONE,
    TWO,
    "tuned, 1 thread",
    "tuned, 2 threads",
    "for 1 thread",
    "no Winograd",
    *RIVALS,
    OPENVINO,
    "error",
)


def table(entries: Iterable[Entry], *, machine: str, versions: Mapping[str, str]) -> str:
    """The table in Markdown, the largest gain first, with the geometric means, and what failed."""
    ordered = sorted(entries, key=lambda e: (-(e.ratio(ONE) or (0.0,))[0], e.name))
    dates = sorted({entry.date for entry in ordered})
    where = f"{machine}; {', '.join(f'{name} {one}' for name, one in versions.items())}"
    when = f"measured {' to '.join(dict.fromkeys((dates[0], dates[-1])))}" if dates else "nothing measured"
    rows = [*header(), *(row(entry) for entry in ordered), means(ordered)]
    return "\n".join(
        [*rows, "", *fallen_back(ordered), *largest(ordered), f"{where}; {when}.", *failed(ordered)]
    )


def header() -> list[str]:
    """The first two lines."""
    return [_line(HEADS), _line(["---", *["---:"] * (len(HEADS) - 1)])]


def row(one: Entry) -> str:
    """The line of a model."""
    speeds = [_speed(one.ratio(setting)) for setting in (ONE, TWO)]
    speeds += [_short(one, setting, variant) for variant, setting in TUNINGS.items()]
    others = [_short(one, ONE, variant) for variant in OTHERS]
    return _line([one.name, *_macs(one), *speeds, *others, _short(one, OPENVINO, EXACT), _error(one)])


def _macs(one: Entry) -> list[str]:
    """Multiply-accumulates before and after, and the ratio they would allow."""
    counts = [one.told(variant, "macs") for variant in (ORIGINAL, EXACT)]
    shown = [f"{count / 1e9:.3g}" for count in counts if count is not None]
    allowed = _allowed(one)
    return [" → ".join(dict.fromkeys(shown)) or "–", "–" if allowed is None else f"{allowed:.2f}"]


def means(entries: Iterable[Entry]) -> str:
    """The line of the geometric means."""
    every = list(entries)
    columns = [
        *([one.ratio(setting) for one in every] for setting in (ONE, TWO)),
        *([one.ratio(setting, variant) for one in every] for variant, setting in TUNINGS.items()),
        *([one.ratio(ONE, variant) for one in every] for variant in OTHERS),
        [one.ratio(OPENVINO) for one in every],
    ]
    found = [[ratio[0] for ratio in column if ratio is not None] for column in columns]
    shown = [f"{statistics.geometric_mean(column):.2f}" if column else "–" for column in found]
    allowed = [_allowed(one) for one in every]
    bound = [ratio for ratio in allowed if ratio is not None]
    macs = f"{statistics.geometric_mean(bound):.2f}" if bound else "–"
    return _line(["geometric mean", "", macs, *shown, ""])


def _allowed(one: Entry) -> float | None:
    """How many times as fast the model would be if only multiplications took time."""
    before, after = one.told(ORIGINAL, "macs"), one.told(EXACT, "macs")
    return before / after if before and after else None


def _speed(ratio: Ratio | None) -> str:
    return "–" if ratio is None else f"{ratio[0]:.2f} [{ratio[1]:.2f}, {ratio[2]:.2f}]"


def _short(one: Entry, setting: str, variant: str) -> str:
    """A ratio without its interval, or that there is none."""
    outcome = one.outcomes.get(variant, Outcome())
    if outcome.failure or setting in one.failures:
        return "failed"
    ratio = one.ratio(setting, variant)
    return "–" if ratio is None else f"{ratio[0]:.2f}"


def _error(one: Entry) -> str:
    """The error of the optimized model, and how much of its tolerance the verification saw used."""
    error, margin, status = (one.told(EXACT, what) for what in ("error", "margin", "status"))
    if error is None or status != "equal":
        return status or "–"
    return f"{error:.0e} ({math.ceil(100 * margin)} %)"


def fallen_back(entries: Iterable[Entry]) -> list[str]:
    """The models of which tuning took another level's result, as the faster one."""
    found = []
    for one in entries:
        for variant, setting in TUNINGS.items():
            taken = (one.told(variant, "choice") or {"level": "tune"})["level"]
            if taken != "tune":
                found.append(f"{one.name} on {setting} ({taken})")
    return [f"Tuning took the result of another level for {', '.join(found)}.", ""] if found else []


def largest(entries: Iterable[Entry]) -> list[str]:
    """Which file has grown most, of all that convgraph makes."""
    sizes = [
        (after / before, one.name)
        for one in entries
        for variant in (EXACT, SINGLE, *TUNINGS)
        if (before := one.told(ORIGINAL, "bytes")) and (after := one.told(variant, "bytes"))
    ]
    if not sizes:
        return []
    times, name = max(sizes)
    return [f"The largest file next to its original: {name}, {times:.3f} times as large.", ""]


def failed(entries: Iterable[Entry]) -> list[str]:
    """A line for each thing that failed."""
    lines = []
    for one in entries:
        failures = {name: outcome.failure for name, outcome in one.outcomes.items()} | dict(one.failures)
        lines += [f"* {one.name}, {what}: {why}" for what, why in failures.items() if why]
    return ["", *lines] if lines else []


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
