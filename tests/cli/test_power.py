"""``optimize --power``: how many seeded faults the check would have caught."""

import json
from pathlib import Path

from cli.conftest import Cli
from jsonschema import Draft202012Validator

from convgraph.report.summary import schema


def test_the_faults_caught_are_told(cli: Cli, model: Path) -> None:
    result = cli("optimize", model, "--power", "full", "--report", "a.json")
    assert result.exit_code == 0
    report = json.loads(Path("a.json").read_text())
    Draft202012Validator(schema()).validate(report)
    power = report["verification"]["power"]
    assert power["full"]
    assert power["tried"] == power["caught"] > 0
    assert {entry["name"] for entry in power["rewrites"]} >= {"fold-batchnorm-into-conv"}
    assert f"the check would have caught {power['caught']} of {power['tried']} seeded faults" in result.stdout


def test_none_is_tried_when_unwanted(cli: Cli, model: Path) -> None:
    result = cli("optimize", model, "--power", "off", "--report", "a.json")
    assert result.exit_code == 0
    assert json.loads(Path("a.json").read_text())["verification"]["power"] is None
    assert "seeded faults" not in result.stdout
