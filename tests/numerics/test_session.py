"""onnxruntime behind one door."""

import subprocess
import sys
import time
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from numerics.conftest import MakeProto

from convgraph.errors import ConvgraphError
from convgraph.ir.tensor import Array
from convgraph.numerics.session import Session, TimedOut, Unverifiable, run_model

X = np.arange(-3, 3, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def relu(proto: MakeProto) -> onnx.ModelProto:
    return proto("(float[2,3] x) => (float[2,3] y, float[2,3] z) { y = Relu(x) z = Neg(x) }")


def test_opens_protos_bytes_and_paths(relu: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save(relu, tmp_path / "m.onnx")
    for source in (relu, relu.SerializeToString(), tmp_path / "m.onnx", str(tmp_path / "m.onnx")):
        for optimized in (False, True):
            results = Session(source, optimized=optimized, threads=2).run({"x": X})
            assert list(results) == ["y", "z"]
            np.testing.assert_array_equal(results["y"], np.maximum(X, 0))


def test_reads_external_data_beside_a_path(proto: MakeProto, tmp_path: Path) -> None:
    model = proto("(float[2,3] x) => (float[2,3] y) { y = Mul(x, w) }", w=2 * np.ones(3, np.float32))
    path = tmp_path / "m.onnx"
    onnx.save(model, path, save_as_external_data=True, size_threshold=0, location="m.data")
    np.testing.assert_array_equal(run_model(path, {"x": X})["y"], 2 * X)


def test_a_proto_too_big_for_bytes_goes_through_a_folder(
    proto: MakeProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight = np.linspace(1, 2, 3000, dtype=np.float32)
    model = proto("(float[2,3000] x) => (float[2,3000] y) { y = Mul(x, w) }", w=weight)
    untouched = model.SerializeToString()
    monkeypatch.setattr("convgraph.numerics.session._IN_MEMORY_LIMIT", 100)
    x = np.ones((2, 3000), np.float32)
    np.testing.assert_array_equal(run_model(model, {"x": x})["y"], x * weight)
    assert model.SerializeToString() == untouched


def test_gives_the_asked_outputs_in_the_asked_order(relu: onnx.ModelProto) -> None:
    assert list(Session(relu).run({"x": X}, outputs=["z"])) == ["z"]
    assert list(Session(relu).run({"x": X}, outputs=["z", "y"])) == ["z", "y"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(float[2,3] x) => (float[2,3] y) { y = no.such.Op(x) }", r"does not know \(no\.such:Op\)"),
        ("(float[2,3] x) => (float[2,3] y) { y = Relu(missing) }", "missing"),
    ],
)
def test_says_in_one_line_why_a_model_does_not_load(proto: MakeProto, text: str, reason: str) -> None:
    with pytest.raises(Unverifiable, match=reason) as caught:
        Session(proto(text), at="m.onnx")
    message = str(caught.value)
    assert message.startswith("m.onnx: ")
    assert "\n" not in message
    assert "ONNXRuntimeError" not in message
    assert isinstance(caught.value, ConvgraphError)


@pytest.mark.parametrize("source", [b"garbage", "no such file.onnx"])
def test_what_is_no_model_does_not_load(source: bytes | str) -> None:
    with pytest.raises(Unverifiable, match="a model that loads"):
        Session(source)


@pytest.mark.parametrize(
    "feeds", [{}, {"x": X, "stray": X}, {"x": X.astype(np.float64)}, {"x": X[:, :2]}, {"x": X[0]}]
)
def test_says_in_one_line_why_a_run_fails(relu: onnx.ModelProto, feeds: dict[str, Array]) -> None:
    with pytest.raises(Unverifiable, match="a run to the end") as caught:
        Session(relu).run(feeds)
    assert "\n" not in str(caught.value)


def test_a_run_stops_at_its_deadline(proto: MakeProto) -> None:
    model = proto(
        """(float[64,64] x, int64 n) => (float[64,64] y) {
            t = Constant <value = bool {1}> ()
            y = Loop (n, t, x) <body = b (int64 i, bool go, float[64,64] a) => (bool on, float[64,64] c) {
                on = Identity(go) c = MatMul(a, a) }>
        }"""
    )
    session = Session(model)
    feeds = {"x": np.zeros((64, 64), np.float32), "n": np.array(10**9)}
    started = time.monotonic()
    with pytest.raises(TimedOut, match="time allowed"):
        session.run(feeds, deadline=started + 0.2)
    assert time.monotonic() - started < 5
    with pytest.raises(TimedOut, match="no time left"):
        session.run(feeds, deadline=time.monotonic() - 1)
    with pytest.raises(TimedOut):
        Session(model, deadline=time.monotonic() - 1)
    few = session.run({**feeds, "n": np.array(2)}, deadline=time.monotonic() + 60)
    assert few["y"].shape == (64, 64)


def test_passes_types_that_numpy_lacks(proto: MakeProto) -> None:
    model = proto(
        """(bfloat16[2,3] x, float[3] f) => (bfloat16[2,3] y, float[2,3] w, float[3] g) {
            y = Identity(x)  w = Cast <to = 1> (x)  g = Neg(f)
        }"""
    )
    x, f = X.astype(ml_dtypes.bfloat16), X[0]
    results = Session(model).run({"x": x, "f": f})
    assert results["y"].dtype == ml_dtypes.bfloat16
    assert results["y"].tolist() == x.tolist()
    np.testing.assert_array_equal(results["w"], X)
    np.testing.assert_array_equal(Session(model).run({"x": x, "f": f}, outputs=["g"])["g"], -f)


def test_passes_strings_and_sequences(proto: MakeProto) -> None:
    model = proto(
        "(string[2] x) => (string[2] y, seq(string[2]) s) { y = Identity(x) s = SequenceConstruct(x, y) }"
    )
    results = Session(model).run({"x": np.array(["a", "b"], dtype=object)})
    assert results["y"].tolist() == ["a", "b"]
    assert [list(item) for item in results["s"]] == [["a", "b"], ["a", "b"]]
    with pytest.raises(Unverifiable, match="a tensor"):
        run_model(model, {"x": np.array(["a", "b"], dtype=object)})


def test_importing_convgraph_does_not_reach_the_runtime() -> None:
    code = "import sys, convgraph; sys.exit('onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
