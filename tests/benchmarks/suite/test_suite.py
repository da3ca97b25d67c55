"""The suite's runner: what it keeps, what it prints, and that it measures what it says."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from benchmarks.suite import __main__ as runner
from benchmarks.suite import results, steps, variants
from benchmarks.suite.apart import StepFailed, apart
from benchmarks.suite.results import ONE, OPENVINO, TWO, Entry, Outcome
from benchmarks.suite.stored import is_newer, put
from benchmarks.suite.variants import folder_of
from onnx import TensorProto, helper, numpy_helper

import convgraph as cg


def outcome(macs: int, ratio: float, *, size: int = 100, level: str = "") -> Outcome:
    """A variant that is so many times as fast; ``level``: what tuning took."""
    told = {"macs": macs, "error": 2.5e-7, "margin": 0.031, "status": "equal", "bytes": size}
    chosen = {"choice": {"level": level}} if level else {}
    interval = (ratio, ratio - 0.1, ratio + 0.1)
    return Outcome(told=told | chosen, ratios=dict.fromkeys((ONE, TWO, OPENVINO), interval))


def entries() -> list[Entry]:
    return [
        Entry(
            name="slow",
            date="2026-01-02",
            outcomes={
                "original": outcome(4_000_000_000, 1.0),
                "exact": outcome(4_000_000_000, 1.0),
                "tuned for two": outcome(4_000_000_000, 1.5, level="clean"),
            },
            failures={OPENVINO: "crashed: SIGSEGV"},
        ),
        Entry(
            name="fast",
            date="2026-01-03",
            outcomes={
                "original": outcome(8_000_000_000, 1.0),
                "onnxsim": outcome(8_000_000_000, 1.0),
                "onnxslim": Outcome(failure="KeyError: 'x'"),
                "exact": outcome(2_000_000_000, 4.0),
                "single": outcome(1_000_000_000, 5.0, size=104),
                "tuned": outcome(1_000_000_000, 6.0, level="tune"),
            },
        ),
    ]


def test_the_table_has_the_largest_gain_first_then_means_and_failures() -> None:
    lines = results.table(entries(), machine="A processor", versions={"onnx": "1.2"}).splitlines()
    four, one, off = "4.00 [3.90, 4.10]", "1.00 [0.90, 1.10]", "2e-07 (4 %)"
    assert lines[2:5] == [
        f"| fast | 8 → 2 | 4.00 | {four} | {four} | 6.00 | – | 5.00 | – | 1.00 | failed | 4.00 | {off} |",
        f"| slow | 4 | 1.00 | {one} | {one} | – | 1.50 | – | – | – | – | failed | {off} |",
        "| geometric mean |  | 2.00 | 2.00 | 2.00 | 6.00 | 1.50 | 5.00 | – | 1.00 | – | 2.00 |  |",
    ]
    assert lines[6] == "Tuning took the result of another level for slow on 2 threads (clean)."
    assert lines[8] == "The largest file next to its original: fast, 1.040 times as large."
    assert lines[10] == "A processor; onnx 1.2; measured 2026-01-02 to 2026-01-03."
    assert lines[12:] == ["* fast, onnxslim: KeyError: 'x'", f"* slow, {OPENVINO}: crashed: SIGSEGV"]
    assert len({line.count("|") for line in lines[:5]}) == 1


def test_a_model_that_could_not_be_made_has_a_line() -> None:
    broken = Entry(name="broken", date="2026-01-02", outcomes={}, failures={"model": "no export"})
    lines = results.table([broken], machine="", versions={}).splitlines()
    assert lines[2] == "| broken | – | – | – | – | – | – | – | – | – | – | – | – |"
    assert lines[-1] == "* broken, model: no export"


def test_a_result_that_is_not_proven_equal_is_called_so() -> None:
    doubtful = Outcome(told={"macs": 1, "error": 0.1, "margin": 7.0, "status": "different"})
    entry = Entry(name="m", date="", outcomes={"original": outcome(1, 1.0), "exact": doubtful})
    assert results.row(entry).endswith("| different |")


def test_the_record_gives_back_what_was_put_in(tmp_path: Path) -> None:
    path = tmp_path / "new" / "suite.json"
    results.write(path, entries())
    found, told = results.read(path)
    assert [results.row(entry) for entry in found] == [results.row(entry) for entry in reversed(entries())]
    assert told == {"machine": results.machine(), "versions": results.versions()}
    assert "onnxruntime" in told["versions"]
    text = path.read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), indent=1, sort_keys=True) + "\n"


def test_a_step_that_fails_says_why_in_a_line() -> None:
    with pytest.raises(StepFailed, match="KeyError: 'nobody'"):
        apart("rival", tool="nobody", source="", target="")


def test_a_file_is_there_whole_and_made_again_when_it_is_older(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    put(source, "a")
    assert not is_newer(target, [source])
    put(target, "b")
    assert is_newer(target, [source])
    assert {path.name for path in tmp_path.iterdir()} == {"source", "target"}
    put(source, "c")
    assert not is_newer(target, [source]) or source.stat().st_mtime == target.stat().st_mtime


def test_files_of_one_name_have_folders_of_their_own(tmp_path: Path) -> None:
    assert folder_of("a/m.onnx", work=tmp_path) != folder_of("b/m.onnx", work=tmp_path)
    assert folder_of("resnet50", work=tmp_path) == tmp_path / "resnet50"
    assert folder_of("/a/m.onnx", work=tmp_path).parent == tmp_path


# ---- a run ----


def saved(folder: Path) -> Path:
    """Two pointwise convolutions that become one."""
    random = np.random.default_rng(0)
    shapes = {"wide": (64, 8, 1, 1), "narrow": (8, 64, 1, 1)}
    weights = [
        numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Conv", ["x", "wide"], ["between"]),
        helper.make_node("Conv", ["between", "narrow"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 8, 32, 24)) for name in "xy"]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10),
        folder / "m.onnx",
    )
    return folder / "m.onnx"


def asked(work: Path, **other: Any) -> argparse.Namespace:
    told = {"variants": ["exact"], "threads": [1], "seconds": 0.05, "openvino": False, "again": False}
    return argparse.Namespace(work=work, **(told | other))


def test_a_run_counts_compares_times_and_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool that fails is noted, and the rest is timed."""
    monkeypatch.setattr(variants, "MAKERS", {**variants.MAKERS, "none": ("rival", {"tool": "nobody"})})
    model, work = str(saved(tmp_path)), tmp_path / "work"
    entry = runner.found(model, asked(work, variants=["none", "exact"]))
    assert not entry.failures
    assert entry.outcomes["none"].failure == "KeyError: 'nobody'"
    assert [entry.told(name, "macs") for name in ("original", "exact")] == [2 * 8 * 64 * 768, 64 * 768]
    assert [entry.told(name, "nodes") for name in ("original", "exact")] == [2, 1]
    assert entry.told("exact", "status") == "equal"
    assert 0 < entry.told("exact", "error") < 1e-5
    assert entry.ratio(ONE, "original") == (1, 1, 1)
    middle, low, high = entry.ratio(ONE) or (0, 0, 0)
    assert 0 < low <= middle <= high
    assert entry.rounds[ONE] >= 5
    assert runner.found(model, asked(work, variants=["what was asked before holds"])) == entry


def test_results_that_differ_while_they_are_timed_are_a_failure() -> None:
    wrong = {"original": {"error": 0.0, "share": 0.0}, "exact": {"error": 0.5, "share": 9.0}}
    assert runner.astray({"errors": wrong}) == "exact is off by 0.5"
    assert not runner.astray({"errors": {"original": wrong["original"]}})
    assert not runner.astray({})


def test_an_error_is_relative_to_the_largest_value_and_a_share_of_the_tolerance(tmp_path: Path) -> None:
    graph = cg.load(saved(tmp_path))
    right = {"y": np.linspace(-4, 2, 8, dtype=np.float32)}
    wrong = {"y": right["y"] + np.float32(1)}
    assert steps.deviation(graph, right, right) == {"error": 0.0, "share": 0.0}
    assert steps.deviation(graph, right, wrong)["error"] == pytest.approx(0.25)
    assert steps.deviation(graph, right, wrong)["share"] > 1
    with pytest.raises(ArithmeticError, match="not finite"):
        steps.deviation(graph, right, {"y": np.full(8, np.nan, np.float32)})
