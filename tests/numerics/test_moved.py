"""Weights replaced one at a time: those of the function, wherever they lie, and nothing else."""

import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from convgraph.ir.tensor import Array
from convgraph.numerics import moved as module
from convgraph.numerics.moved import with_moved_weights
from convgraph.numerics.noise import nudged
from convgraph.numerics.session import TimedOut, Unverifiable, run_model


def model() -> onnx.ModelProto:
    """A convolution with a large weight, one in a node, and a shape to leave alone."""
    rng = np.random.default_rng(3)
    weight = numpy_helper.from_array(rng.normal(size=(800, 60, 3, 2)).astype(np.float32), "w")
    bias = numpy_helper.from_array(rng.normal(size=800).astype(np.float32), "inner")
    shape = numpy_helper.from_array(np.array([1, 800, -1]), "s")
    nodes = [
        helper.make_node("Constant", [], ["b"], value=bias),
        helper.make_node("Conv", ["x", "w", "b"], ["c"]),
        helper.make_node("Reshape", ["c", "s"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 60, 5, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 800, 9])
    graph = helper.make_graph(nodes, "g", [x], [y], [weight, shape])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def doubled(_: str, array: Array) -> Array:
    return array * 2


@pytest.mark.parametrize("beside", [False, True])
def test_all_weights_are_replaced_and_the_copy_is_gone_afterwards(tmp_path: Path, beside: bool) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(model(), path, save_as_external_data=beside, location="m.data", size_threshold=0)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    feeds = {"x": np.random.default_rng(4).normal(size=(1, 60, 5, 4)).astype(np.float32)}
    with with_moved_weights(path, move=doubled, deadline=None) as copy:
        assert isinstance(copy, Path)
        assert copy.stat().st_size < 10_000, "a large weight goes through a file"
        found = run_model(copy, feeds)["y"]
    assert not copy.parent.exists()
    assert found.tobytes() == (run_model(model(), feeds)["y"] * 2).tobytes()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_neither_time_nor_room_is_a_verdict_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    late = with_moved_weights(model(), move=doubled, deadline=time.monotonic())
    with pytest.raises(TimedOut, match="no time left"), late:
        pass

    def full(*_: object) -> TensorProto:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_put", full)
    with pytest.raises(Unverifiable, match=r"no room .* \(No space left"):
        with_moved_weights(model(), move=doubled, deadline=None).__enter__()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_a_nudge_leads_to_a_neighbour(dtype: str) -> None:
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, np.finfo(dtype).max, np.finfo(dtype).tiny, -1.0]
    array = np.concatenate([special, np.random.default_rng(5).normal(size=3000)]).astype(dtype)
    found = nudged(array, rng=np.random.default_rng(6))
    with np.errstate(over="ignore"):
        up, down = (np.nextafter(array, np.array(end, dtype)) for end in (np.inf, -np.inf))
    left = (found == array) | np.isnan(array)
    assert np.all(left | (found == up) | (found == down))
    assert np.all(left[:5])
    assert np.all(np.isfinite(found[5:]))
    moved = ~left[8:]
    assert 0.6 < moved.mean() < 0.73
    assert 0.45 < (found > array)[8:][moved].mean() < 0.55


def called() -> onnx.ModelProto:
    """Weights that functions are given and that a branch captures; a size to leave alone."""
    text = """<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
        g (float[2, 3, 5] x, bool c) => (float[A, B, C] y) <int64[2] s = {6, 5}> {
            z = own.outer(s, k, w, x)
            y = If (c) <then_branch = a () => (float[6, 4] p) { p = MatMul(z, v) },
                        else_branch = o () => (float[6, 5] q) { q = Neg(z) }>
        }
        <domain: "own", opset_import: ["" : 17, "own" : 1]> outer (s, k, w, x) => (y) {
            t = own.inner(w, x) u = Mul(t, k) y = Reshape(u, s) }
        <domain: "own", opset_import: ["" : 17]> inner (w, x) => (y) { y = MatMul(x, w) }"""
    built: onnx.ModelProto = onnx.parser.parse_model(text)
    rng = np.random.default_rng(8)
    for name, shape in {"w": (5, 5), "v": (5, 4), "k": (5,)}.items():
        array = rng.normal(size=shape).astype(np.float32)
        built.graph.initializer.append(numpy_helper.from_array(array, name))
    return built


def test_weights_of_functions_and_branches_are_replaced_too() -> None:
    given = called()
    with with_moved_weights(given, move=doubled, deadline=None) as copy:
        assert isinstance(copy, onnx.ModelProto)
        pairs = zip(given.graph.initializer, copy.graph.initializer, strict=True)
        factors = {a.name: numpy_helper.to_array(b).max() / numpy_helper.to_array(a).max() for a, b in pairs}
    assert factors == {"s": 1, "w": 2, "v": 2, "k": 2}


def test_functions_that_call_each_other_come_to_an_end() -> None:
    given = called()
    given.functions[1].node[0].op_type, given.functions[1].node[0].domain = "outer", "own"
    with with_moved_weights(given, move=doubled, deadline=None) as copy:
        assert isinstance(copy, onnx.ModelProto)
