"""``convgraph optimize``: what it writes, what it says, and when it refuses."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import Result
from jsonschema import Draft202012Validator
from laws.spectrum import network
from onnx import TensorProto, helper, numpy_helper

import convgraph as cg
from convgraph.report.summary import schema

Cli = Callable[..., Result]
Feeds = dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]


def op_types(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


def outputs(path: Path | bytes, feeds: Feeds) -> list[Any]:
    source = path if isinstance(path, bytes) else str(path)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"]).run(None, feeds)


@pytest.fixture
def feeds() -> Feeds:
    return {"x": np.random.default_rng(3).standard_normal((2, 3, 7, 10)).astype(np.float32)}


def test_writes_beside_the_model(cli: Cli, model: Path, feeds: Feeds) -> None:
    result = cli("optimize", model)
    assert result.exit_code == 0, result.output
    out = model.with_name("small.opt.onnx")
    assert op_types(out) == ["Conv", "Relu", "Conv"]
    onnx.checker.check_model(onnx.load(out), full_check=True)
    (before,), (after,) = outputs(model, feeds), outputs(out, feeds)
    np.testing.assert_allclose(after, before, rtol=0, atol=2e-6 * np.abs(before).max())
    assert result.stdout.endswith(f"{out}: written\n")
    assert result.stderr == ""
    assert sorted(path.name for path in model.parent.iterdir()) == ["small.onnx", "small.opt.onnx"]


def test_writes_where_told_and_replaces_what_is_there(cli: Cli, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "there.onnx"
    out.write_bytes(b"old")
    assert cli("optimize", model, "-o", out, "-q").exit_code == 0
    assert op_types(out) == ["Conv", "Relu", "Conv"]
    assert not model.with_name("small.opt.onnx").exists()


def test_the_table_tells_before_and_after(cli: Cli, model: Path) -> None:
    text = cli("optimize", model).stdout.lower()
    for word in ("nodes", "parameters", "macs", "bytes", "error", "seconds"):
        assert word in text


def test_quiet_says_nothing(cli: Cli, model: Path) -> None:
    result = cli("optimize", model, "-q")
    assert (result.exit_code, result.output) == (0, "")


def test_verbose_lists_every_application(cli: Cli, model: Path) -> None:
    result = cli("optimize", model, "-q", "-v")
    assert "fold-batchnorm-into-conv at " in result.stderr
    assert "remove-dropout at " in result.stderr


def test_passes_none_is_a_round_trip(cli: Cli, model: Path, feeds: Feeds) -> None:
    assert cli("optimize", model, "--passes", "none", "-o", "same.onnx").exit_code == 0
    assert op_types(Path("same.onnx")) == op_types(model)
    for before, after in zip(outputs(model, feeds), outputs(Path("same.onnx"), feeds), strict=True):
        np.testing.assert_array_equal(after, before)


def test_passes_skip_and_stop_after_choose_rewrites(cli: Cli, model: Path) -> None:
    assert cli("optimize", model, "--passes", "remove-dropout", "-o", "a.onnx").exit_code == 0
    assert op_types(Path("a.onnx")) == ["Conv", "BatchNormalization", "Relu", "Conv"]
    assert cli("optimize", model, "--skip", "fold-batchnorm-into-conv", "-o", "b.onnx").exit_code == 0
    assert op_types(Path("b.onnx")) == ["Conv", "BatchNormalization", "Relu", "Conv"]
    arguments = ("--stop-after", 0, "-o", "c.onnx", "--report", "c.json")
    assert cli("optimize", model, *arguments).exit_code == 0
    assert op_types(Path("c.onnx")) == op_types(model)
    assert json.loads(Path("c.json").read_text())["rewrites"] == []
    arguments = ("--stop-after", 1, "-o", "d.onnx", "--report", "d.json")
    assert cli("optimize", model, *arguments).exit_code == 0
    assert [entry["index"] for entry in json.loads(Path("d.json").read_text())["rewrites"]] == [1]


def test_the_report_follows_its_schema(cli: Cli, model: Path) -> None:
    result = cli("optimize", model, "--report", "a.json", "--report", "b.json")
    assert result.exit_code == 0
    report = json.loads(Path("a.json").read_text())
    Draft202012Validator(schema()).validate(report)
    assert Path("b.json").read_text() == Path("a.json").read_text()
    written = model.with_name("small.opt.onnx")
    assert report["optimized"]["path"] == str(written)
    assert report["optimized"]["sha256"] == hashlib.sha256(written.read_bytes()).hexdigest()
    assert report["model"]["path"] == str(model)
    assert report["model"]["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert report["verification"]["status"] == "equal"
    assert "fold-batchnorm-into-conv" in {entry["name"] for entry in report["rewrites"]}


@pytest.mark.parametrize("flag", ["--input-shape", "--overwrite-input-shape", "--input-shapes"])
@pytest.mark.parametrize("value", ["x:2,3,9,10", "2,3,9,10"])
def test_input_shapes_under_every_name(flag: str, value: str, cli: Cli, model: Path) -> None:
    result = cli("optimize", model, flag, value, "-o", "fixed.onnx")
    assert result.exit_code == 0, result.output
    (x,) = onnx.load("fixed.onnx").graph.input
    assert [dim.dim_value for dim in x.type.tensor_type.shape.dim] == [2, 3, 9, 10]
    assert flag == "--input-shape" or flag not in cli("optimize", "--help").stdout


def test_inputs_and_outputs_cut_the_model(cli: Cli, model: Path) -> None:
    result = cli("optimize", model, "--inputs", "normalised", "--outputs", "kept", "-o", "part.onnx")
    assert result.exit_code == 0, result.output
    part = onnx.load("part.onnx").graph
    assert [x.name for x in part.input] == ["normalised"]
    assert [y.name for y in part.output] == ["kept"]
    assert op_types(Path("part.onnx"))[0] == "Relu"


def test_check_writes_nothing_and_answers(cli: Cli, model: Path) -> None:
    before = sorted(model.parent.iterdir())
    assert cli("optimize", model, "--check").exit_code == 1
    assert sorted(model.parent.iterdir()) == before
    assert cli("optimize", model, "-q").exit_code == 0
    assert cli("optimize", model.with_name("small.opt.onnx"), "--check").exit_code == 0
    assert not model.with_name("small.opt.opt.onnx").exists()


def test_a_result_that_is_not_equal_is_not_written(cli: Cli, model: Path) -> None:
    out = model.with_name("small.opt.onnx")
    out.write_bytes(b"old")
    strict = ("--rtol", 0, "--atol", 0, "--stop-after", 3)
    result = cli("optimize", model, *strict, "--report", "run.json")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{model}: different: ")
    assert result.stderr.count("\n") == 1
    assert out.read_bytes() == b"old"
    assert json.loads(Path("run.json").read_text())["verification"]["status"] == "different"
    # Being allowed to go unverified is not being allowed to be wrong.
    assert cli("optimize", model, *strict, "--allow-unverified").exit_code == 1
    assert out.read_bytes() == b"old"


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A model with an operator nobody here knows, and a Dropout to remove."""
    graph = helper.make_graph(
        [
            helper.make_node("Dropout", ["x"], ["kept"]),
            helper.make_node("Spin", ["kept"], ["y"], domain="acme", speed=3),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (2, 3, 5))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (2, 3, 5))],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("acme", 1)]
    path = tmp_path / "foreign.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


