"""Models with their weights in a file beside them: judged and written without the weights in memory."""

import hashlib
import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

import convgraph as cg
from convgraph.cli import optimize
from convgraph.cli.main import main
from convgraph.compiler.sources import runnable
from convgraph.numerics import compare, session

CHANNELS = 48


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A normalisation to fold into a small convolution, and a larger one that nothing touches."""
    rng = np.random.default_rng(3)
    shapes = {"w": (8, 3, 1, 1), "v": (CHANNELS, 8, 3, 2)}
    tensors = [
        numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    vectors = [
        numpy_helper.from_array(rng.uniform(0.5, 2, 8).astype(np.float32), name)
        for name in ("a", "b", "m", "s")
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "a", "b", "m", "s"], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("Conv", ["r", "v"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 9, 7])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", CHANNELS, 7, 6])
    graph = helper.make_graph(nodes, "g", [x], [y], [*tensors, *vectors])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    folder = tmp_path / "models"
    (folder / "w").mkdir(parents=True)
    onnx.save(model, folder / "m.onnx", save_as_external_data=True, location="w/m.data", size_threshold=0)
    return folder / "m.onnx"


def convgraph(*arguments: object, memory: int | None = None) -> "subprocess.CompletedProcess[str]":
    """The command in a process of its own, with so many bytes of address space."""

    def limit() -> None:
        if memory is not None:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

    command = [sys.executable, "-m", "convgraph", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limit)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_weights_come_out_as_they_went_in(path: Path) -> None:
    before = files(path.parent)
    result = cg.optimize(path)
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    assert result.changed
    assert [node.op_type for node in result.proto.graph.node] == ["Conv", "Relu", "Conv"]
    apart = {t.name for t in result.proto.graph.initializer if t.data_location == TensorProto.EXTERNAL}
    assert apart == {"v"}
    assert result.optimized.bytes == result.ready.nbytes > 4 * CHANNELS * 8 * 6
    assert result.model.bytes == sum(map(len, before.values()))
    assert result.model.sha256 == hashlib.sha256(before["m.onnx"]).hexdigest()
    assert files(path.parent) == before, "without a place, nothing is written beside the model"
    opened = result.ready.opened
    assert isinstance(opened, Path)
    cg.save(result.graph, path.with_name("out.onnx"))
    result.ready.close()
    assert not opened.exists()
    assert cg.verify(path, path.with_name("out.onnx")).equal


@pytest.mark.parametrize("out", ["out.onnx", "m.onnx"])
def test_the_command_replaces_what_is_there_by_what_was_judged(path: Path, out: str) -> None:
    original = cg.to_onnx(cg.load(path))
    report, place = path.with_name("r.json"), path.with_name(out)
    for _ in range(2):
        done = convgraph("optimize", path, "-o", place, "-q", "--report", report)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        facts = json.loads(report.read_text())["optimized"]
        (data,) = path.parent.glob(f"{out}.*.data")
        assert facts["sha256"] == hashlib.sha256(place.read_bytes()).hexdigest()
        assert facts["file_bytes"] == place.stat().st_size + data.stat().st_size
    assert cg.verify(original, place).equal
    assert sum(name.startswith((f"{out}.", f".{out}")) for name in files(path.parent)) == 1


def test_a_refused_result_leaves_nothing(path: Path) -> None:
    before = files(path.parent)
    done = convgraph("optimize", path, "--rtol", 0, "--atol", 0, "--stop-after", 99)
    assert done.returncode == 1
    assert ": different: " in done.stderr
    assert convgraph("optimize", path, "--check").returncode == 1
    assert convgraph("optimize", path, "--check", "--passes", "none", "--no-verify").returncode == 0
    assert files(path.parent) == before


def test_a_copy_of_an_edited_model_finds_its_weights(path: Path) -> None:
    model = onnx.load(path, load_external_data=False)
    del model.graph.node[2:]
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("n", TensorProto.FLOAT, ["N", 8, 9, 7]))
    with runnable(model, path, edited=True) as copy:
        assert isinstance(copy, Path)
        assert copy.parent != path.parent
        onnx.checker.check_model(str(copy))
        feeds = {"x": np.random.default_rng(5).normal(size=(2, 3, 9, 7)).astype(np.float32)}
        assert session.run_model(copy, feeds)["n"].shape == (2, 8, 9, 7)
    assert not copy.exists()


PEAK = """
import re, sys
from pathlib import Path
from convgraph.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""  # what getrusage says of a process includes the one it was forked from


