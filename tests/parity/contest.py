"""Runs of the tools on models, each in a process of its own, and what is to be said of their results.

A tool is imported once, in a process that then starts one for each model: seconds are those of reading,
optimizing and writing, and a run that crashes, hangs or leaves threads behind ends nothing but itself.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import onnx

from convgraph.compiler.verify import verify
from convgraph.errors import ConvgraphError
from parity.figures import Figures, figures
from parity.interface import lost
from parity.tools import TOOLS, Tool

TESTS = Path(__file__).parent.parent
BREATH = 0.005  # seconds between looks at a process
SHOWN = 120  # characters of a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a tool: its seconds, its peak memory in bytes, and how it failed, if it did."""

    seconds: float
    memory: int
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a tool made of a model: the file's figures (None where there is none), and the verdict on it.

    ``verdict`` is "equal", or opens with "different", "unverified", "invalid", "lost" (equal, but callers
    would miss something), "crashed" or "timed out".
    ``checked_seconds`` are those with the tool's own check (None: it has none, or was not asked).
    """

    verdict: str
    run: Run
    figures: Figures | None
    checked_seconds: float | None = None

    @property
    def is_right(self) -> bool:
        """Whether the result is known to be the same function as the original."""
        return self.verdict == "equal"


def runs(tool: str, jobs: Mapping[Path, Path], *, checked: bool, seconds: float) -> list[Run]:
    """Run a tool on the models, from file to file, each in at most so many seconds."""
    order = [[str(source), str(target)] for source, target in jobs.items()]
    asked = json.dumps({"tool": tool, "jobs": order, "checked": checked, "seconds": seconds})
    command = [sys.executable, "-m", "parity.contest"]
    paths = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    answered = subprocess.run(
        command,
        input=asked,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths},
        text=True,
        check=True,
    )
    return [Run(**run) for run in json.loads(answered.stdout)]


def outcomes(tool: str, jobs: Mapping[Path, Path], *, timed: bool, seconds: float) -> Iterator[Outcome]:
    """What a tool makes of the models; ``timed`` also runs it with its own check."""
    plain = runs(tool, jobs, checked=False, seconds=seconds)
    checked: Sequence[Run | None] = [None] * len(plain)
    if timed and TOOLS[tool].checks:
        spare = {source: target.with_suffix(".checked.onnx") for source, target in jobs.items()}
        checked = runs(tool, spare, checked=True, seconds=seconds)
    for (source, target), run, other in zip(jobs.items(), plain, checked, strict=True):
        failed = other is None or other.failure
        yield Outcome(
            verdict=run.failure or verdict(source, target),
            run=run,
            figures=None if run.failure else figures(onnx.load(target)),
            checked_seconds=None if failed or other is None else other.seconds,
        )


def verdict(source: Path, target: Path) -> str:
    """Convgraph's own comparison of the original with the result, in a word and its reason."""
    try:
        onnx.checker.check_model(target)
        found = verify(source, target)
    except (ConvgraphError, onnx.checker.ValidationError) as error:
        return _short(f"invalid: {error}")
    if found.equal:
        missing = lost(*(onnx.load(path, load_external_data=False) for path in (source, target)))
        return _short(f"lost: {', '.join(missing)}") if missing else "equal"
    worst = max((output.max_rel for output in found.outputs), default=0.0)
    at = f" (error {worst:.2g} of the largest)" if worst else ""
    return _short(f"{found.status}{at}: {found.reason or found.disagreement}")


def _short(message: str) -> str:
    """A message on one line, without what is another in every run: folders of models, and addresses."""
    text = " ".join(re.sub(r"/\S*/(?=[^/\s]*\.onnx)|(?<=0x)[0-9a-f]+", "", message).split())
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _first(error: BaseException) -> BaseException:
    """What an error began with."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def main() -> None:
    """Read what to do from standard input; write a list of runs to standard output."""
    asked = json.load(sys.stdin)
    tool = TOOLS[asked["tool"]]
    import_module(tool.module)
    done = [
        _apart(tool, Path(source), Path(target), checked=asked["checked"], seconds=asked["seconds"])
        for source, target in asked["jobs"]
    ]
    json.dump([asdict(run) for run in done], sys.stdout)


def _apart(tool: Tool, source: Path, target: Path, *, checked: bool, seconds: float) -> Run:
    """One run in a process of its own."""
    note = target.with_suffix(".json")
    note.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _run(tool, source, target, checked=checked, note=note)
    os.setpgid(child, child)  # by both, since nobody knows who comes first
    status, memory = _waited(child, seconds)
    if note.exists():
        return Run(memory=memory, **json.loads(note.read_text(encoding="utf-8")))
    stopped = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    failure = "timed out" if status == -signal.SIGKILL else f"crashed: {stopped}"
    return Run(seconds=seconds, memory=memory, failure=failure)


def _run(tool: Tool, source: Path, target: Path, *, checked: bool, note: Path) -> None:
    """In the child: run, leave a note, end."""
    os.setpgid(0, 0)
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - not a file of ours
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    start, failure = time.perf_counter(), ""
    try:
        tool.run(source, target, checked=checked)
    except BaseException as error:  # noqa: BLE001 - whatever a tool raises is its result
        failure = _short(f"crashed: {type(cause := _first(error)).__name__}: {cause}")
    told: dict[str, Any] = {"seconds": time.perf_counter() - start, "failure": failure}
    note.write_text(json.dumps(told), encoding="utf-8")
    os._exit(0)


def _waited(child: int, seconds: float) -> tuple[int, int]:
    """A process's exit status and peak memory in bytes; it is killed when its time is up."""
    deadline = time.monotonic() + seconds
    while True:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            unit = 1 if sys.platform == "darwin" else 1024
            return os.waitstatus_to_exitcode(status), usage.ru_maxrss * unit
        if time.monotonic() > deadline:
            os.killpg(child, signal.SIGKILL)
        time.sleep(BREATH)


if __name__ == "__main__":
    main()