def test_an_unknown_operator_is_unverified_and_not_written(cli: Cli, foreign: Path) -> None:
    result = cli("optimize", foreign, "--report", "run.json")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{foreign}: unverified: ")
    assert result.stderr.count("\n") == 1
    assert not foreign.with_name("foreign.opt.onnx").exists()
    report = json.loads(Path("run.json").read_text())
    Draft202012Validator(schema()).validate(report)
    assert report["verification"]["status"] == "unverified"
    assert report["verification"]["reason"]


def test_an_unknown_operator_passes_through_when_allowed(cli: Cli, foreign: Path) -> None:
    result = cli("optimize", foreign, "--allow-unverified")
    assert result.exit_code == 0
    assert "unverified: " in result.stderr
    (node,) = onnx.load(foreign.with_name("foreign.opt.onnx")).graph.node
    assert (node.op_type, node.domain, node.attribute[0].i) == ("Spin", "acme", 3)


def test_no_verify_writes_and_says_so(cli: Cli, foreign: Path) -> None:
    result = cli("optimize", foreign, "--no-verify", "--report", "run.json")
    assert result.exit_code == 0
    assert "not verified" in result.stderr
    assert foreign.with_name("foreign.opt.onnx").exists()
    assert json.loads(Path("run.json").read_text())["verification"] is None


