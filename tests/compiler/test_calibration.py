"""Calibration: what is measured, and how the table is kept, whatever lies there and whoever else writes."""

import itertools
import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import convgraph as cg
from convgraph.analysis.onnxruntime_cpu.predict import seconds
from convgraph.analysis.onnxruntime_cpu.rates import Rates, committed
from convgraph.analysis.target import OnnxruntimeCpu
from convgraph.compiler.calibration import calibrate, timer
from convgraph.compiler.calibration.block import block_here
from convgraph.compiler.calibration.calibrate import ROUNDS, kept_at, measured, rates_here, target_for
from convgraph.compiler.calibration.timer import Timer
from convgraph.compiler.job import Progress
from convgraph.errors import ConvgraphError, UnsupportedOp
from convgraph.importers.demo import demo_names
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Gather, Relu
from convgraph.ir.tensor import DataType


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "convgraph"


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Rates]:
    """The tables that were measured, each unlike the others; nothing is really run."""
    made: list[Rates] = []

    def fake(_measure: Timer, **_told: object) -> Rates:
        factor = float(2 ** (1 + len(made)))
        table = {name: float(f"{factor * number:.3g}") for name, number in committed().table.items()}
        made.append(Rates(block=8, table=table, machine="here", runtime="now"))
        return made[-1]

    monkeypatch.setattr(calibrate, "measured", fake)
    return made


def test_a_machine_is_measured_once(folder: Path, runs: list[Rates]) -> None:
    first = rates_here()
    assert rates_here() == first == runs[0]
    assert len(runs) == 1
    (path,) = folder.iterdir()
    assert path == kept_at()
    assert path.read_text(encoding="utf-8") == first.as_json()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        committed().as_json().encode()[:-20],
        committed().as_json().replace('"schema": 1', '"schema": 0').encode(),
        Rates(block=8, table=dict(list(committed().table.items())[1:])).as_json().encode(),
        Rates(block=8, table={**committed().table, "of another version": 1.0}).as_json().encode(),
    ],
    ids=["empty", "not a text", "not a table", "cut off", "another schema", "a rate less", "a rate more"],
)
def test_what_is_damaged_or_outdated_is_measured_anew(
    folder: Path, runs: list[Rates], content: bytes
) -> None:
    folder.mkdir(parents=True)
    kept_at().write_bytes(content)
    assert rates_here() == runs[0]
    assert kept_at().read_text(encoding="utf-8") == runs[0].as_json()
    assert rates_here() == runs[0]
    assert len(runs) == 1


@pytest.mark.parametrize(
    ("what", "other"),
    [("runtime_version", "0.0.1"), ("processor", "another processor"), ("block_here", 4), ("SCHEMA", 77)],
)
def test_another_machine_or_runtime_has_a_table_of_its_own(
    folder: Path, runs: list[Rates], monkeypatch: pytest.MonkeyPatch, what: str, other: object
) -> None:
    rates_here()
    monkeypatch.setattr(calibrate, what, other if what == "SCHEMA" else lambda: other)
    assert rates_here() == runs[1]
    monkeypatch.undo()
    assert len(list(folder.iterdir())) == 2


