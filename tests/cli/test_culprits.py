"""A wrong rewrite on the command line: dropped, named, and the part it changed written beside OUT."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import onnx
import pytest
from click.testing import Result
from jsonschema import Draft202012Validator

import convgraph as cg
from convgraph.compiler import culprit, selection
from convgraph.ir.ops import Op, Relu, Sub
from convgraph.report.summary import schema

Cli = Callable[..., Result]


@dataclass(frozen=True, kw_only=True)
class ForgetTheRelu(cg.Rewrite[cg.Value]):
    """A wrong rewrite."""

    name: ClassVar[str] = "forget-the-relu"
    roots: ClassVar[tuple[type[Op], ...]] = (Relu,)

    def find(self, graph: cg.Graph, node: int) -> cg.Value | None:
        """Any Relu."""
        return cg.Value(node, 0)

    def apply(self, edit: cg.Edit, match: cg.Value) -> None:
        """Read what it reads instead."""
        before = edit.graph.operand(match.node, 0)
        assert before is not None
        edit.replace(match, before)


@pytest.fixture(autouse=True)
def every_rewrite_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not here: the pipeline of the level begins with a wrong one."""
    monkeypatch.setitem(selection.LEVELS, "exact", (ForgetTheRelu(), *selection.LEVELS["exact"]))


def reported(path: str = "run.json") -> dict[str, Any]:
    report: dict[str, Any] = json.loads(Path(path).read_text())
    Draft202012Validator(schema()).validate(report)
    return report


def test_it_is_dropped_and_named_and_the_rest_is_written(cli: Cli, model: Path) -> None:
    result = cli("optimize", model, "--report", "run.json", "-q")
    assert result.exit_code == 0, result.output
    out = model.with_name("small.opt.onnx")
    assert [node.op_type for node in onnx.load(out).graph.node] == ["Conv", "Relu", "Conv"]
    assert result.stdout == ""

    (line,) = result.stderr.splitlines()
    assert line.startswith(f"{model}: wrong rewrite dropped: forget-the-relu at active (application 1): y: ")
    files = [model.with_name(f"small.opt.culprit-1-{side}.onnx") for side in ("before", "after")]
    assert line.endswith(f": {files[0]} and {files[1]}")
    labels = [[node.op_type for node in onnx.load(file).graph.node] for file in files]
    assert labels == [["Relu", "Dropout"], ["Dropout"]]
    assert cli("verify", *files).exit_code == 1

    report = reported()
    (entry,) = report["culprits"]
    assert (entry["name"], entry["at"], entry["index"]) == ("forget-the-relu", "active", 1)
    assert entry["disagreement"]["at"] == "y"
    assert entry["model"] == {"before": str(files[0]), "after": str(files[1])}
    assert report["verification"]["equal"]
    assert report["seconds"]["culprit"] > 0
    assert [r["at"] for r in report["refusals"] if r["requirement"] == "the_results_stay_the_same"] == [
        "active"
    ]


def test_explain_tells_of_it_from_the_report(cli: Cli, model: Path) -> None:
    cli("optimize", model, "--report", "run.json", "-q")
    alone = cli("explain", model, "--at", "active")
    assert "forget-the-relu" in alone.stdout
    assert "refused" not in alone.stdout
    told = cli("explain", model, "--at", "active", "--report", "run.json")
    assert told.exit_code == 0, told.output
    assert "- forget-the-relu refused, the_results_stay_the_same: " in told.stdout


def test_the_table_counts_it(cli: Cli, model: Path) -> None:
    assert "culprits" in cli("optimize", model).stdout


@pytest.mark.parametrize("arguments", [("--check",), ("-o", "-")])
def test_where_there_is_no_file_none_is_put_beside_it(
    cli: Cli, model: Path, arguments: tuple[str, ...]
) -> None:
    before = sorted(model.parent.iterdir())
    result = cli("optimize", model, *arguments)
    assert "wrong rewrite dropped: forget-the-relu at active" in result.stderr
    assert sorted(model.parent.iterdir()) == before


def test_nothing_is_written_when_the_search_is_given_up(
    cli: Cli, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(culprit, "MOST", 0)
    result = cli("optimize", model, "--report", "run.json")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{model}: different: ")
    assert not list(model.parent.glob("small.opt*"))
    assert reported()["culprits"] == []


def test_who_was_found_is_named_also_when_others_are_left(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    b = cg.GraphBuilder("two", opset=17)
    y = b.add(Relu(), b.input("x", shape=(2, 3, 5, 7)), name="first")
    b.output(b.add(Relu(), b.add(Sub(), y, 0.5), name="second"), name="y")
    cg.save(b.build(), "two.onnx")
    monkeypatch.setattr(culprit, "MOST", 1)
    result = cli("optimize", "two.onnx", "--report", "run.json")
    assert result.exit_code == 1
    named, refused = result.stderr.splitlines()
    assert named.startswith("two.onnx: wrong rewrite dropped: forget-the-relu at ")
    assert refused.startswith("two.onnx: different: ")
    assert not list(Path().glob("two.opt*"))
    (entry,) = reported()["culprits"]
    assert entry["model"] is None
