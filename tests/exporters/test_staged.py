"""Models made ready: what is judged is what is put in its place, and nothing else is left anywhere."""

import gc
import hashlib
import io
import os
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest

from convgraph.errors import InvalidModel
from convgraph.exporters import onnx_model
from convgraph.exporters.onnx_model import ExternalData, ready, save, to_onnx
from convgraph.exporters.sketch import differ
from convgraph.importers.onnx_model import load
from convgraph.ir.build import GraphBuilder
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, Relu
from convgraph.ir.tensor import Tensor


def net(*, seed: int = 0, channels: int = 70) -> Graph:
    rng = np.random.default_rng(seed)
    b = GraphBuilder("net", opset=17, ir_version=8)
    weight = rng.standard_normal((channels, 6, 3, 2)).astype(np.float32)
    y = b.add(Conv.of(2), b.input("x", shape=(2, 6, 10, 8)), weight)
    b.output(b.add(Relu(), y), name="y")
    return b.build()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("external", ["never", "always"])
def test_what_is_ready_is_what_will_be_there(tmp_path: Path, external: ExternalData) -> None:
    path = tmp_path / "m.onnx"
    with closing(ready(net(), place=path, external_data=external)) as model:
        assert not path.exists()
        judged = model.opened if external == "never" else onnx.load(model.opened)
        digest, size = model.sha256, model.nbytes
        model.settle()
    files = contents(tmp_path)
    assert len(files) == 1 if external == "never" else 2
    assert hashlib.sha256(files["m.onnx"]).hexdigest() == digest
    assert sum(map(len, files.values())) == size
    assert onnx.load(path) == judged
    assert to_onnx(load(path)) == to_onnx(net())


def test_what_is_dropped_leaves_what_was_there(tmp_path: Path) -> None:
    save(net(seed=1), tmp_path / "m.onnx", external_data="always")
    before = contents(tmp_path)
    for seed in (1, 2):  # the very data that is there, and other
        with closing(ready(net(seed=seed), place=tmp_path / "m.onnx", external_data="always")) as model:
            assert len(contents(tmp_path)) == len(before) + seed
            assert onnx.load(model.opened).graph.node
        assert contents(tmp_path) == before


@pytest.mark.parametrize("forgotten", [False, True])
def test_without_a_place_it_lasts_as_long_as_it_is_held(forgotten: bool) -> None:
    model = ready(net(), place=None, external_data="always")
    path = model.opened
    assert isinstance(path, Path)
    onnx.checker.check_model(str(path))
    if forgotten:
        del model
        gc.collect()
    else:
        model.close()
    assert not path.parent.exists()


def test_tensors_stay_where_the_model_had_them(tmp_path: Path) -> None:
    save(net(), tmp_path / "apart.onnx", external_data="always")
    save(net(), tmp_path / "whole.onnx")
    for name, files in {"apart.onnx": 2, "whole.onnx": 1}.items():
        (tmp_path / "out").mkdir()
        save(load(tmp_path / name), tmp_path / "out" / name)
        assert len(contents(tmp_path / "out")) == files
        (tmp_path / "out").rename(tmp_path / name.removesuffix(".onnx"))
    stream = io.BytesIO()
    save(load(tmp_path / "apart.onnx"), stream)
    assert stream.getvalue() == (tmp_path / "whole.onnx").read_bytes()


def test_what_fits_no_message_goes_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_model, "_MESSAGE_LIMIT", 5000)
    save(net(), tmp_path / "m.onnx")
    assert len(contents(tmp_path)) == 2
    with pytest.raises(InvalidModel, match="more than a message holds"):
        save(net(), io.BytesIO())


def test_there_is_no_data_file_without_data(tmp_path: Path) -> None:
    save(net(channels=3), tmp_path / "m.onnx", external_data="always")
    assert list(contents(tmp_path)) == ["m.onnx"]


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.onnx"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    save(net(channels=3), pipe)
    assert os.read(reader, 1 << 16) == to_onnx(net(channels=3)).SerializeToString(deterministic=True)
    os.close(reader)
    assert pipe.is_fifo()
    with pytest.raises(InvalidModel, match="external data"):
        save(net(), pipe, external_data="always")


def test_what_differs_is_told_without_reading_what_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, read = net(), list[Tensor]()
    numpy = Tensor.numpy
    monkeypatch.setattr(Tensor, "numpy", lambda tensor: read.append(tensor) or numpy(tensor))
    (conv, relu) = graph.compute_nodes()
    other = graph.copy()
    edit = Edit(other, near=relu)
    edit.replace(graph.outputs[0], graph.results(conv)[0])
    edit.sweep()
    assert differ(graph, other)
    assert not differ(graph, graph.copy())
    assert not read
    assert not differ(net(), net())
    assert differ(net(), net(seed=1))
