"""What convgraph and three other optimizers make of the same models, and whether it is right.

Run it with ``PYTHONPATH=tests python tests/benchmarks/peers.py [MODEL.onnx | FOLDER | PATTERN …]`` where
the extra ``peers`` is installed; without arguments it takes all the patterns of tests/parity. "clean" is
convgraph with ``--level clean``, "convgraph" with all that it does by default. A line is a model and the
nodes that each tool leaves of it, then what is wrong with results; at the end, for each tool, what it leaves
of the models that all of them get right, and what it took: seconds of reading, optimizing and writing,
without and with the tool's own check, and the peak memory. ``--json FILE`` writes all of it, also by type of
operator. ``--record`` only runs the others, and notes what they make of the patterns: tests/parity holds
convgraph to that.
"""

import argparse
import fnmatch
import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import onnx
from parity import record
from parity.contest import Outcome, outcomes
from parity.figures import Figures, figures
from parity.pattern import Pattern, collected
from parity.tools import TOOLS

RIVALS = tuple(name for name, tool in TOOLS.items() if tool.is_rival)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A model, its figures before, and what each tool made of it."""

    name: str
    before: Figures
    outcomes: Mapping[str, Outcome]

    @property
    def all_right(self) -> bool:
        """Whether every tool got it right."""
        return all(outcome.is_right for outcome in self.outcomes.values())

    def recorded(self) -> record.Recorded:
        """What is kept of it."""
        return record.Recorded(
            operators=self.before.operators,
            before=record.Left(nodes=self.before.nodes, bytes=self.before.bytes),
            rivals={name: left(outcome) for name, outcome in self.outcomes.items()},
        )


def left(outcome: Outcome) -> record.Left:
    """What is kept of an outcome."""
    made = outcome.figures
    nodes, size = (None, None) if made is None else (made.nodes, made.bytes)
    return record.Left(nodes=nodes, bytes=size, verdict=outcome.verdict)


def sources(asked: Sequence[str], *, folder: Path) -> dict[str, Path]:
    """The models to run on, by name: files, those in folders, and patterns, which are written to a folder."""
    files, wanted = list[Path](), list[str]()
    for one in asked:
        path = Path(one)
        files += sorted(path.rglob("*.onnx")) if path.is_dir() else [path] * path.is_file()
        wanted += [] if path.exists() else [one]
    for pattern in patterns(wanted if asked else ["*"]):
        files.append(folder / f"{pattern.name}.onnx")
        onnx.save(pattern.model(), files[-1])
    return {path.stem if path.parent == folder else str(path): path for path in files}


def patterns(wanted: Sequence[str]) -> list[Pattern]:
    """The patterns of these names, in which * stands for anything."""
    return [p for p in collected() if any(fnmatch.fnmatchcase(p.name, name) for name in wanted)]


def entries(
    models: Mapping[str, Path], *, tools: Sequence[str], folder: Path, timed: bool, seconds: float
) -> list[Entry]:
    """Run the tools on the models."""
    made = {}
    for tool in tools:
        (folder / tool).mkdir()
        jobs = {path: folder / tool / f"{number}.onnx" for number, path in enumerate(models.values())}
        made[tool] = list(outcomes(tool, jobs, timed=timed, seconds=seconds))
    return [
        Entry(
            name=name,
            before=figures(onnx.load(path)),
            outcomes={tool: made[tool][number] for tool in tools},
        )
        for number, (name, path) in enumerate(models.items())
    ]


def show(found: Sequence[Entry], *, tools: Sequence[str]) -> None:
    """Print nodes and verdicts, a line for each model."""
    width = max(len(entry.name) for entry in found)
    print(f"{'nodes':{width}} {'before':>8}", *(f"{tool:>10}" for tool in tools))
    for entry in found:
        cells = [cell(entry.outcomes[tool]) for tool in tools]
        print(f"{entry.name:{width}} {entry.before.nodes:8}", *(f"{shown:>10}" for shown in cells))
        for tool, outcome in entry.outcomes.items():
            if not outcome.is_right:
                print(f"{'':{width}} {tool}: {outcome.verdict}")


def cell(outcome: Outcome) -> str:
    """The nodes that are left; in brackets where the result is not known to be right."""
    nodes = "-" if outcome.figures is None else str(outcome.figures.nodes)
    return nodes if outcome.is_right else f"({nodes})"


def totals(found: Sequence[Entry], *, tools: Sequence[str]) -> None:
    """Print what each tool leaves and takes."""
    shared = [entry for entry in found if entry.all_right]
    print(f"\nof {len(found)} models; nodes, parameters and bytes of the {len(shared)} that all get right")
    print(f"{'':10} {'right':>6} {'nodes':>8} {'types':>6} {'parameters':>12} {'bytes':>12}", end="")
    print(f" {'seconds':>9} {'checked':>9} {'MB':>7}")
    before = [entry.before for entry in shared]
    print(f"{'before':10} {'':6} {line(before)}")
    for tool in tools:
        made = [entry.outcomes[tool] for entry in found]
        right = sum(outcome.is_right for outcome in made)
        after = [o.figures for e in shared if (o := e.outcomes[tool]).figures is not None]
        checked = [o.checked_seconds for o in made if o.checked_seconds is not None]
        took = [
            statistics.median([o.run.seconds for o in made]),
            statistics.median(checked) if checked else None,
        ]
        shown = " ".join(f"{'-' if s is None else format(s, '.3f'):>9}" for s in took)
        memory = max(outcome.run.memory for outcome in made) / 1e6
        print(f"{tool:10} {right:6} {line(after)} {shown} {memory:7.0f}")


def line(models: Sequence[Figures]) -> str:
    """The sums over models."""
    types = {operator for model in models for operator in model.operators}
    nodes, parameters, size = (
        sum(getattr(model, field) for model in models) for field in ("nodes", "parameters", "bytes")
    )
    return f"{nodes:8} {len(types):6} {parameters:12} {size:12}"


def keep(found: Sequence[Entry], *, versions: Mapping[str, str]) -> None:
    """Record these patterns; of what was recorded before, what still is a pattern stays."""
    names = {pattern.name for pattern in collected()}
    noted = record.read() | {entry.name: entry.recorded() for entry in found}
    record.write({name: noted[name] for name in names & noted.keys()}, versions=versions)


def main() -> None:
    """Run, print, and write what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="MODEL.onnx | FOLDER | PATTERN")
    parser.add_argument("--tools", nargs="+", choices=list(TOOLS), default=list(TOOLS))
    parser.add_argument("--seconds", type=float, default=300, help="that a tool has for a model")
    parser.add_argument("--untimed", action="store_true", help="without runs with the tools' own checks")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--record", action="store_true")
    asked = parser.parse_args()
    tools = RIVALS if asked.record else asked.tools
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        models = sources(asked.models, folder=folder)
        timed = not (asked.untimed or asked.record)
        found = entries(models, tools=tools, folder=folder, timed=timed, seconds=asked.seconds)
    versions = {TOOLS[tool].package: version(TOOLS[tool].package) for tool in tools}
    show(found, tools=tools)
    totals(found, tools=tools)
    if asked.record:
        keep(found, versions=versions)
    if asked.json is not None:
        told = {"versions": versions, "models": [asdict(entry) for entry in found]}
        asked.json.write_text(json.dumps(told, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
