"""What killed processes leave is collected; what living ones hold stays, whoever comes along."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest

from convgraph.exporters.onnx_model import ready, save, tensors
from convgraph.exporters.replacing import replacing
from convgraph.held import temporary_folder
from convgraph.importers.onnx_model import load
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv

pytest.importorskip("fcntl", reason="without locks nothing can be told to be left")

WRITES = """
import sys, time
from pathlib import Path
from convgraph.exporters.replacing import temporary
from convgraph.held import temporary_folder
with temporary(beside=Path("m.onnx")), temporary_folder() as folder:
    print(folder, flush=True)
    time.sleep(600)
"""


def net(*, seed: int) -> Graph:
    b = GraphBuilder("net", opset=17)
    weight = np.random.default_rng(seed).standard_normal((30, 4, 3, 2)).astype(np.float32)
    b.output(b.add(Conv.of(2), b.input("x", shape=(2, 4, 6, 5)), weight), name="y")
    return b.build()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@contextmanager
def another_run(folder: Path) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """A process in the middle of writing m.onnx, and its temporary folder."""
    surroundings = {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen(
        [sys.executable, "-c", WRITES], cwd=folder, stdout=subprocess.PIPE, text=True, env=surroundings
    ) as process:
        assert process.stdout is not None
        try:
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


def test_what_a_killed_run_left_goes_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for other in (".m.onnx.backup.part", ".n.onnx.abcdefgh.part", "convgraph-mymodels"):
        (tmp_path / other).mkdir() if other.startswith("conv") else (tmp_path / other).touch()
    kept = names(tmp_path)
    with another_run(tmp_path) as (process, folder):
        assert folder.parent == tmp_path
        during = names(tmp_path)
        assert len(during) == len(kept) + 2
        with temporary_folder():
            save(net(seed=0), tmp_path / "m.onnx")
        assert names(tmp_path) == during | {"m.onnx"}
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert names(tmp_path) == during | {"m.onnx"}
    with temporary_folder():
        assert not folder.exists()
    save(net(seed=1), tmp_path / "m.onnx")
    assert names(tmp_path) == kept | {"m.onnx"}


def test_nothing_is_taken_away_where_a_folder_cannot_be_listed(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / ".m.onnx.abcdefgh.part").touch()
    inside.chmod(0o300)
    with replacing(inside / "m.onnx") as file:
        file.write(b"whole")
    inside.chmod(0o700)
    assert (inside / "m.onnx").read_bytes() == b"whole"


@pytest.mark.parametrize("seeds", [(0, 1), (0, 0), (1, 0)])
@pytest.mark.parametrize("old", [False, True])
def test_two_runs_to_one_place_leave_a_whole_model(
    tmp_path: Path, seeds: tuple[int, int], *, old: bool
) -> None:
    place = tmp_path / "m.onnx"
    if old:
        save(net(seed=1), place, external_data="always")
    first, second = (ready(net(seed=seed), place=place, external_data="always") for seed in seeds)
    second.settle()
    assert_whole(place, seed=seeds[1])
    first.settle()
    assert_whole(place, seed=seeds[0])
    save(net(seed=seeds[0]), place, external_data="always")
    assert len(names(tmp_path)) == 2


def test_a_run_that_is_dropped_leaves_the_data_of_another(tmp_path: Path) -> None:
    place = tmp_path / "m.onnx"
    first, second = (ready(net(seed=0), place=place, external_data="always") for _ in range(2))
    first.close()
    second.settle()
    assert_whole(place, seed=0)
    assert len(names(tmp_path)) == 2


def assert_whole(place: Path, *, seed: int) -> None:
    onnx.checker.check_model(str(place))
    found, expected = (next(tensors(graph)).numpy() for graph in (load(place), net(seed=seed)))
    np.testing.assert_array_equal(found, expected)
