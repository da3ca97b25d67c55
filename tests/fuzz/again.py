"""Every run gives the same bytes, however strings hash, and optimising what it gave changes none of them.

Run it with ``PYTHONPATH=tests python -m fuzz.again [COUNT] [--seed N] [--models FILE …]``: random networks
(every other one inside an If or a Loop as well), model files (weights in the file and beside it) and the
patterns of ``tests/parity``, at each level, once in a process for each of ``--hashes`` (PYTHONHASHSEED).
Nothing is verified here. Whatever differs is printed with its name; exit status 1 when anything does.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Literal

import onnx
from fuzz.generator import network
from fuzz.wrapped import Kind, wrapped
from parity.pattern import collected

from convgraph.compiler.optimize import optimize
from convgraph.errors import UnsupportedOp
from convgraph.exporters.onnx_model import ExternalData, to_onnx

Level = Literal["clean", "exact"]
LEVELS: tuple[Level, ...] = ("clean", "exact")
HASHES = ("0", "1", "12345", "random")

Source = onnx.ModelProto | Path
Subject = tuple[str, Source]


def networks(count: int, *, seed: int) -> Iterator[Subject]:
    """Random networks by themselves, and every other one inside control flow as well."""
    for number in range(seed, seed + count):
        try:
            proto = to_onnx(network(number))
        except UnsupportedOp:
            proto = to_onnx(network(number, newest=True))
        yield f"network {number}", proto
        if number % 2:
            kind: Kind = "If" if number % 4 == 1 else "Loop"
            yield f"network {number} in a {kind}", wrapped(proto, kind, seed=number)


def patterns() -> Iterator[Subject]:
    """The patterns of the parity table."""
    return ((f"pattern {pattern.name}", pattern.model()) for pattern in collected())


def told(subjects: Iterator[Subject]) -> Iterator[str]:
    """A line for each way of optimising a subject: which, what came out, what then changed in it."""
    for name, source in subjects:
        for level in LEVELS:
            for apart in ("never", "always") if isinstance(source, Path) else ("never",):
                beside = ", weights beside it" if apart == "always" else ""
                try:
                    digest, change = _outcome(source, level=level, external_data=apart)
                except Exception as error:  # noqa: BLE001 - anything at all is a finding
                    digest, change = "failed", f"{type(error).__name__}: {error}"
                yield f"{name}, {level}{beside}\t{digest}\t{change}"


def _outcome(source: Source, *, level: Level, external_data: ExternalData) -> tuple[str, str]:
    """What tells the files of a result from others, and what optimising it again changes: "" for nothing."""
    with tempfile.TemporaryDirectory() as folder:
        once, twice = Path(folder, "once"), Path(folder, "twice")
        _optimized(source, once, level=level, external_data=external_data)
        steps = _optimized(once / "m.onnx", twice, level=level, external_data=external_data)
        first, second = _digest(once), _digest(twice)
    return first, "" if first == second else "; ".join(steps) or "without any rewrite"


def _optimized(source: Source, folder: Path, *, level: Level, external_data: ExternalData) -> list[str]:
    """Write the result into a new folder; returns the rewrites applied."""
    folder.mkdir()
    result = optimize(
        source, level=level, verify=False, destination=folder / "m.onnx", external_data=external_data
    )
    with closing(result.ready):
        result.ready.settle()
    return [f"{step.rewrite} at {step.at}" for step in result.trace.applications]


def _digest(folder: Path) -> str:
    parts = [f"{path.name} {sha256(path.read_bytes()).hexdigest()}" for path in sorted(folder.iterdir())]
    return sha256("\n".join(parts).encode()).hexdigest()[:16]


def findings(runs: Sequence[Sequence[str]]) -> Iterator[str]:
    """What changed when optimized again, and what came out otherwise in one run than in the first."""
    for told_first, *others in zip(*runs, strict=True):
        name, digest, change = told_first.split("\t")
        if change:
            yield f"{name}: a second run changes it: {change}"
        digests = {digest, *(other.split("\t")[1] for other in others)}
        if len(digests) > 1:
            yield f"{name}: {len(digests)} results of {len(runs)} runs"


def in_a_process(arguments: Sequence[str], *, hashes: str) -> list[str]:
    """What a process of its own tells of the subjects that the arguments name."""
    command = [sys.executable, "-m", "fuzz.again", "--tell", *arguments]
    paths = os.pathsep.join(sys.path)
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONHASHSEED": hashes, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def main() -> int:
    """Run the subjects once with each hash seed and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", nargs="*", type=Path, default=[])
    parser.add_argument("--no-patterns", action="store_true")
    parser.add_argument("--hashes", nargs="*", default=HASHES)
    parser.add_argument("--tell", action="store_true", help="one run here: a line for each result")
    given = parser.parse_args()
    if given.tell:
        models = ((str(path), path) for path in given.models)
        shown = iter(()) if given.no_patterns else patterns()
        for line in told(chain(networks(given.count, seed=given.seed), models, shown)):
            print(line, flush=True)
        return 0
    arguments = [str(given.count), "--seed", str(given.seed)]
    arguments += ["--no-patterns"] * given.no_patterns
    arguments += ["--models", *map(str, given.models)]
    runs = [in_a_process(arguments, hashes=hashes) for hashes in given.hashes]
    found = list(findings(runs))
    print("\n".join(found))
    print(f"{len(runs[0])} results, each by {len(runs)} runs: {len(found)} findings")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
