"""``--calibrate``: the table of this machine is counted with, and the report says so."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result

from convgraph.analysis.onnxruntime_cpu.rates import Rates, committed
from convgraph.compiler.calibration.calibrate import kept_at

Cli = Callable[..., Result]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rates:
    """The table of this machine, measured before: nothing like the committed one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    slower = {name: 4 * number for name, number in committed().table.items()}
    rates = replace(committed(), table=slower, machine="this machine", runtime="this runtime")
    kept_at().parent.mkdir(parents=True)
    kept_at().write_text(rates.as_json(), encoding="utf-8")
    return rates


@pytest.mark.usefixtures("kept")
def test_the_report_says_which_rates_were_counted_with(cli: Cli, model: Path) -> None:
    told = []
    for option in ((), ("--calibrate",)):
        result = cli("optimize", model, *option, "--report", "run.json")
        assert result.exit_code == 0, result.output
        told.append(json.loads(Path("run.json").read_text(encoding="utf-8"))["target"])
    here = {"machine": "this machine", "onnxruntime": "this runtime"}
    assert told[0]["rates"] == "committed"
    assert told[1] == {"name": "onnxruntime-cpu", "rates": "measured", "threads": None, **here}


@pytest.mark.usefixtures("kept")
def test_explain_counts_with_them_too(cli: Cli, model: Path) -> None:
    assert cli("explain", model, "--calibrate").exit_code == 0
    kept_at().write_text("damaged", encoding="utf-8")
    assert cli("explain", model).exit_code == 0, "without the option nothing is measured"
    assert kept_at().read_text(encoding="utf-8") == "damaged"


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("command", ["optimize", "explain"])
def test_a_target_without_rates_has_none_to_measure(cli: Cli, model: Path, command: str) -> None:
    result = cli(command, model, "--target", "generic", "--calibrate")
    assert result.exit_code == 2
    assert "target 'generic': nothing to measure; onnxruntime-cpu, or no calibration" in result.stderr
    assert not Path("small.opt.onnx").exists()


def test_a_cache_that_cannot_be_written_to_is_bad_usage(
    cli: Cli, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path("file").absolute()))
    result = cli("optimize", model, "--calibrate")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert not Path("small.opt.onnx").exists()
