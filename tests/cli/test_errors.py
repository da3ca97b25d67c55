"""Every way a command line can fail: the exit status, one line on standard error, nothing written."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from click.testing import Result
from onnx import TensorProto, helper

from convgraph.cli import optimize as optimize_command
from convgraph.errors import PassFailed
from convgraph.passes.fusion.fold_batchnorm_into_conv import FoldBatchnormIntoConv

Cli = Callable[..., Result]


def relu(name: str, *, reads: str, makes: str) -> onnx.NodeProto:
    return helper.make_node("Relu", [reads], [makes], name=name)


def model_of(*nodes: onnx.NodeProto, dtype: int = TensorProto.FLOAT) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", dtype, (2, 3, 5))],
        [helper.make_tensor_value_info("y", dtype, (2, 3, 5))],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def unknown_dtype() -> onnx.ModelProto:
    model = model_of(relu("a", reads="x", makes="y"))
    model.graph.input[0].type.tensor_type.elem_type = 99
    return model


def unknown_weight_dtype() -> onnx.ModelProto:
    model = model_of(helper.make_node("Add", ["x", "w"], ["y"]))
    model.graph.initializer.append(TensorProto(name="w", dims=[5], data_type=99, raw_data=bytes(20)))
    return model


def short_weight() -> onnx.ModelProto:
    model = model_of(helper.make_node("Add", ["x", "w"], ["y"]))
    model.graph.initializer.append(TensorProto(name="w", dims=[5], data_type=1, raw_data=bytes(12)))
    return model


def corrupted(data: bytes) -> bytes:
    return data[:12] + b"\xff" * 64 + data[76:]


BROKEN = {
    "empty": lambda _: b"",
    "text": lambda _: b"This is not a model.\nIt is two lines of text.\n",
    "truncated": lambda good: good[: len(good) // 2],
    "one byte short": lambda good: good[:-1],
    "corrupted": corrupted,
    "cycle": lambda _: model_of(
        relu("a", reads="x", makes="p"),
        helper.make_node("Add", ["p", "r"], ["q"], name="b"),
        relu("c", reads="q", makes="r"),
        relu("d", reads="q", makes="y"),
    ).SerializeToString(),
    "missing input": lambda _: model_of(relu("a", reads="nobody", makes="y")).SerializeToString(),
    "unknown dtype": lambda _: unknown_dtype().SerializeToString(),
    "unknown dtype of a weight": lambda _: unknown_weight_dtype().SerializeToString(),
    "a weight with too little data": lambda _: short_weight().SerializeToString(),
    "two nodes make one value": lambda _: model_of(
        relu("a", reads="x", makes="y"), relu("b", reads="x", makes="y")
    ).SerializeToString(),
}
FOUND = {
    "empty": "empty",
    "cycle": "cycle",
    "missing input": "nobody",
    "unknown dtype": "99",
    "unknown dtype of a weight": "99",
}


@pytest.mark.parametrize("command", ["optimize", "inspect", "verify", "diff"])
@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_one_line(command: str, kind: str, cli: Cli, model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(BROKEN[kind](model.read_bytes()))
    before = sorted(tmp_path.iterdir())
    result = cli(command, broken, *([model] if command in {"verify", "diff"} else []))
    assert result.exit_code == 2, result.output
    assert_one_line(result.stderr, starts=f"{broken}: ")
    assert FOUND.get(kind, "") in result.stderr
    assert result.stdout == ""
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("command", ["optimize", "inspect"])
def test_a_missing_file_and_a_folder_are_one_line(command: str, cli: Cli, tmp_path: Path) -> None:
    for path in (tmp_path / "absent.onnx", tmp_path):
        result = cli(command, path)
        assert result.exit_code == 2
        assert_one_line(result.stderr, starts=f"{path}: ")
    assert list(tmp_path.iterdir()) == []


def assert_one_line(text: str, *, starts: str) -> None:
    """One line in the form ``path: what was found; what was expected``."""
    assert text.startswith(starts)
    assert text.count("\n") == 1
    assert "; " in text
    assert "Traceback" not in text


USAGE = {
    "no command": [],
    "unknown command": ["optimise", "m.onnx"],
    "no model": ["optimize"],
    "unknown flag": ["optimize", "demo:unet", "--fastest"],
    "a level that does not exist": ["optimize", "demo:unet", "--level", "fast"],
    "zero trials": ["optimize", "demo:unet", "--trials", "0"],
    "a negative shape": ["optimize", "demo:unet", "--input-shape", "x:1,-3,4,4"],
    "an empty shape": ["optimize", "demo:unet", "--input-shape", "x:"],
    "two shapes for one input": ["optimize", "demo:unet", "--input-shape", "x:1", "--input-shapes", "x:2"],
    "a report that is neither": ["optimize", "demo:unet", "--report", "run.txt"],
    "a report in no folder": ["optimize", "demo:unet", "--report", "absent/run.json"],
    "an output in no folder": ["optimize", "demo:unet", "-o", "absent/out.onnx"],
    "an output that is a folder": ["optimize", "demo:unet", "-o", "."],
    "none and a rewrite": ["optimize", "demo:unet", "--passes", "none,remove-identity"],
    "an empty rewrite": ["optimize", "demo:unet", "--passes", "remove-identity,,"],
    "an unknown rewrite": ["optimize", "demo:unet", "--passes", "fold-everything"],
    "an unknown rewrite to skip": ["optimize", "demo:unet", "--skip", "fold-everything"],
    "an unknown target": ["optimize", "demo:unet", "--target", "abacus"],
    "an unknown input to shape": ["optimize", "demo:unet", "--input-shape", "nobody:1,2,3,4"],
    "an unknown demo": ["optimize", "demo:nothing"],
    "an unknown demo to write": ["demo", "nothing"],
    "a place for a list": ["demo", "-o", "x.onnx"],
    "feeds that are not there": ["verify", "demo:unet", "demo:unet", "--feeds", "absent.npz"],
}


@pytest.mark.parametrize("kind", USAGE)
def test_bad_usage_is_one_line(kind: str, cli: Cli, tmp_path: Path) -> None:
    result = cli(*USAGE[kind])
    assert result.exit_code == 2, result.output
    assert_one_line(result.stderr, starts="")
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error", [RuntimeError("two\nlines"), PassFailed("fold-x at conv", found="a hole", expected="none")]
)
def test_a_fault_of_ours_names_the_file_to_send(
    error: Exception, cli: Cli, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(optimize_command, "optimize", fail)
    before = sorted(model.parent.iterdir())
    result = cli("optimize", model)
    assert result.exit_code == 3
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    trace = Path(result.stderr.rstrip("\n").rpartition("please send ")[2])
    text = trace.read_text(encoding="utf-8")
    trace.unlink()
    assert type(error).__name__ in text
    assert "Traceback" in text
    assert "onnxruntime" in text
    assert sorted(model.parent.iterdir()) == before


def test_an_interrupt_is_one_line(cli: Cli, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(optimize_command, "optimize", interrupt)
    result = cli("optimize", model)
    assert result.exit_code == 130
    assert result.stderr.strip() == "convgraph: interrupted; nothing written"


@pytest.mark.parametrize("told", ["", "Unable to allocate 3 GiB"])
def test_a_rewrite_that_runs_out_of_memory_is_one_line(
    told: str, cli: Cli, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhaust(*_: object) -> None:
        raise MemoryError(*filter(None, [told]))

    monkeypatch.setattr(FoldBatchnormIntoConv, "apply", exhaust)
    before = sorted(model.parent.iterdir())
    result = cli("optimize", model)
    assert result.exit_code == 1
    assert_one_line(result.stderr, starts="convgraph: not enough memory")
    assert told in result.stderr
    assert sorted(model.parent.iterdir()) == before


def test_an_unreadable_report_is_one_line(cli: Cli, model: Path, tmp_path: Path) -> None:
    for text in ("not json", "[]", '{"rewrites": 3}'):
        report = tmp_path / "run.json"
        report.write_text(text, encoding="utf-8")
        result = cli("diff", model, model, "--report", report)
        assert result.exit_code == 2
        assert_one_line(result.stderr, starts=f"{report}: ")
