"""Tensors beside the model: whole before anything names them, copied file to file, gone when replaced."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import ModelProto

from convgraph.errors import InvalidModel
from convgraph.exporters import external_data
from convgraph.exporters.onnx_model import save, to_onnx
from convgraph.importers.onnx_model import load
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv
from convgraph.ir.tensor import Array, Tensor

Run = Callable[[ModelProto, dict[str, Any]], list[Any]]


def net(*, seed: int, channels: int = 70) -> Graph:
    random_ = np.random.default_rng(seed)
    b = GraphBuilder("net", opset=17, ir_version=8)
    x = b.input("x", shape=(2, 6, 10, 8))
    weight = random_.standard_normal((channels, 6, 3, 2)).astype(np.float32)
    bias = random_.standard_normal(channels).astype(np.float32)
    b.output(b.add(Conv.of(2), x, weight, bias), name="y")
    return b.build()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def weight_of(graph: Graph) -> Tensor:
    (conv,) = graph.compute_nodes()
    tensor = graph.constant(graph.operand(conv, 1))
    assert tensor is not None
    return tensor


def test_the_data_lies_beside_the_model_and_loads_again(tmp_path: Path, run: Run) -> None:
    path, graph = tmp_path / "m.onnx", net(seed=0)
    save(graph, path, external_data="always")
    model, data = names(tmp_path)
    assert model == "m.onnx"
    assert data.startswith("m.onnx.")
    assert data.endswith(".data")
    assert path.stat().st_size < 1500
    onnx.checker.check_model(str(path), full_check=True)
    again = load(path)
    assert to_onnx(again) == to_onnx(graph)
    feeds = {"x": np.random.default_rng(2).standard_normal((2, 6, 10, 8)).astype(np.float32)}
    (expected,), (found,) = run(to_onnx(graph), feeds), run(onnx.load(path), feeds)
    assert found.tobytes() == expected.tobytes()


def test_small_types_survive(tmp_path: Path) -> None:
    array = np.random.default_rng(4).integers(-8, 8, (61, 53)).astype(ml_dtypes.int4)
    b = GraphBuilder("net", opset=21, ir_version=10)
    b.output(b.constant(array, name="c"), name="c")
    save(b.build(), tmp_path / "m.onnx", external_data="always")
    save(load(tmp_path / "m.onnx"), tmp_path / "n.onnx", external_data="always")
    read = load(tmp_path / "n.onnx")
    found = read.constant(read.outputs[0])
    assert found is not None
    assert found.numpy().tolist() == array.tolist()


def test_the_same_data_has_the_same_name_and_other_data_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    (tmp_path / "m.onnx.weights.data").write_bytes(b"someone else's")
    save(net(seed=0), path, external_data="always")
    first = names(tmp_path)
    save(load(path), path, external_data="always")  # over the file that is being read
    assert names(tmp_path) == first
    save(net(seed=1), path, external_data="always")
    second = names(tmp_path)
    assert len(second) == len(first)
    assert second != first
    assert to_onnx(load(path)) == to_onnx(net(seed=1))
    save(net(seed=1), path)
    assert set(names(tmp_path)) >= {"m.onnx", "m.onnx.weights.data"}


@pytest.mark.parametrize("in_kernel", [True, False])
def test_untouched_data_goes_from_file_to_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_kernel: bool
) -> None:
    save(net(seed=0), tmp_path / "m.onnx", external_data="always")
    if not in_kernel:

        def refused(*_: object) -> int:
            raise OSError("another file system")

        monkeypatch.setattr(external_data.os, "copy_file_range", refused)
    graph = load(tmp_path / "m.onnx")
    read: list[int] = []
    numpy = Tensor.numpy

    def watched(tensor: Tensor) -> Array:
        read.append(tensor.nbytes)
        return numpy(tensor)

    monkeypatch.setattr(Tensor, "numpy", watched)
    save(graph, tmp_path / "n.onnx", external_data="always")
    assert max(read) < weight_of(graph).nbytes
    assert to_onnx(load(tmp_path / "n.onnx")) == to_onnx(net(seed=0))


def test_data_that_shrank_since_is_an_error_and_nothing_is_written(tmp_path: Path) -> None:
    save(net(seed=0), tmp_path / "m.onnx", external_data="always")
    graph = load(tmp_path / "m.onnx")
    (data,) = tmp_path.glob("*.data")
    os.truncate(data, 5000)
    before = names(tmp_path)
    with pytest.raises(InvalidModel, match="the file as it was"):
        save(graph, tmp_path / "n.onnx", external_data="always")
    assert names(tmp_path) == before
    data.unlink()
    with pytest.raises(InvalidModel, match="the file as it was"):
        weight_of(graph).numpy()
    with pytest.raises(InvalidModel, match="the file as it was"):
        save(graph, tmp_path / "n.onnx", external_data="always")


WRITER = """
import sys
from tests_net import net
from convgraph.exporters.onnx_model import save
print("ready", flush=True)
for seed in range(1, 1000):
    save(net(seed=seed % 3, channels=4000), "m.onnx", external_data="always")
"""


def test_killed_while_writing_the_model_is_an_old_or_a_new_one(tmp_path: Path) -> None:
    expected = [to_onnx(net(seed=seed, channels=4000)) for seed in range(3)]
    (tmp_path / "tests_net.py").write_text(Path(__file__).read_text())
    save(net(seed=0, channels=4000), tmp_path / "m.onnx", external_data="always")
    for attempt in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(float(np.random.default_rng(attempt).uniform(0.005, 0.2)))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert to_onnx(load(tmp_path / "m.onnx")) in expected
    save(net(seed=0, channels=4000), tmp_path / "m.onnx", external_data="always")
    assert len([name for name in names(tmp_path) if name.endswith(".data")]) == 1
