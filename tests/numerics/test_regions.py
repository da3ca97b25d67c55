"""Models too large to run whole: what was changed in them, one piece at a time."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numerics.conftest import MakeProto
from onnx import numpy_helper

from convgraph.numerics.boundaries import Side
from convgraph.numerics.compare import Verification, verify_models
from convgraph.numerics.regions import available_memory, regions

OLD = """(float[2,3,9,7] x) => (float[2,4,9,7] y) {
    c = Conv <pads = [1,1,1,1]> (x, w)
    m = Mul(c, s)
    r = Relu(m)
    u = Conv <pads = [1,1,1,1]> (r, v)
    d = Conv <pads = [1,1,1,1]> (u, v)
    e = Mul(d, s)
    y = Neg(e)
}"""
NEW = """(float[2,3,9,7] x) => (float[2,4,9,7] y) {
    m = Conv <pads = [1,1,1,1]> (x, w_folded)
    r = Relu(m)
    u = Conv <pads = [1,1,1,1]> (r, v)
    fresh = Identity(u)
    e = Conv <pads = [1,1,1,1]> (fresh, v_folded)
    y = Neg(e)
}"""


def pair(proto: MakeProto, *, fault: float = 1.0) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Two scales folded into the convolutions before them, one of them times ``fault``."""
    rng = np.random.default_rng(11)
    w = rng.normal(size=(4, 3, 3, 3)).astype(np.float32)
    v = rng.normal(size=(4, 4, 3, 3)).astype(np.float32)
    s = rng.uniform(0.5, 2.0, size=(4, 1, 1)).astype(np.float32)
    folded = {"w_folded": w * s[:, None], "v_folded": v * s[:, None] * np.float32(fault)}
    return proto(OLD, w=w, v=v, s=s), proto(NEW, v=v, **folded)


def in_pieces(*models: onnx.ModelProto | Path) -> Verification:
    return verify_models(*models, names_are_kept=True, memory=100)


def test_regions_are_sets_of_changed_nodes_between_values_of_both(proto: MakeProto) -> None:
    old, new = (Side(model, Path()) for model in pair(proto))
    found = [(len(r.nodes), r.inputs, r.outputs) for r in regions(old, new)]
    assert found == [(1, ["x"], ["m"]), (2, ["u"], ["e"])]
    assert list(regions(old, old)) == []


@pytest.mark.parametrize("beside", [False, True])
def test_what_does_not_fit_is_compared_region_by_region(
    proto: MakeProto, tmp_path: Path, beside: bool
) -> None:
    models: list[onnx.ModelProto | Path] = list(pair(proto))
    for number, model in enumerate(pair(proto)):
        if beside:
            path = tmp_path / f"{number}.onnx"
            onnx.save(model, path, save_as_external_data=True, location=f"{number}.data", size_threshold=0)
            models[number] = path
    verdict = in_pieces(*models)
    assert verdict.equal, verdict.reason
    assert "2 changed regions, one at a time" in verdict.reference
    assert [output.name for output in verdict.outputs] == ["m", "e"]


def test_what_fits_is_compared_whole(proto: MakeProto) -> None:
    for memory in (None, 10_000):
        verdict = verify_models(*pair(proto), names_are_kept=True, memory=memory)
        assert [output.name for output in verdict.outputs] == ["y"]
    assert "changed regions" not in verify_models(*pair(proto), memory=100).reference


def test_a_region_that_differs_leaves_the_models_unverified(proto: MakeProto) -> None:
    verdict = in_pieces(*pair(proto, fault=1.001))
    assert verdict.status == "unverified"
    assert "region 2 of 2, to e" in verdict.reason


def test_a_changed_constant_is_a_region(proto: MakeProto) -> None:
    old, new = pair(proto)
    weight = next(tensor for tensor in new.graph.initializer if tensor.name == "v")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.001), "v"))
    assert "to u" in in_pieces(old, new).reason


def test_nothing_changed_is_equal(proto: MakeProto) -> None:
    verdict = in_pieces(pair(proto)[0], pair(proto)[0])
    assert verdict.equal
    assert "0 changed regions" in verdict.reference


def test_what_cannot_be_cut_out_is_unverified(proto: MakeProto) -> None:
    old, new = pair(proto)
    newer = onnx.ModelProto()
    newer.CopyFrom(new)
    newer.opset_import[0].version += 1
    assert in_pieces(old, newer).status == "unverified"
    text = "(float[2,3] x, bool b) => (float[2,3] y) {{ y = If(b) <then_branch = t () => (float[2,3] z) {} "
    text += ", else_branch = e () => (float[2,3] z) {{ z = Neg(x) }}> }}"
    one, other = (
        proto(text.format(f"{{ z = {op}(x) }}"), w=np.ones(99, np.float32)) for op in ("Abs", "Relu")
    )
    assert "a body" in in_pieces(one, other).reason


def test_another_interface_is_a_difference(proto: MakeProto) -> None:
    old, new = pair(proto)
    new.graph.input[0].name = new.graph.node[0].input[0] = "other"
    assert in_pieces(old, new).status == "different"


def test_memory_is_a_number_of_bytes() -> None:
    free = available_memory()
    assert free is None or 1 << 20 < free < 1 << 50
