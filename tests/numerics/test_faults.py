"""What the seeded faults change, and that they change nothing else."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numerics.conftest import MakeProto
from onnx import numpy_helper

from convgraph.ir.tensor import Array
from convgraph.numerics.faults import KINDS, Fault, Patient, faults
from convgraph.numerics.session import Session

DRAW = np.random.default_rng(29)
IMAGE = "(float[2,3,9,7] x) => (float[2,5,9,7] y)"


def _weight(*shape: int) -> Array:
    return DRAW.standard_normal(shape).astype(np.float32)


def _weights(model: onnx.ModelProto) -> dict[str, Array]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def _broken(model: onnx.ModelProto, kind: str, *, at: int = 0) -> Fault:
    fault = Patient.of(model).broken(kind, at=at)
    assert fault is not None
    return fault


def test_faults_are_seeded_and_leave_the_model_alone(region: onnx.ModelProto) -> None:
    untouched = region.SerializeToString()
    first, again, other = (
        [f.model.SerializeToString() for f in faults(region, seed=seed)] for seed in (0, 0, 1)
    )
    assert len(first) == len(KINDS)
    assert first == again != other
    assert untouched not in first
    assert region.SerializeToString() == untouched


def test_a_model_without_a_place_for_a_fault_has_none(region: onnx.ModelProto) -> None:
    del region.graph.node[:]
    assert not list(faults(region))


def test_a_tap_moves_along_the_last_axis_that_has_several(proto: MakeProto) -> None:
    w = _weight(5, 3, 3, 1)
    model = proto(f"{IMAGE} {{ y = Conv <pads = [1,0,1,0]> (x, w) }}", w=w)
    moved = _weights(_broken(model, "tap moved").model)["w"]
    np.testing.assert_array_equal(moved, np.roll(w, 1, axis=2))
    pointwise = proto(f"{IMAGE} {{ y = Conv(x, w) }}", w=_weight(5, 3, 1, 1))
    assert Patient.of(pointwise).broken("tap moved", at=0) is None


def test_channels_swap_scale_and_lose_their_bias(proto: MakeProto) -> None:
    w, b = _weight(5, 3, 1, 1), np.array([1, -4, 2, 0, 3], np.float32)
    model = proto(f"{IMAGE} {{ y = Conv(x, w, b) }}", w=w, b=b)
    swapped = _weights(_broken(model, "channels swapped").model)["w"]
    changed = [n for n in range(5) if not np.array_equal(w[n], swapped[n])]
    assert len(changed) == 2
    np.testing.assert_array_equal(w[changed], swapped[changed[::-1]])
    scaled = _weights(_broken(model, "weight scaled").model)["w"]
    np.testing.assert_allclose(scaled, 1.001 * w, rtol=1e-6)
    fault = _broken(model, "bias entry dropped")
    np.testing.assert_array_equal(_weights(fault.model)["b"], [1, 0, 2, 0, 3])
    assert (fault.at, fault.description) == ("y", "bias of Conv y without its largest entry")


@pytest.mark.parametrize("kind", ["channels swapped", "bias entry dropped", "tap moved"])
def test_what_changes_nothing_is_no_fault(kind: str, proto: MakeProto) -> None:
    alike, zero = np.ones((5, 3, 3, 3), np.float32), np.zeros(5, np.float32)
    model = proto(f"{IMAGE} {{ y = Conv <pads = [1,1,1,1]> (x, w, b) }}", w=alike, b=zero)
    assert Patient.of(model).broken(kind, at=0) is None
    single = "(float[2,3,9,7] x) => (float[2,1,9,7] y)"
    assert Patient.of(proto(f"{single} {{ y = Conv(x, w) }}", w=alike[:1])).broken(kind, at=0) is None


def test_a_relu_behind_a_relu_is_no_fault(proto: MakeProto) -> None:
    text = f"{IMAGE} {{{{ a = Conv(x, w) y = {{}}(a) }}}}"
    w = _weight(5, 3, 1, 1)
    assert Patient.of(proto(text.format("Relu"), w=w)).broken("activation added", at=0) is None
    fault = _broken(proto(text.format("Abs"), w=w), "activation added")
    assert [node.op_type for node in fault.model.graph.node] == ["Conv", "Relu", "Abs"]
    onnx.checker.check_model(fault.model)


def test_weights_in_constant_nodes_are_found(proto: MakeProto) -> None:
    text = """(float[2,3] x) => (float[2,2] y) {
        w = Constant <value = float[3,2] {1,2,3,4,5,6}> ()
        y = MatMul(x, w)
    }"""
    fault = _broken(proto(text), "channels swapped", at=1)
    changed = numpy_helper.to_array(fault.model.graph.node[0].attribute[0].t)
    assert sorted(changed.tolist()) == [[1, 2], [3, 4], [5, 6]] != changed.tolist()


def test_weights_outside_the_model_stay_there_but_for_the_one_at_fault(
    region: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bias = _weights(region)["c"]
    onnx.save(region, tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0, location="d")
    model = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    patient = Patient.of(model, folder=tmp_path)
    fault = patient.broken("bias entry dropped", at=3)
    assert fault is not None
    inside = [t.name for t in fault.model.graph.initializer if not t.HasField("data_location")]
    outside = [t.name for t in fault.model.graph.initializer if t.data_location == t.EXTERNAL]
    assert (inside, outside) == (["c"], ["w", "b", "v"])
    monkeypatch.chdir(tmp_path.parent)
    feeds = {"x": _weight(2, 3, 11, 7)}
    whole, broken = Session(tmp_path / "m.onnx").run(feeds), Session(patient.opened(fault)).run(feeds)
    lost = np.where(np.abs(bias) == np.abs(bias).max(), bias, 0)
    np.testing.assert_allclose(
        whole["y"] - broken["y"], np.broadcast_to(lost[:, None, None], (2, 5, 11, 7)), atol=1e-5
    )