def test_weights_nobody_touches_take_no_memory(tmp_path: Path) -> None:
    tensors, nodes, value = list[TensorProto](), list[onnx.NodeProto](), "x"
    length = 4 * 1024 * 1024 * 9
    for index in range(24):
        weight = TensorProto(name=f"w{index}", data_type=TensorProto.FLOAT, dims=(1024, 1024, 3, 3))
        weight.data_location = TensorProto.EXTERNAL
        for key, entry in {"location": "w.bin", "offset": index * length, "length": length}.items():
            weight.external_data.add(key=key, value=str(entry))
        tensors.append(weight)
        nodes.append(helper.make_node("Conv", [value, f"w{index}"], [f"y{index}"], pads=[1, 1, 1, 1]))
        value = f"y{index}"
    x, y = (helper.make_tensor_value_info(v, TensorProto.FLOAT, (1, 1024, 5, 4)) for v in ("x", value))
    graph = helper.make_graph(nodes, "g", [x], [y], tensors)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
        tmp_path / "m.onnx",
    )
    with (tmp_path / "w.bin").open("wb") as file:
        file.truncate(24 * length)  # a hole: it takes no room on the disk
    arguments = ["optimize", str(tmp_path / "m.onnx"), "--passes", "none", "--no-verify", "-q"]
    run = subprocess.run([sys.executable, "-c", PEAK, *arguments], capture_output=True, text=True, check=True)
    assert int(run.stdout) * 1024 < 24 * length / 3


def test_what_does_not_fit_is_verified_region_by_region(path: Path) -> None:
    report = path.with_suffix(".json")
    arguments = ["optimize", str(path), "--verify-memory", "1000", "--report", str(report), "-q"]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    verdict = json.loads(report.read_text(encoding="utf-8"))["verification"]
    assert verdict["equal"]
    assert "1 changed regions, one at a time" in verdict["reference"]
    assert [output["name"] for output in verdict["outputs"]] == ["n"]


def test_what_does_not_fit_is_unverified(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __init__(self, *_: object, **__: object) -> None:
            raise RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : std::bad_alloc")

    monkeypatch.setattr(session.onnxruntime, "InferenceSession", Full)
    verdict = compare.verify_models(path, path)
    assert verdict.status == "unverified"
    assert verdict.reason.startswith("the original: not enough memory (std::bad_alloc)")


def test_a_rewritten_model_that_does_not_fit_is_not_different(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, real = list[object](), session.onnxruntime.InferenceSession

    def second_time_full(*arguments: object, **options: object) -> object:
        opened.append(arguments)
        if len(opened) > 1:
            raise MemoryError
        return real(*arguments, **options)

    monkeypatch.setattr(session.onnxruntime, "InferenceSession", second_time_full)
    verdict = compare.verify_models(path, path)
    assert verdict.status == "unverified"
    assert verdict.reason.startswith("the rewritten model: not enough memory (MemoryError)")


def test_a_full_disk_leaves_what_was_there(path: Path) -> None:
    before = files(path.parent)

    def no_more() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    command = [sys.executable, "-m", "convgraph", "optimize", str(path), "-o", str(path), "--no-verify", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=no_more)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert files(path.parent) == before


def test_a_command_without_memory_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def short(*_: object, **__: object) -> None:
        raise MemoryError("5 GB")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(optimize, "optimize", short)
    before = files(path.parent)
    result = CliRunner().invoke(main, ["optimize", str(path)])
    said = "convgraph: not enough memory (5 GB); expected more of it; nothing written\n"
    assert (result.exit_code, result.stderr) == (1, said)
    assert files(path.parent) == before
