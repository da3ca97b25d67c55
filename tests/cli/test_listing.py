"""The commands that tell something: verify, inspect, diff, passes, demo."""

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from click.testing import Result
from onnx import numpy_helper

from convgraph import passes
from convgraph.cli import main as cli_main
from convgraph.importers.demo import demo_names
from convgraph.installed import part

Cli = Callable[..., Result]


def test_verify_tells_equal(cli: Cli, model: Path) -> None:
    cli("optimize", model, "-q")
    result = cli("verify", model, model.with_name("small.opt.onnx"))
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("equal\n")
    assert " y " in result.stdout
    assert "tolerance" in result.stdout
    assert cli("verify", model, model, "-q").stdout == "equal\n"


def test_verify_tells_different(cli: Cli, model: Path) -> None:
    proto = onnx.load(model)
    for weight in proto.graph.initializer:
        if list(weight.dims) == [4, 3, 3, 3]:
            data = numpy_helper.to_array(weight)
            weight.CopyFrom(numpy_helper.from_array(data[:, ::-1].copy(), weight.name))
    onnx.save(proto, "swapped.onnx")
    result = cli("verify", model, "swapped.onnx")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].startswith("different: ")
    located = cli("verify", model, "swapped.onnx", "--locate", "-q")
    assert located.exit_code == 1
    verdict, first, before, after, last = located.stdout.splitlines()
    assert verdict.startswith("different: y: ")
    assert first.startswith("first value that differs: value conv (inside): ")
    assert (before, after) == ("    in BEFORE conv of Conv conv", "    in AFTER  conv of Conv conv")
    assert last == "last values that agree: x (5 compared)"
    assert cli("verify", model, model, "--locate", "-q").stdout == "equal\n"


def test_verify_tells_what_it_cannot_tell(cli: Cli, model: Path) -> None:
    proto = onnx.load(model)
    proto.opset_import.append(onnx.helper.make_opsetid("acme", 1))
    proto.graph.node[-1].domain = "acme"
    onnx.save(proto, "foreign.onnx")
    result = cli("verify", "foreign.onnx", "foreign.onnx")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].startswith("unverified: ")


def test_inspect_lists_layers_and_totals(cli: Cli, model: Path) -> None:
    result = cli("inspect", model)
    assert result.exit_code == 0, result.output
    for text in ("Conv", "BatchNormalization", "Relu", "Dropout", "MACs"):
        assert text in result.stdout
    assert "…" not in result.stdout, "a table in a pipe is not cut off"


def test_inspect_explains_the_numbers(cli: Cli, model: Path) -> None:
    result = cli("inspect", model, "--formulas")
    assert result.exit_code == 0, result.output
    assert "\nconv (Conv)\n    H2 = (7 − 3 + 2·1)/1 + 1 = 7\n" in result.stdout
    assert "    parameters = (4·1·2)·5 + 5 = 45\n" in result.stdout
    assert "operations = 7·10·4·3·3·3 = 7,560" in result.stdout
    assert "H2" not in cli("inspect", model).stdout


def test_diff_tells_what_changed(cli: Cli, model: Path) -> None:
    cli("optimize", model, "-q", "--report", "run.json")
    out = model.with_name("small.opt.onnx")
    result = cli("diff", model, out)
    assert result.exit_code == 0, result.output
    assert "BatchNormalization" in result.stdout
    told = cli("diff", model, out, "--report", "run.json").stdout
    assert "fold-batchnorm-into-conv" in told
    assert "2 of 2 removed nodes accounted for" in told
    assert "BatchNormalization" not in cli("diff", out, out).stdout


def test_diff_as_json(cli: Cli, model: Path) -> None:
    cli("optimize", model, "-q", "--report", "run.json")
    out = model.with_name("small.opt.onnx")
    found = json.loads(cli("diff", model, out, "--report", "run.json", "--json").stdout)
    assert found["accounted_for"]["removed"] == {"nodes": 2, "known": 2}
    removed = [row for row in found["differences"] if row["kind"] == "removed"]
    assert len(removed) == 2
    assert "fold-batchnorm-into-conv" in {step["name"] for row in removed for step in row["rewrites"]}
    assert json.loads(cli("diff", out, out, "--json").stdout)["differences"] == []


def test_passes_lists_every_rewrite_with_its_reasons(cli: Cli) -> None:
    result = cli("passes")
    assert result.exit_code == 0
    blocks = result.stdout.split("\n\n")
    assert len(blocks) == len(passes.ALL)
    for block, rewrite in zip(blocks, passes.ALL, strict=True):
        flat = " ".join(block.split())
        assert flat.startswith(f"{rewrite.name} ({'exact' if rewrite.exact else 'approximate'})")
        assert " ".join(rewrite.equation().split()) in flat
        for fact in rewrite.requirements():
            assert f"- {fact.name}: {fact.reason}" in flat
    assert max(map(len, result.stdout.splitlines())) <= 110


def test_demo_lists_and_writes(cli: Cli, tmp_path: Path) -> None:
    assert cli("demo").stdout.split() == list(demo_names())
    assert {"resnet", "unet", "mobilenet", "pixelcnn", "glow"} <= set(demo_names())
    result = cli("demo", "pixelcnn")
    assert (result.exit_code, result.stdout) == (0, "pixelcnn.onnx: written\n")
    onnx.checker.check_model(onnx.load(tmp_path / "pixelcnn.onnx"), full_check=True)
    assert cli("demo", "pixelcnn", "-o", "other.onnx").exit_code == 0
    assert Path("other.onnx").read_bytes() == Path("pixelcnn.onnx").read_bytes()
    assert cli("verify", "demo:pixelcnn", "other.onnx", "-q").stdout == "equal\n"


@pytest.mark.parametrize("name", cli_main.COMMANDS)
def test_the_list_of_commands_says_what_each_command_says(name: str, cli: Cli) -> None:
    result = cli(name, "--help")
    assert result.exit_code == 0
    command = part(f"convgraph.cli.{name}").command
    assert command.name == name
    assert f"{name} " in cli("--help").stdout
    assert command.help.splitlines()[0].endswith(".")


def test_version(cli: Cli) -> None:
    result = cli("--version")
    assert result.exit_code == 0
    assert result.stdout.split()[0] == "convgraph"
