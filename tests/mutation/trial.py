"""A mutant before its judges: a copy of the checkout with one file changed, and the tests run there."""

import ast
import importlib
import multiprocessing
import os
import re
import resource
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from mutation.source import Mutant

PARTS = ("convgraph", "tests", "examples", "pyproject.toml", "README.md", "CHANGELOG.md")
BESIDE = ("passes", "exporters")
LIMIT = 3600  # seconds for one stage, on a machine however busy
WORK = (30, 6, 300)  # seconds of a processor for the nearest tests: at least, for each rewrite, at most
WIDE_WORK = 1800  # seconds of a processor for a wider stage
WIDER = (
    ("tests/passes",),
    ("tests/regressions", "tests/examples", "tests/compiler"),
    ("tests/cli", "tests/analysis", "tests/report", "tests/exporters"),
)
LAWS = "tests/passes/test_rewrite_laws.py"
OF_ALL = tuple(f"tests/passes/test_{name}.py" for name in ("pipeline", "search", "trace", "account"))
MANY = 30  # test files, of rewrites that use a file
FORK = multiprocessing.get_context("fork")
LOADED = (
    "hypothesis",
    "convgraph.exporters.onnx_model",
    "convgraph.importers.onnx_model",
    "convgraph.numerics.session",
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a mutant: "killed", "survived", "timeout" or "stillborn", which no import gets past."""

    outcome: str
    stage: int
    killer: str
    seconds: float


class Tree:
    """A copy of the checkout, laid out as it is when installed, that files are changed in."""

    def __init__(self, root: Path, scratch: Path) -> None:
        self.scratch = scratch
        for part in PARTS:
            source = root / part
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            copy(source, scratch / part)
        for part in BESIDE:
            shutil.copytree(root / part, scratch / "convgraph" / part)
        self.readers = _readers(root)
        sys.path.insert(0, str(scratch))
        for name in LOADED:
            importlib.import_module(name)
        assert "convgraph.passes" not in sys.modules, "a fault put there would not be seen"

    def stages(self, file: str) -> list[list[str]]:
        """What to run for a fault in a file, nearest first: arguments for pytest."""
        used = sorted(self.readers[file])
        named = [Path("tests") / Path(path).with_name(f"test_{Path(path).name}") for path in used]
        own = [str(path) for path in named if (self.scratch / path).exists()]
        of_all = OF_ALL if Path(file).parent == Path("passes") else ()
        return [[*of_all, LAWS, *own[:MANY]], *(list(wider) for wider in WIDER)]

    def judged(self, mutant: Mutant, stages: Sequence[Sequence[str]]) -> Outcome:
        """Run one stage after the other with the mutant in place, up to the first that fails."""
        target = self.scratch / "convgraph" / mutant.file
        original, stamp = target.read_bytes(), target.stat()
        start = time.monotonic()
        try:
            target.write_text(mutant.text, encoding="utf-8")
            for number, arguments in enumerate(stages, start=1):
                only = {Path(path).stem.replace("_", "-") for path in self.readers[mutant.file]}
                status, killer = self.run(arguments, only=only if number == 1 else ())
                if status:
                    return Outcome(
                        outcome=status, stage=number, killer=killer, seconds=time.monotonic() - start
                    )
        finally:
            target.write_bytes(original)
            os.utime(target, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # what is compiled of it stays good
        return Outcome(outcome="survived", stage=len(stages), killer="", seconds=time.monotonic() - start)

    def run(self, arguments: Sequence[str], *, only: Iterable[str] = ()) -> tuple[str, str]:
        """What becomes of a mutant by these tests, "" when they pass; and the test that noticed.

        ``only`` are the rewrites whose laws are of interest; all when it is empty.
        """
        log, least, each, most = self.scratch / "log", *WORK
        work = min(least + each * len(list(only)), most) if only else WIDE_WORK
        process = FORK.Process(target=_tested, args=(self.scratch, log, list(arguments), set(only), work))
        process.start()
        process.join(LIMIT)
        assert process.pid is not None
        with suppress(ProcessLookupError):  # what the tests have started ends with them, on time or not
            os.killpg(process.pid, signal.SIGKILL)
        process.join()
        status = process.exitcode or 0
        if status in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
            return "", ""
        said = log.read_text(encoding="utf-8", errors="replace")
        failed = re.search(r"^(?:FAILED|ERROR) (.*)", said, re.MULTILINE)
        killer = failed[1] if failed else said[-300:]
        born = "::" in killer and status != pytest.ExitCode.INTERRUPTED  # what fails as a test, not as a file
        outcome = "killed" if born else "stillborn"
        return "timeout" if status in (-signal.SIGXCPU, -signal.SIGKILL) else outcome, killer


def _tested(tree: Path, log: Path, arguments: list[str], only: set[str], work: int) -> None:
    """Run pytest in a process of its own; every mutant would otherwise wait for numpy and the runtime."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (work, work + 5))
    os.chdir(tree)
    os.environ["PYTHONPATH"] = str(tree)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # a fifth of the time of a short run
    # No bytecode is written: of two mutants of one length within a second it could be the other's.
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    with log.open("w", encoding="utf-8") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    try:
        passes = importlib.import_module("convgraph.passes")
    except Exception:  # noqa: BLE001 - whatever a fault does to an import
        os._exit(pytest.ExitCode.INTERRUPTED)
    if only:
        passes.ALL = tuple(rewrite for rewrite in passes.ALL if rewrite.name in only)
    here = ("-o", "addopts=--import-mode=importlib")  # not side by side: this process has the fault
    status = pytest.main(["-q", "-x", "--tb=no", "-p", "no:cacheprovider", *here, *arguments])
    sys.stdout.flush()
    os._exit(status)


def _readers(root: Path) -> dict[str, set[str]]:
    """For each file of passes/ those that import it, directly or through others."""
    files = {str(path.relative_to(root)): path for path in (root / "passes").rglob("*.py")}
    direct = {file: set(_imported(path)) & set(files) for file, path in files.items()}
    readers = {file: {other for other in files if file in direct[other]} for file in files}
    ends = [file for file in files if file.endswith("__init__.py")]
    for _ in files:
        for file, found in readers.items():
            readers[file] = (found | {more for other in found for more in readers[other]}) - set(ends)
    return {file: found | {file} for file, found in readers.items()}


def _imported(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return [f"{name.removeprefix('convgraph.').replace('.', '/')}.py" for name in names]
