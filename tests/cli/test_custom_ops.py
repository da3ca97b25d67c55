"""Operators that onnxruntime lacks, from a shared library, amid a convolutional network."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from cli.conftest import Cli
from onnx import numpy_helper, parser
from onnxruntime_extensions import get_library_path

import convgraph as cg
from convgraph.ir.tensor import Array

LIBRARY = get_library_path()


def _weight(*shape: int, seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """A normalised convolution, its negative and its positive part, and one more convolution of each."""
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17, "ai.onnx.contrib" : 1]>
        split (float[2,3,7,11] x) => (float[2,5,7,11] y) {
            a = Conv <pads = [1,1,1,1]> (x, w)
            n = BatchNormalization (a, scale, shift, mean, variance)
            low, high = ai.onnx.contrib.NegPos (n)
            b = Conv (low, v)
            c = BatchNormalization (b, scale_2, shift_2, mean_2, variance_2)
            d = Conv (high, v)
            y = Sub (c, d)
        }"""
    )
    weights = {"w": _weight(4, 3, 3, 3, seed=1), "v": _weight(5, 4, 1, 1, seed=2)}
    for suffix, channels in ("", 4), ("_2", 5):
        for seed, role in enumerate(("scale", "shift", "mean", "variance")):
            weights[role + suffix] = _weight(channels, seed=seed)
        weights["variance" + suffix] = np.abs(weights["variance" + suffix]) + np.float32(0.5)
    model.graph.initializer.extend(numpy_helper.from_array(data, name) for name, data in weights.items())
    path = tmp_path / "split.onnx"
    onnx.save(model, path)
    return path


def test_without_the_library_the_operator_is_named_and_nothing_written(cli: Cli, split: Path) -> None:
    result = cli("optimize", split, "--report", "run.json")
    assert result.exit_code == 1
    assert "unverified" in result.stderr
    assert "(ai.onnx.contrib:NegPos)" in result.stderr
    assert "--custom-ops LIB" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not split.with_name("split.opt.onnx").exists()
    reason = json.loads(Path("run.json").read_text())["verification"]["reason"]
    assert "(ai.onnx.contrib:NegPos)" in reason


def test_with_it_the_neighbours_are_optimized_and_the_result_is_equal(cli: Cli, split: Path) -> None:
    result = cli("optimize", split, "--custom-ops", LIBRARY, "--report", "run.json")
    assert result.exit_code == 0, result.stderr
    optimized = split.with_name("split.opt.onnx")
    kinds = [node.op_type for node in onnx.load(optimized).graph.node]
    assert "NegPos" in kinds
    assert "BatchNormalization" not in kinds
    assert json.loads(Path("run.json").read_text())["verification"]["equal"]
    assert cli("verify", split, optimized, "--custom-ops", LIBRARY).exit_code == 0
    assert cli("verify", split, optimized).exit_code == 1


def test_a_wrong_neighbour_is_seen_through_the_operator(split: Path) -> None:
    wrong = onnx.load(split)
    (weight,) = (tensor for tensor in wrong.graph.initializer if tensor.name == "w")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight)[::-1].copy(), "w"))
    assert cg.verify(split, wrong, custom_ops=[LIBRARY]).status == "different"
    assert cg.verify(split, wrong).status == "unverified"


def test_the_python_face_takes_libraries_for_one_run(split: Path) -> None:
    verified = cg.optimize(split, custom_ops=[LIBRARY]).verification
    assert verified is not None
    assert verified.equal
    left = cg.optimize(split).verification
    assert left is not None
    assert left.status == "unverified"


def test_feature_maps_of_a_model_with_such_an_operator(cli: Cli, split: Path) -> None:
    drawn = cli("visualize", split, "--custom-ops", LIBRARY)
    assert drawn.exit_code == 0, drawn.stderr
    assert cli("visualize", split).exit_code == 2


@pytest.mark.parametrize("command", ["optimize", "visualize"])
def test_a_file_that_is_no_library_is_refused(cli: Cli, split: Path, command: str) -> None:
    Path("broken.so").write_bytes(b"no library")
    result = cli(command, split, "--custom-ops", "broken.so")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{Path('broken.so').absolute()}: ")
    assert "a library of operators for onnxruntime" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not split.with_name("split.opt.onnx").exists()


def test_a_library_that_is_not_there_is_refused(cli: Cli, split: Path) -> None:
    result = cli("verify", split, split, "--custom-ops", "none.so")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
