"""``--level tune``: what pays is measured, kept, and not measured again."""

import json
from pathlib import Path

import pytest
from cli.conftest import Cli

TUNE = ("optimize", "demo:unet", "--level", "tune", "--threads", "1", "--tuning", "timings.json", "-q")


def test_a_second_run_measures_nothing_and_gives_the_same_file(cli: Cli) -> None:
    files = ("one.onnx", "two.onnx")
    for out in files:
        result = cli(*TUNE, "--budget", "3s", "-o", out, "--report", f"{out}.json")
        assert result.exit_code == 0, result.output
        timings = Path("timings.json").read_bytes()
    assert Path("timings.json").read_bytes() == timings
    assert Path(files[0]).read_bytes() == Path(files[1]).read_bytes()
    first, second = (json.loads(Path(f"{out}.json").read_text(encoding="utf-8")) for out in files)
    assert first["latency"] == second["latency"]
    assert first["latency"]["threads"] == 1
    assert set(first["latency"]["gains"]) == {"tune", "exact", "clean", "original"}
    assert second["verification"]["status"] == "equal"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--budget", "5"), "--budget, --tuning: nothing is measured; expected --level tune beside them"),
        (("--tuning", "t.json"), "--budget, --tuning: nothing is measured"),
        (("--level", "tune", "--budget", "soon"), "'soon' is not a time such as 60s or 2m"),
        (("--level", "tune", "--budget", "-1"), "'-1' is not a time"),
        (("--level", "tune", "--target", "generic"), "level 'tune': a target that is not measured here"),
    ],
)
def test_what_cannot_be_measured_is_said(cli: Cli, options: tuple[str, ...], said: str) -> None:
    result = cli("optimize", "demo:unet", *options)
    assert result.exit_code == 2
    assert said in result.output
    assert not Path("unet.opt.onnx").exists()


def test_a_file_that_holds_no_timings_is_left_as_it_is(cli: Cli) -> None:
    Path("timings.json").write_text("notes", encoding="utf-8")
    result = cli(*TUNE)
    assert result.exit_code == 2
    assert "timings.json: another text; a record of timings" in result.output
    assert Path("timings.json").read_text(encoding="utf-8") == "notes"
