"""``convgraph bench``: the table, the layers, the JSON, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from convgraph import GraphBuilder, save
from convgraph.ir.ops import Relu

Cli = Callable[..., Result]


@pytest.fixture
def faster(cli: Cli, model: Path) -> Path:
    """What optimize makes of the model."""
    path = model.with_name("faster.onnx")
    assert cli("optimize", model, "-o", path, "--quiet").exit_code == 0
    return path


def test_one_line_for_each_model_and_number_of_threads(cli: Cli, model: Path, faster: Path) -> None:
    done = cli("bench", model, faster, "--seconds", 0, "--threads", 1, "--threads", 2)
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines()[1:]]
    assert [line[:2] for line in lines] == [[str(m), n] for n in "12" for m in (model, faster)]
    assert all(float(line[2]) > 0 for line in lines)
    assert [line[3] for line in lines[::2]] == ["1.000", "1.000"]


def test_everything_is_in_the_json(cli: Cli, model: Path, faster: Path) -> None:
    done = cli("bench", model, faster, "--seconds", 0, "--layers", 2, "--json", "bench.json")
    assert done.exit_code == 0, done.output
    told = json.loads(Path("bench.json").read_text(encoding="utf-8"))
    assert told["models"] == [str(model), str(faster)]
    assert told["sizes"] == {"N": 1}
    (latencies,) = told["latencies"]
    assert latencies["threads"] == 1
    low, median, high = latencies["ratios"][str(faster)]
    assert 0 < low <= median <= high
    assert latencies["ratios"][str(model)] == [1, 1, 1]
    assert told["layers"]
    assert all(set(seconds) <= {str(model), str(faster)} for seconds in told["layers"].values())
    layers = done.stdout.partition("layer")[2].splitlines()[1:]
    assert len(layers) == min(2, len(told["layers"]))


def test_inputs_and_shapes_can_be_given(cli: Cli, model: Path) -> None:
    np.savez("feeds.npz", x=np.ones((2, 3, 7, 10), np.float32))
    assert cli("bench", model, "--seconds", 0, "--feeds", "feeds.npz").exit_code == 0
    assert cli("bench", model, "--seconds", 0, "--input-shape", "x:4,3,7,10").exit_code == 0


def test_models_of_other_inputs_are_refused(cli: Cli, model: Path) -> None:
    b = GraphBuilder("other")
    b.output(b.add(Relu(), b.input("image", shape=(1, 3, 7, 10))), name="y")
    save(b.build(), "other.onnx")
    done = cli("bench", model, "other.onnx", "--seconds", 0)
    assert done.exit_code == 2
    assert done.stderr.splitlines() == ["other.onnx: inputs image; those of the first model, x"]


def test_a_model_twice_is_refused(cli: Cli, model: Path) -> None:
    done = cli("bench", model, model)
    assert done.exit_code == 2
    assert "given twice" in done.stderr
