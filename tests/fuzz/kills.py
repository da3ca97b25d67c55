"""Kills ``convgraph optimize`` at random moments, then looks at what is left: nothing, the old, or the new.

Run it with ``python tests/fuzz/kills.py [KILLS] [--seed N]``; 200 kills take a few minutes. Models with their
weights inside and with their weights in a file beside them are optimized to a fresh place, over an older
result, and in place. Exits 1 when a file is found that is neither absent, nor the old one, nor whole, or when
the next run leaves anything of the killed one lying about.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convgraph.exporters.onnx_model import ExternalData, save, to_onnx
from convgraph.exporters.staged import serialised
from convgraph.importers.onnx_model import load
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import BatchNormalization, Conv

RUN = """
import sys, time
from convgraph.cli.main import main
from convgraph.installed import part
part("convgraph.cli.optimize")
print("ready", flush=True)
main(["optimize", *sys.argv[1:]])
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model to optimize, where to, and what is there before."""

    external: ExternalData
    out: str
    old: bool
    verify: bool

    def __str__(self) -> str:
        weights = "beside" if self.external == "always" else "inside"
        place = (
            "in place" if self.out == "m.onnx" else "over an older one" if self.old else "to a fresh place"
        )
        return f"weights {weights}, {place}, {'verified' if self.verify else 'not verified'}"

    def laid_out(self, folder: Path) -> None:
        """Make the files that are there before."""
        save(net(seed=0), folder / "m.onnx", external_data=self.external)
        if self.old:
            save(net(seed=1), folder / self.out, external_data=self.external)

    def started(self, folder: Path) -> "subprocess.Popen[str]":
        """The command, everything imported and about to begin."""
        options = ["--external-data", self.external, "-q", *([] if self.verify else ["--no-verify"])]
        (folder / "temporary").mkdir(exist_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, "m.onnx", "-o", self.out, *options],
            cwd=folder,
            env={**os.environ, "TMPDIR": str(folder / "temporary")},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )
        assert process.stdout is not None
        process.stdout.readline()
        return process


CASES = [
    Case(external=external, out=out, old=old, verify=verify)
    for external in ("never", "always")
    for out, old in (("out.onnx", False), ("out.onnx", True), ("m.onnx", False))
    for verify in (False, False, True)
]


def net(*, seed: int) -> Graph:
    """A model of about 5 MB with a normalisation to fold."""
    rng = np.random.default_rng(seed)

    def numbers(*shape: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)

    b = GraphBuilder("net", opset=17)
    y = b.input("x", shape=(1, 32, 5, 4))
    y = b.add(Conv.of(2), y, numbers(32, 32, 1, 1) - 1)
    y = b.add(BatchNormalization(), y, *(numbers(32) for _ in range(4)))
    y = b.add(Conv.of(2), y, numbers(1024, 32, 3, 2) - 1)
    b.output(b.add(Conv.of(2), y, numbers(1024, 1024, 1, 1) - 1), name="y")
    return b.build()


def state(path: Path) -> bytes | None:
    """What a model file is, its data beside it included; None where there is none."""
    return serialised(to_onnx(load(path))) if path.exists() else None


def outcome(case: Case, *, moment: float, whole: dict[bytes | None, str]) -> str:
    """What is left when the command is killed so many seconds after it began."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        case.laid_out(folder)
        before = {path: state(folder / path) for path in ("m.onnx", case.out)}
        process = case.started(folder)
        time.sleep(moment)
        if process.poll() is None:
            subprocess.run(["kill", "-KILL", "--", f"-{process.pid}"], check=False)
        status = process.wait()
        if case.out != "m.onnx" and state(folder / "m.onnx") != before["m.onnx"]:
            return "BROKEN: the model it read"
        try:
            left = state(folder / case.out)
        except Exception as error:  # noqa: BLE001 - whatever does not load is what is looked for
            return f"BROKEN: {error}"
        known = {before[case.out]: "the old one" if before[case.out] else "nothing", **whole}
        done = "" if status == -signal.SIGKILL else f" (exit {status})"
        if remains := remains_after_another(case, folder):
            return f"BROKEN: left lying about: {remains}"
        return known.get(left, "BROKEN: something else") + done


def remains_after_another(case: Case, folder: Path) -> list[str]:
    """What a run to the end leaves beside the models, their data, and the temporary files of runtimes."""
    case.started(folder).wait()
    found = [*folder.glob(".*.part"), *(folder / "temporary").glob("convgraph-*")]
    data = len([*folder.glob("*.data")])
    models = len([*folder.glob("*.onnx")])
    surplus = [f"{data} data files for {models} models"] if data > models else []
    return [*(path.name for path in found), *surplus]


def finished(case: Case) -> tuple[float, bytes | None]:
    """How many seconds the command takes when it is left alone, and what it makes."""
    with tempfile.TemporaryDirectory() as name:
        case.laid_out(Path(name))
        process = case.started(Path(name))
        start = time.perf_counter()
        process.wait()
        return time.perf_counter() - start, state(Path(name) / case.out)


def main() -> int:
    """Kill so many runs, print what was left of each kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", nargs="?", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    alone = {case: finished(case) for case in set(CASES)}
    counts: Counter[tuple[str, str]] = Counter()
    for number in range(given.kills):
        case = CASES[number % len(CASES)]
        seconds, made = alone[case]
        found = outcome(case, moment=rng.uniform(0, seconds), whole={made: "the new one"})
        counts[str(case), found] += 1
        if "BROKEN" in found:
            print(f"kill {number}, {case}: {found}", flush=True)
    for (case_name, found), count in sorted(counts.items()):
        print(f"{count:5} {case_name}: {found}")
    return int(any("BROKEN" in found for _, found in counts))


if __name__ == "__main__":
    sys.exit(main())
