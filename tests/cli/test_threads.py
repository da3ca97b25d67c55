"""``--threads``: what is a gain on so many threads only is done where they are known."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from cli.conftest import Cli

from convgraph.exporters.onnx_model import save
from convgraph.ir.build import GraphBuilder
from convgraph.ir.ops import Conv, Relu

WINOGRAD = "transform-conv-into-winograd"


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A residual network's first convolutions, 64 channels of 56 × 56 pixels, and one of half as many."""
    rng = np.random.default_rng(0)
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=(1, 64, 56, 56))
    for filters, channels in ((64, 64), (32, 64), (32, 32)):
        weight = (rng.normal(size=(filters, channels, 3, 3)) / 24).astype(np.float32)
        x = b.add(Relu(), b.add(Conv.of(2, pads=1), x, weight))
    b.output(x, name="y")
    save(b.build(), path := tmp_path / "model.onnx")
    return str(path)


@pytest.mark.parametrize(("options", "done"), [((), 0), (("--threads", "1"), 1), (("--threads", "2"), 0)])
def test_tiles_are_transformed_where_that_pays(
    cli: Cli, model: str, options: tuple[str, ...], done: int
) -> None:
    result = cli("optimize", model, *options, "--report", "run.json")
    assert result.exit_code == 0, result.output
    report = json.loads(Path("run.json").read_text(encoding="utf-8"))
    assert [rewrite["name"] for rewrite in report["rewrites"]].count(WINOGRAD) == done
    assert report["target"]["threads"] == (int(options[1]) if options else None)
    assert report["verification"]["status"] == "equal"


def test_explain_says_what_it_would_have_to_save(cli: Cli, model: str) -> None:
    for options, least in (((), {"36%", "56%"}), (("--threads", "1"), {"25%"})):
        told = " ".join(cli("explain", model, *options).output.split())
        assert set(re.findall(r"after it, which saves less than (\S+) of what it replaces", told)) == least


def test_transforms_are_written_where_that_is_asked_for(cli: Cli, model: str) -> None:
    """Four times as many numbers for each layer in tiles, and the same again from what was written."""
    sizes = {}
    for options in ((), ("--store-transforms",)):
        out = f"stored{len(options)}.onnx"
        result = cli("optimize", model, "--threads", "1", *options, "--report", "run.json", "-o", out)
        assert result.exit_code == 0, result.output
        report = json.loads(Path("run.json").read_text(encoding="utf-8"))
        assert report["verification"]["status"] == "equal"
        sizes[out] = Path(out).stat().st_size
    assert sizes["stored1.onnx"] > 1.4 * sizes["stored0.onnx"]
    again = cli("optimize", "stored1.onnx", "--threads", "1", "--store-transforms", "--check")
    assert again.exit_code == 0, again.output