def test_several_runs_at_once_leave_one_whole_table(
    folder: Path, runs: list[Rates], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, together, found = calibrate.measured, threading.Barrier(4), list[Rates]()

    def slow(measure: Timer, *, progress: Progress | None = None) -> Rates:
        together.wait(timeout=30)  # nobody finds the table of another
        return fake(measure, progress=progress)

    monkeypatch.setattr(calibrate, "measured", slow)
    writers = [threading.Thread(target=lambda: found.append(rates_here())) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(runs) == len(found) == 4
    assert list(folder.iterdir()) == [kept_at()], "nothing half written is left"
    assert rates_here() in runs


def test_nothing_is_kept_of_a_measurement_that_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_measure: Timer, **_told: object) -> Rates:
        raise ConvgraphError("probe", found="a fault", expected="none")

    monkeypatch.setattr(calibrate, "measured", fails)
    with pytest.raises(ConvgraphError, match="probe: a fault"):
        rates_here()
    assert not list(folder.iterdir())


def test_a_folder_that_cannot_be_written_to_is_told_of_before_measuring(
    tmp_path: Path, runs: list[Rates], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(OSError, match="file"):
        rates_here()
    assert not runs


# ---- what is measured ----


@pytest.fixture(scope="module")
def probes() -> list[Graph]:
    """Every graph that a calibration times."""
    return []


def as_committed() -> Rates:
    """A machine as the committed table says, but for the blocks that this one has."""
    return replace(committed(), block=block_here())


@pytest.fixture(scope="module")
def recovered(probes: list[Graph]) -> tuple[Rates, list[str]]:
    """What calibration finds on such a machine, and what it told."""
    told: list[str] = []

    def predicted(graph: Graph) -> float:
        probes.append(graph)
        return seconds(graph, as_committed())

    return measured(predicted, progress=told.append), told


@pytest.mark.parametrize("name", demo_names())
def test_a_machine_that_is_as_predicted_is_found_to_be_so(
    recovered: tuple[Rates, list[str]], name: str
) -> None:
    """Probes tell rates apart, up to three digits and what fitting several at once leaves of a call."""
    graph = cg.load(f"demo:{name}")
    assert seconds(graph, recovered[0]) == pytest.approx(seconds(graph, as_committed()), rel=0.07)


def test_what_slows_down_some_probes_of_a_round_does_not_count(
    recovered: tuple[Rates, list[str]], probes: list[Graph]
) -> None:
    each, clock = len(probes) // ROUNDS, itertools.count()

    def disturbed(graph: Graph) -> float:
        around, place = divmod(next(clock), each)
        return seconds(graph, as_committed()) * (3 if around % 2 == place % 2 else 1)

    assert measured(disturbed) == recovered[0]
    assert next(clock) == len(probes) == ROUNDS * each


def test_every_committed_rate_is_measured_and_no_other(recovered: tuple[Rates, list[str]]) -> None:
    rates, _ = recovered
    assert sorted(rates.table) == sorted(committed().table)


def test_where_the_numbers_come_from_is_kept(recovered: tuple[Rates, list[str]]) -> None:
    rates, _ = recovered
    assert rates.block == block_here()
    assert rates.machine
    assert rates.runtime[0].isdigit()
    assert Rates.of_json(rates.as_json()) == rates


def test_progress_is_told_probe_by_probe(recovered: tuple[Rates, list[str]], probes: list[Graph]) -> None:
    _, told = recovered
    assert len(told) == len(probes) > 0
    assert told[0].startswith("calibrate: probe 1, ")


def test_the_timer_tells_seconds() -> None:
    b = GraphBuilder("probe", opset=17)
    table = b.input("table", shape=("N", 1000))
    index = b.input("index", shape=(1,), dtype=DataType.INT64)
    b.output(b.add(Relu(), b.add(Gather(axis=0), table, index)), name="y")
    assert timer.random_feeds(b.build())["index"].tolist() == [0], "an index that any axis has"
    spent = timer.timer()(b.build())
    assert 1e-7 < spent < 1e-2


# ---- who asks for it ----


def test_a_calibrated_target_counts_with_what_was_measured(folder: Path, runs: list[Rates]) -> None:
    plain = target_for("onnxruntime-cpu", calibrate=False)
    assert isinstance(plain, OnnxruntimeCpu)
    assert plain.rates == committed()
    assert not folder.exists()
    target = target_for("onnxruntime-cpu", calibrate=True)
    assert isinstance(target, OnnxruntimeCpu)
    assert target.rates == runs[0] != committed()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["generic", "unheard-of"])
def test_a_target_without_rates_is_not_calibrated(runs: list[Rates], name: str) -> None:
    with pytest.raises(UnsupportedOp, match=name):
        target_for(name, calibrate=True)
    assert not runs


@pytest.mark.usefixtures("folder")
def test_optimize_says_which_target_it_counted_with(runs: list[Rates]) -> None:
    b = GraphBuilder("small", opset=17)
    b.output(b.add(Relu(), b.input("x", shape=(1, 4))), name="y")
    for asked, rates in ((False, committed), (True, lambda: runs[0])):
        result = cg.optimize(b.build(), calibrate=asked, verify=False)
        assert isinstance(result.target, OnnxruntimeCpu)
        assert result.target.rates == rates()
        assert np.isfinite(result.target.price(result.graph)).all()


@pytest.mark.usefixtures("folder", "runs")
def test_the_table_is_json_for_people() -> None:
    rates_here()
    content = json.loads(kept_at().read_text(encoding="utf-8"))
    assert list(content) == ["schema", "machine", "onnxruntime", "block", "rates"]
    assert list(content["rates"]) == sorted(content["rates"])