def test_feeds_of_the_callers(cli: Cli, model: Path, feeds: Feeds) -> None:
    np.savez("feeds.npz", **feeds)
    assert cli("optimize", model, "--feeds", "feeds.npz", "-q").exit_code == 0
    np.savez("wrong.npz", image=feeds["x"])
    result = cli("optimize", model, "--feeds", "wrong.npz", "-o", "other.onnx")
    assert result.exit_code in {1, 2}
    assert result.stderr.count("\n") == 1
    assert not Path("other.onnx").exists()


def test_feeds_of_a_test_data_folder(cli: Cli, model: Path, feeds: Feeds, tmp_path: Path) -> None:
    for number, shift in enumerate((0, 1)):
        folder = tmp_path / "data" / f"test_data_set_{number}"
        folder.mkdir(parents=True)
        tensor = numpy_helper.from_array(feeds["x"] + np.float32(shift))
        (folder / "input_0.pb").write_bytes(tensor.SerializeToString())
    result = cli("optimize", model, "--feeds", "data", "--report", "run.json")
    assert result.exit_code == 0, result.output
    verification = json.loads(Path("run.json").read_text())["verification"]
    assert (verification["trials"], verification["seeds"]) == (2, [])
    assert cli("verify", model, model, "--feeds", "data", "-q").stdout == "equal\n"


def test_external_data_is_written_when_asked(cli: Cli, model: Path) -> None:
    arguments = ("--external-data", "always", "-o", "split.onnx", "-q")
    assert cli("optimize", "demo:pixelcnn", *arguments).exit_code == 0
    proto = onnx.load("split.onnx", load_external_data=False)
    assert any(weight.data_location == TensorProto.EXTERNAL for weight in proto.graph.initializer)
    assert cli("verify", "demo:pixelcnn", "split.onnx", "-q").stdout == "equal\n"
    assert cli("optimize", "split.onnx", "-o", "whole.onnx", "-q").exit_code == 0
    refused = cli("optimize", model, "--external-data", "always", "-o", "-")
    assert (refused.exit_code, refused.stdout) == (2, "")


def test_the_same_input_gives_the_same_bytes(cli: Cli, model: Path) -> None:
    cli("optimize", model, "-o", "a.onnx", "-q")
    cli("optimize", model, "-o", "b.onnx", "-q")
    assert Path("a.onnx").read_bytes() == Path("b.onnx").read_bytes()


def test_a_finished_file_has_ordinary_permissions(cli: Cli, model: Path) -> None:
    mask = os.umask(0o027)
    try:
        assert cli("optimize", model, "-o", "a.onnx", "--report", "a.json", "-q").exit_code == 0
    finally:
        os.umask(mask)
    assert [Path(name).stat().st_mode & 0o777 for name in ("a.onnx", "a.json")] == [0o640, 0o640]


def test_the_opset_is_raised_and_never_lowered(cli: Cli, model: Path) -> None:
    out = model.with_name("new.onnx")
    assert cli("optimize", model, "--opset", 21, "--passes", "none", "-o", out).exit_code == 0
    assert onnx.load(out).opset_import[0].version == 21
    assert cli("optimize", out, "--opset", 21, "--passes", "none", "--check").exit_code == 0
    assert cli("optimize", out, "--opset", 22, "--passes", "none", "--check").exit_code == 1
    refused = cli("optimize", out, "--opset", 18, "-o", model.with_name("old.onnx"))
    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"{out}: opset: 18; 21, the model's own, to ")
    assert not model.with_name("old.onnx").exists()


