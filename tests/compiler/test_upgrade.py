"""Models at newer opsets: the same function, or a refusal in one line, never another function."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fuzz.generator import network
from onnx import ModelProto, TensorProto, helper, numpy_helper

from convgraph.compiler.optimize import optimize
from convgraph.compiler.upgrade import upgraded
from convgraph.errors import UnsupportedOp
from convgraph.exporters.onnx_model import to_onnx
from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.ops.opaque import Opaque
from convgraph.numerics import session
from convgraph.numerics.session import Session

NEWEST = 26  # the last opset that onnxruntime 1.31 runs


def parsed(body: str, *, version: int, ir: int = 8, more: str = "") -> ModelProto:
    text = f'<ir_version: {ir}, opset_import: ["": {version}{more}]>\n{body}'
    model: ModelProto = onnx.parser.parse_model(text)
    return model


def at(model: ModelProto, version: int) -> ModelProto:
    return to_onnx(upgraded(from_onnx(model), version))


def operators(model: ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def outputs(model: ModelProto, **feeds: Any) -> list[Any]:
    return list(Session(model).run(feeds).values())


def assert_same(before: ModelProto, after: ModelProto, **feeds: Any) -> None:
    onnx.checker.check_model(after, full_check=True)
    for expected, found in zip(outputs(before, **feeds), outputs(after, **feeds), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7, strict=True)


def numbers(*shape: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# ---- everything at once ----


def test_random_networks_mean_the_same_at_a_newer_opset() -> None:
    verdicts = []
    for seed in range(12):
        result = optimize(random_model(seed), passes=[], opset=NEWEST, trials=1)
        assert result.proto.opset_import[0].version == NEWEST
        verdicts.append(result.verification)
    assert not [v.reason for v in verdicts if v is None or v.status == "different"]
    assert sum(v is not None and v.equal for v in verdicts) > len(verdicts) // 3


def random_model(seed: int) -> ModelProto:
    """The network of this number in the oldest opset it was drawn for that can say it."""
    try:
        return to_onnx(network(seed))
    except UnsupportedOp:
        return to_onnx(network(seed, newest=True))


# ---- what became another operator ----


def test_a_softmax_over_several_axes_stays_one() -> None:
    model = parsed("g (float[2, 3, 5, 4] x) => (float[2, 3, 5, 4] y) { y = Softmax(x) }", version=11)
    result = at(model, 13)
    assert operators(result) != operators(model)
    assert_same(model, result, x=numbers(2, 3, 5, 4))


def test_slopes_stay_with_the_channels() -> None:
    text = "g (float[2, 4, 3, 4] x, float[4] s) => (float[2, 4, 3, 4] y) { y = PRelu(x, s) }"
    model = parsed(text, version=6)
    (slopes,) = from_onnx(model).compute_nodes()
    assert isinstance(from_onnx(model).op(slopes), Opaque)
    with pytest.raises(UnsupportedOp, match="y: PRelu of opset 6"):
        at(model, 7)


def test_names_and_notes_are_handed_on() -> None:
    model = parsed("g (float[2, 3, 5, 4] x) => (float[2, 3, 5, 4] y) { y = Softmax(x) }", version=11)
    model.graph.node[0].name, model.graph.node[0].doc_string = "soft", "a note"
    result = at(model, 13)
    (softmax,) = (node for node in result.graph.node if node.op_type == "Softmax")
    assert (softmax.name, softmax.doc_string) == ("soft", "a note")
    assert [value.name for value in result.graph.output] == ["y"]


@pytest.mark.parametrize("made", ["yhc", "y", "hc", "c"])
def test_results_keep_their_places(made: str) -> None:
    text = """g (float[4, 3, 5] x, float[1, 8, 5] w, float[1, 8, 2] r)
        => (float[4, 1, 3, 2] y, float[1, 3, 2] h, float[1, 3, 2] c)
        { y, h, c = LSTM <hidden_size = 2> (x, w, r) }"""
    model = parsed(text, version=13)
    for value in [value for value in model.graph.output if value.name not in made]:
        model.graph.output.remove(value)
        model.graph.node[0].output["yhc".index(value.name)] = ""
    result = at(model, 22)
    assert [value.name for value in result.graph.output] == list(made)
    assert_same(model, result, x=numbers(4, 3, 5), w=numbers(1, 8, 5), r=numbers(1, 8, 2, seed=1))


def test_a_default_that_changed_is_stated() -> None:
    text = """g (float[1, 2, 6, 5] x, float[3, 4] rois, int64[3] which) => (float[3, 2, 2, 3] y) {
        y = RoiAlign <output_height = 2, output_width = 3, sampling_ratio = 2> (x, rois, which) }"""
    model = parsed(text, version=10)
    rois = np.array([[0, 0, 4, 3], [1, 1, 3, 5], [0, 2, 2, 4]], dtype=np.float32)
    assert_same(model, at(model, 16), x=numbers(1, 2, 6, 5), rois=rois, which=np.zeros(3, dtype=np.int64))


def test_only_the_newest_spelling_of_what_is_typed_changes() -> None:
    model = parsed(
        "g (float[2, 3, 5, 4] x) => (float[2, 1, 5, 1] y) { y = ReduceMax <axes = [1, 3]> (x) }", version=11
    )
    result = at(model, 18)
    assert len(result.graph.node[0].input) == 2
    assert result.ir_version == model.ir_version
    assert at(model, 26).ir_version > model.ir_version
    assert_same(model, result, x=numbers(2, 3, 5, 4))


REFUSED = {
    "Hardmax": ("float[2, 3, 4] x", "float[2, 3, 4] y", "y = Hardmax(x)", 12, 13),
    "GroupNormalization": (
        "float[2, 6, 5, 4] x, float[3] s, float[3] b",
        "float[2, 6, 5, 4] y",
        "y = GroupNormalization <num_groups = 3> (x, s, b)",
        20,
        21,
    ),
    "Resize": ("float[2, 3, 5, 4] x, float[4] s", "float[A, B, C, D] y", "y = Resize(x, s)", 10, 11),
    "Upsample": ("float[2, 3, 5, 4] x, float[4] s", "float[A, B, C, D] y", "y = Upsample(x, s)", 9, 13),
    "BatchNormalization": (
        "float[2, 3, 5] x, float[3] s, float[3] b, float[3] m, float[3] v",
        "float[2, 3, 5] y, float[3] n, float[3] w",
        "y, n, w = BatchNormalization(x, s, b, m, v)",
        12,
        14,
    ),
    "Dropout": ("float[2, 3] x", "float[2, 3] y, float[2, 3] mask", "y, mask = Dropout(x)", 9, 12),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_become_another_function_is_refused(name: str) -> None:
    given, made, body, before, after = REFUSED[name]
    model = parsed(f"g ({given}) => ({made}) {{ {body} }}", version=before)
    assert at(model, before) == to_onnx(from_onnx(model))
    with pytest.raises(UnsupportedOp, match=f"y: {name} of opset {before}.* in opset {after}"):
        at(model, after)


# ---- graphs within graphs ----


def test_bodies_are_upgraded_and_keep_what_they_capture() -> None:
    text = """g (bool c, float[2, 3, 5, 4] x) => (float[2, 3, 5, 4] y) {
        a_flatten = Relu(x)
        y = If (c) <then_branch = t () => (float[2, 3, 5, 4] a) { a = Softmax(a_flatten) },
                    else_branch = e () => (float[2, 3, 5, 4] b) { b = Neg(a_flatten) }>
    }"""
    model = parsed(text, version=11)
    result = at(model, 20)
    for choice in (True, False):
        assert_same(model, result, c=np.array(choice), x=numbers(2, 3, 5, 4))


def with_function(body: str, *, version: int, own: int) -> ModelProto:
    text = f"""<ir_version: 8, opset_import: ["": {version}, "own": 1]>
    g (float[2, 3, 5, 4] x) => (float[2, 3, 5, 4] y) {{ y = own.f <axis = 1> (x) }}
    <domain: "own", opset_import: ["": {own}]>
    f <axis> (x) => (y) {{ {body} }}"""
    model: ModelProto = onnx.parser.parse_model(text)
    return model


def test_local_functions_are_upgraded() -> None:
    model = with_function("a = Softmax <axis = 1> (x) y = Neg(a)", version=11, own=11)
    result = at(model, 18)
    assert result.functions[0].opset_import[0].version == 18
    assert_same(model, result, x=numbers(2, 3, 5, 4))


def test_local_functions_stay_as_they_are_where_nothing_changes() -> None:
    model = with_function("y = Neg(x)", version=14, own=13)
    result = at(model, 20)
    assert result.functions == model.functions
    assert_same(model, result, x=numbers(2, 3, 5, 4))


def test_an_attribute_that_the_caller_gives_cannot_be_converted() -> None:
    model = with_function("y = Softmax <axis: int = @axis> (x)", version=12, own=12)
    with pytest.raises(UnsupportedOp, match="Softmax of opset 12"):
        at(model, 13)


def test_other_operator_sets_stay() -> None:
    more = ', "ai.onnx.ml": 2, "custom": 3'
    text = "g (float[2, 3] x) => (float[2, 3] y) { a = ai.onnx.ml.Scaler(x) y = custom.Softmax(a) }"
    result = at(parsed(text, version=11, more=more), 20)
    assert {entry.domain: entry.version for entry in result.opset_import} == {
        "": 20,
        "ai.onnx.ml": 2,
        "custom": 3,
    }
    assert operators(result) == ["Scaler", "Softmax"]


def test_graphs_that_are_only_carried_are_refused_where_they_would_change() -> None:
    softmax = parsed("g (float[2, 3] x) => (float[2, 3] y) { y = Softmax(x) }", version=12)
    training = ModelProto()
    training.CopyFrom(softmax)
    training.training_info.add().algorithm.CopyFrom(softmax.graph)
    listed = helper.make_node("Custom", ["x"], ["z"], domain="custom")
    inner = parsed(
        "g () => (float[2] y) { a = Constant <value = float[2] {1, 2}> () y = Softmax(a) }", version=12
    )
    listed.attribute.append(helper.make_attribute("graphs", [inner.graph]))
    custom = ModelProto()
    custom.CopyFrom(softmax)
    custom.graph.node.append(listed)
    custom.opset_import.add(domain="custom", version=1)
    for model in (training, custom):
        with pytest.raises(UnsupportedOp, match="Softmax of opset 12"):
            at(model, 13)
    assert at(training, 12).training_info == training.training_info


# ---- the whole run ----


def test_a_rewrite_that_needs_a_newer_opset_takes_the_others_along() -> None:
    tent = np.array([1, 3, 3, 1], dtype=np.float32) / 4
    weight = numpy_helper.from_array((tent[:, None] * tent)[None, None], "w")
    text = """g (float[1, 1, 5, 7] x, int64[2, 3] i, float[2, 3] u)
        => (float[1, 1, 10, 14] y, float[4, 3] z) {
        y = ConvTranspose <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w)
        d = ConstantOfShape <value = float[1] {0.5}> (s)
        z = Scatter(d, i, u) }"""
    model = parsed(text, version=10)
    model.graph.initializer.extend([weight, numpy_helper.from_array(np.array([4, 3]), "s")])
    result = optimize(model, without=["ConvTranspose"], verify=True)
    assert result.proto.opset_import[0].version >= 11
    assert "Scatter" not in operators(result.proto)
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason


def test_a_run_that_only_upgrades_changes_the_model() -> None:
    model = parsed("g (float[2, 3] x) => (float[2, 3] y) { y = Relu(x) }", version=12)
    result = optimize(model, passes=[], opset=17)
    assert result.changed
    assert (result.model.opset, result.optimized.opset) == (12, 17)
    assert result.original.model.opset == 12
    assert not optimize(model, passes=[], opset=12).changed


def test_what_the_runtime_does_not_know_is_unverified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runtimes are older or newer than onnx: this one knows no opset that onnx came to know last."""
    newest, real = onnx.defs.onnx_opset_version(), session.onnxruntime.InferenceSession

    def one_behind(opened: bytes, *arguments: object, **options: object) -> object:
        if ModelProto.FromString(opened).opset_import[0].version == newest:
            raise RuntimeError("[ONNXRuntimeError] : 1 : FAIL : Unsupported model IR version: 99")
        return real(opened, *arguments, **options)

    monkeypatch.setattr(session.onnxruntime, "InferenceSession", one_behind)
    model = parsed("g (float[2, 3] x) => (float[2, 3] y) { y = Relu(x) }", version=12)
    verdict = optimize(model, opset=newest).verification
    assert verdict is not None
    assert verdict.status == "unverified"
    assert verdict.reason == f"opset {newest}: Unsupported model IR version: 99"


@pytest.mark.parametrize("version", [11, 1000])
def test_models_are_upgraded_and_no_further_than_onnx_knows(version: int) -> None:
    model = parsed("g (float[2, 3] x) => (float[2, 3] y) { y = Relu(x) }", version=12)
    with pytest.raises(UnsupportedOp, match=f"opset: {version}; 12, the model's own, to"):
        optimize(model, opset=version)


def test_external_tensors_are_not_read_to_upgrade(tmp_path: Path) -> None:
    text = "g (int64[2] i) => (float[2, 300] y) { a = Gather(w, i) y = Softmax(a) }"
    model = parsed(text, version=11)
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[900, 300])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.bin")
    model.graph.initializer.append(tensor)
    (tmp_path / "w.bin").write_bytes(numbers(900, 300).tobytes())
    graph = upgraded(from_onnx(model, base_dir=tmp_path), 22)
    (kept,) = (t for t in map(graph.constant, map(graph.value, ["w"])) if t is not None)
    assert kept.origin is not None
