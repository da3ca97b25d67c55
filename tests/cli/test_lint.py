"""``convgraph lint``: the table, the JSON, the exit status, and commands that do what they are given for."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from convgraph import GraphBuilder, passes, save
from convgraph.analysis.finding import Finding
from convgraph.cli.lint import remedy_command
from convgraph.ir.graph import Graph
from convgraph.ir.ops import BatchNormalization, Conv, ConvTranspose, Opaque, Relu, Reshape
from convgraph.ir.tensor import DataType, TensorType

Cli = Callable[..., Result]


def weight(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(5).normal(size=shape).astype(np.float32)


def overridable() -> Graph:
    b = GraphBuilder("overridable", opset=18)
    x = b.input("x", shape=(1, 3, 9, 7))
    b.output(b.add(Conv.of(2), x, b.overridable("w", weight(4, 3, 3, 3)), name="y"))
    return b.build()


def normalised() -> Graph:
    b = GraphBuilder("normalised", opset=18)
    y = b.add(Conv.of(2), b.input("x", shape=(1, 3, 9, 7)), weight(4, 3, 3, 3), weight(4), name="conv")
    b.output(b.add(BatchNormalization(), y, *(np.abs(weight(4)) + np.float32(0.5),) * 4, name="y"))
    return b.build()


def masked() -> Graph:
    b = GraphBuilder("masked", opset=18)
    filters = weight(4, 3, 3, 3)
    filters[:, :, 2] = 0
    b.output(b.add(Conv.of(2, pads=1), b.input("x", shape=(1, 3, 9, 7)), filters, name="y"))
    return b.build()


def open_sizes() -> Graph:
    b = GraphBuilder("open", opset=18)
    op = Conv(strides=(2, 2), pads=(0,) * 4, dilations=(1, 1), auto_pad="SAME_LOWER")
    b.output(b.add(op, b.input("x", shape=("N", 3, "H", "W")), weight(4, 3, 2, 2), name="y"))
    return b.build()


def sized() -> Graph:
    """A Reshape to a shape that is computed from the input's, though that is known."""
    b = GraphBuilder("sized", opset=18)
    x = b.input("x", shape=(2, 3, 9, 7))
    shape = TensorType(DataType.INT64, shape=(4,))
    (sizes,) = b.add_all(Opaque(op_type="Shape", arity=1), x, names=("sizes",), types=[shape])
    b.output(b.add(Reshape(), b.add(Relu(), x), sizes, name="y"))
    return b.build()


WITH_COMMAND = {
    "int64": sized,
    "fast-path": overridable,
    "bias-before-norm": normalised,
    "dead-taps": masked,
    "same-padding": open_sizes,
}


def findings(result: Result) -> list[dict[str, str]]:
    assert result.exit_code == 0, result.output
    rows: list[dict[str, str]] = json.loads(result.stdout)["findings"]
    return rows


@pytest.mark.parametrize("rule", WITH_COMMAND)
def test_the_command_applies_the_remedy(rule: str, cli: Cli, tmp_path: Path) -> None:
    model = tmp_path / "my model.onnx"
    save(WITH_COMMAND[rule](), model)
    (row,) = findings(cli("lint", model, "--json"))
    assert row["rule"] == rule
    program, *arguments = shlex.split(row["command"])
    assert program == "convgraph"
    done = cli(*arguments, "-q")
    assert done.exit_code == 0, done.output
    assert findings(cli("lint", tmp_path / "my model.opt.onnx", "--json")) == []


def test_a_table_with_the_commands_below(cli: Cli) -> None:
    result = cli("lint", "demo:pixelcnn")
    assert result.exit_code == 0, result.output
    assert result.stdout.split()[:4] == ["where", "rule", "finding", "remedy"]
    assert "7x7 are zero outside 4x7" in " ".join(result.stdout.split())
    *_, command, total = result.stdout.splitlines()
    assert command.startswith("convgraph optimize demo:pixelcnn   # dead-taps")
    assert total.endswith(" findings")


def test_no_findings(cli: Cli) -> None:
    assert (cli("lint", "demo:resnet").stdout, cli("lint", "demo:resnet", "--strict").exit_code) == (
        "no findings\n",
        0,
    )


def test_strict_says_no(cli: Cli, tmp_path: Path) -> None:
    b = GraphBuilder("up", opset=18)
    op = ConvTranspose.of(2, strides=2)
    b.output(b.add(op, b.input("x", shape=(1, 2, 5, 4)), np.ones((2, 3, 3, 3), np.float32), name="y"))
    save(b.build(), tmp_path / "up.onnx")
    result = cli("lint", "up.onnx", "--strict", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert (document["schema"], document["model"]) == (1, "up.onnx")
    rows = {row["rule"]: row for row in document["findings"]}
    assert rows.keys() == {"checkerboard", "duplicate-channels"}
    assert rows["checkerboard"]["command"] is None, "nothing exact takes a checkerboard away"


def test_only_rewrites_that_exist_are_offered() -> None:
    def finding(rewrite: str) -> Finding:
        return Finding(rule="r", where="w", what="x", remedy="y", rewrite=rewrite)

    assert remedy_command(finding("polish-weights"), "m.onnx") is None
    for name in ("fold-constants", "fold-batchnorm-into-conv", "crop-dead-taps"):
        assert name in {rewrite.name for rewrite in passes.ALL}
        assert remedy_command(finding(name), "m.onnx") == "convgraph optimize m.onnx"