def test_an_operator_that_cannot_be_upgraded_is_named(cli: Cli, tmp_path: Path) -> None:
    text = '<ir_version: 7, opset_import: ["": 12]> g (float[2, 3] x) => (float[2, 3] y) { y = Hardmax(x) }'
    onnx.save(onnx.parser.parse_model(text), tmp_path / "m.onnx")
    refused = cli("optimize", "m.onnx", "--opset", 13)
    assert refused.exit_code == 2
    found = "m.onnx: Hardmax y: Hardmax of opset 12, which is another in opset 13"
    assert refused.stderr == f"{found}; an operator that can be converted\n"
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_size_limit_and_freeze_defaults_reach_the_rewrites(cli: Cli, tmp_path: Path) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("Expand", ["one", "shape"], ["big"]),
            helper.make_node("Concat", ["x", "big"], ["y"], axis=0),
        ],
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, (2, 3, 5)),
            helper.make_tensor_value_info("one", TensorProto.FLOAT, (1,)),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (4, 3, 5))],
        initializer=[
            helper.make_tensor("one", TensorProto.FLOAT, (1,), [1.5]),
            helper.make_tensor("shape", TensorProto.INT64, (3,), [2, 3, 5]),
        ],
    )
    model = tmp_path / "expand.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), model)
    assert cli("optimize", model, "-o", "kept.onnx").exit_code == 0
    assert op_types(Path("kept.onnx")) == ["Expand", "Concat"]
    assert cli("optimize", model, "--freeze-defaults", "-o", "frozen.onnx").exit_code == 0
    assert op_types(Path("frozen.onnx")) == ["Concat"]
    arguments = ("--freeze-defaults", "--size-limit", 16, "-o", "limited.onnx")
    assert cli("optimize", model, *arguments).exit_code == 0
    assert op_types(Path("limited.onnx")) == ["Expand", "Concat"]


def test_operators_that_a_device_lacks_are_lowered_or_nothing_is_written(cli: Cli, model: Path) -> None:
    result = cli("optimize", "demo:unet", "--without", "ConvTranspose", "-o", "unet.onnx", "-q")
    assert (result.exit_code, result.output) == (0, "")
    assert "ConvTranspose" not in op_types(Path("unet.onnx"))
    refused = cli("optimize", model, "--without", "Relu,ConvTranspose")
    assert refused.exit_code == 1
    assert refused.stderr.count("\n") == 1
    assert f"{model}: without: Relu" in refused.stderr
    assert not model.with_name("small.opt.onnx").exists()
    assert cli("optimize", model, "--without", "Reluu").exit_code == 2


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A network with weak directions in its weights."""
    path = tmp_path / "trained.onnx"
    cg.save(network(), path)
    return path


def test_approximations_within_an_error_budget(cli: Cli, trained: Path) -> None:
    arguments = ("--allow-approximate", "--max-error", 0.01, "--report", "run.json", "-v")
    result = cli("optimize", trained, *arguments)
    assert result.exit_code == 0, result.output
    assert f"{trained}: within the error budget 0.01: measured 0.00" in result.stderr
    assert "split-low-rank-conv at conv5, approximate: weight changed by 0.0" in result.stderr
    assert " of 0.01" in result.stdout
    report = json.loads(Path("run.json").read_text())
    Draft202012Validator(schema()).validate(report)
    assert 0 < report["approximation"]["error"] <= 0.01
    (output,) = report["verification"]["outputs"]
    assert (report["verification"]["equal"], output["bound"]) == (True, "given")
    assert output["max_rel"] <= 0.01
    assert report["optimized"]["macs"] < 0.75 * report["model"]["macs"]
    written = trained.with_name("trained.opt.onnx")
    x = np.random.default_rng(3).standard_normal((2, 3, 22, 18)).astype(np.float32)
    (before,), (after,) = outputs(trained, {"x": x}), outputs(written, {"x": x})
    assert 1e-5 < np.abs(after - before).max() / np.abs(before).max() <= 0.02
    assert cli("verify", trained, written).exit_code == 1
    assert cli("verify", trained, written, "--rtol", 0.02).exit_code == 0


def test_a_budget_that_allows_nothing_is_said_not_to(cli: Cli, trained: Path) -> None:
    result = cli("optimize", trained, "--allow-approximate", "--max-error", 1e-7)
    assert result.exit_code == 0
    assert result.stderr == f"{trained}: not approximated: nothing within the budget saves enough\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--allow-approximate",), "--allow-approximate: no error budget; expected --max-error E beside it"),
        (
            ("--max-error", 0.01),
            "--max-error: only for approximations; expected --allow-approximate beside it",
        ),
        (("--allow-approximate", "--max-error", 0), "--max-error"),
        (
            ("--passes", "split-low-rank-conv"),
            "split-low-rank-conv: an approximation without an error budget; --allow-approximate",
        ),
    ],
)
def test_approximations_need_an_error_budget(
    arguments: tuple[object, ...], message: str, cli: Cli, trained: Path
) -> None:
    result = cli("optimize", trained, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not trained.with_name("trained.opt.onnx").exists()
