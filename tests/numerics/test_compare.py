"""The verdict on two models."""

import time
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import onnx
import pytest
from numerics.conftest import MakeProto

from convgraph.errors import ConvgraphError, InvalidModel, NotEquivalent
from convgraph.ir.tensor import Array
from convgraph.numerics import check, judge
from convgraph.numerics.compare import OutputComparison, Verification, verify_models
from convgraph.numerics.noise import MANY_RUNS, RUNS, Noise
from convgraph.numerics.session import Unverifiable

DRAW = np.random.default_rng(11)


def _weight(*shape: int, dtype: str = "float32") -> Array:
    return (DRAW.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(dtype)


W = _weight(5, 3, 3, 3)
IMAGE = "(float[2,3,11,7] x) => (float[2,5,9,5] y)"


def _normalised(proto: MakeProto, *, folded: bool, gain: float = 1.0) -> onnx.ModelProto:
    """A convolution and its batch normalisation, or the two folded in float32."""
    draw = np.random.default_rng(2)
    gamma, beta, mean, bias = (draw.standard_normal(5).astype(np.float32) for _ in range(4))
    var = draw.uniform(0.2, 3, 5).astype(np.float32)
    if folded:
        scale = gamma / np.sqrt(var + np.float32(1e-5))
        weight = W * scale[:, None, None, None] * np.float32(gain)
        return proto(f"{IMAGE} {{ y = Conv(x, w, b) }}", w=weight, b=scale * (bias - mean) + beta)
    text = f"{IMAGE} {{ c = Conv(x, w, b) y = BatchNormalization(c, g, e, m, v) }}"
    return proto(text, w=W, b=bias, g=gamma, e=beta, m=mean, v=var)


# ---- equal ----


def test_a_folded_normalisation_is_equal(proto: MakeProto) -> None:
    verdict = verify_models(_normalised(proto, folded=False), _normalised(proto, folded=True))
    assert verdict.equal
    assert verdict.reason == ""
    assert verdict.reference.startswith("onnxruntime ")
    assert verdict.reference.endswith("optimisations off")
    assert (verdict.trials, verdict.seeds) == (3, (0, 1, 2))
    (output,) = verdict.outputs
    assert (output.name, output.bound) == ("y", "derived")
    assert 0 < output.max_abs < output.tolerance
    assert output.worst_index is not None
    verdict.raise_if_different()


def test_a_folded_normalisation_off_by_a_thousandth_is_different(proto: MakeProto) -> None:
    verdict = verify_models(
        _normalised(proto, folded=False), _normalised(proto, folded=True, gain=1.001), seed=5
    )
    assert verdict.status == "different"
    assert verdict.reason.startswith("y: ")
    assert "(normal, seed 5)" in verdict.reason
    assert "within" in verdict.reason
    (output,) = verdict.outputs
    assert output.margin > 20
    with pytest.raises(NotEquivalent, match=r"^y: .* off at "):
        verdict.raise_if_different()


def test_takes_protos_bytes_and_paths(region: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save(region, tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0, location="d")
    del region.metadata_props[:]
    fresh = onnx.load(tmp_path / "m.onnx")
    assert verify_models(tmp_path / "m.onnx", fresh.SerializeToString()).equal
    assert verify_models(fresh, str(tmp_path / "m.onnx")).equal


def test_a_verdict_is_frozen() -> None:
    verdict = Verification(status="equal")
    with pytest.raises(FrozenInstanceError):
        verdict.status = "different"  # type: ignore[misc]  # what the test is about


@pytest.mark.parametrize(("dtype", "spelled"), [("float16", "float16"), ("float64", "double")])
def test_other_float_types_have_their_own_tolerance(proto: MakeProto, dtype: str, spelled: str) -> None:
    head = f"({spelled}[2,11] x) => ({spelled}[2,7] y)"
    w, s = _weight(7, 11, dtype=dtype).T, np.array(3.1, dtype)
    before = proto(f"{head} {{ c = MatMul(x, w) y = Mul(c, s) }}", w=w, s=s)
    after = proto(f"{head} {{ y = MatMul(x, w) }}", w=w * s)
    wrong = proto(f"{head} {{ y = MatMul(x, w) }}", w=w * s * np.array(1 + 60 * np.finfo(dtype).eps, dtype))
    assert verify_models(before, after).equal
    assert verify_models(before, wrong).status == "different"


def test_given_tolerances_replace_the_derived_one(proto: MakeProto) -> None:
    before, after = _normalised(proto, folded=False), _normalised(proto, folded=True, gain=1.001)
    loose = verify_models(before, after, rtol=0.01)
    assert loose.equal
    assert loose.outputs[0].bound == "given"
    assert verify_models(before, after, atol=1.0).equal
    exact = verify_models(before, _normalised(proto, folded=True), rtol=0.0, atol=0.0)
    assert exact.status == "different"


def test_given_lengths_are_used(proto: MakeProto) -> None:
    head = "(float[4,3] x) => (float[4,3] y)"  # too small a result to show its noise
    s = _weight(3)
    before = proto(f"{head} {{ a = Mul(x, s) y = Mul(a, t) }}", s=s, t=s / 3)
    after = proto(f"{head} {{ y = Mul(x, s) }}", s=s * (s / 3))
    short, long = (verify_models(before, after, lengths={"y": n}, trials=1).outputs[0] for n in (100, 400))
    assert short.max_abs > 0
    assert long.tolerance == pytest.approx(2 * short.tolerance)


@pytest.mark.parametrize("scale", [1e3, 1e6, 3e7])
def test_a_large_part_excuses_nothing_in_a_small_one(proto: MakeProto, scale: float) -> None:
    text = """(float[2,3,9,7] x) => (float[2,8,9,7] y) {
        a = Conv(x, w) boxes = Mul(a, k) b = Conv(x, v) scores = Sigmoid(b)
        y = Concat<axis=1>(boxes, scores)
    }"""
    w, v, k = _weight(4, 3, 1, 1), _weight(4, 3, 1, 1), np.array([[[scale]]], np.float32)
    before = proto(text, w=w, v=v, k=k)
    folded = text.replace("boxes = Mul(a, k)", "boxes = Identity(a)")
    assert verify_models(before, proto(folded, w=w * np.float32(scale), v=v)).equal
    wrong = verify_models(before, proto(text, w=w, v=v * np.float32(1.001), k=k))
    assert wrong.status == "different"
    assert wrong.outputs[0].max_rel > 1e-5
    assert wrong.outputs[0].worst_index is not None
    assert wrong.outputs[0].worst_index[1] >= 4


def test_one_huge_element_excuses_nothing_in_the_others(proto: MakeProto) -> None:
    text = "(float[2,300] x) => (float[2,300] y) { y = Mul(x, k) }"
    k = np.ones((2, 300), np.float32)
    k[0, 0] = 1e8
    before, after = proto(text, k=k), proto(text, k=np.where(k > 1, k, np.float32(1.001)))
    verdict = verify_models(before, after, trials=1)
    assert verdict.status == "different"


@pytest.mark.parametrize("factor", [1.01, 1.001])
@pytest.mark.parametrize("slot", ["weight", "bias"])
def test_a_fault_in_one_channel_deep_in_a_network_is_seen_at_its_output(
    proto: MakeProto, slot: str, factor: float
) -> None:
    depth, width = 3, 64
    body = "".join(
        f"c{i} = Conv<pads=[1,1,1,1]>(x{i}, w{i}, b{i}) x{i + 1} = Relu(c{i}) " for i in range(depth)
    )
    text = f"(float[1,{width},7,5] x0) => (float[1,{width},7,5] x{depth}) {{ {body} }}"
    draw = np.random.default_rng(3)
    weights = {
        f"w{i}": draw.standard_normal((width, width, 3, 3)).astype(np.float32) / 17 for i in range(depth)
    }
    biases = {f"b{i}": draw.standard_normal(width).astype(np.float32) / 99 for i in range(depth)}
    before = proto(text, **weights, **biases)
    name = "w1" if slot == "weight" else "b1"
    wrong = (weights | biases)[name].copy()
    wrong[int(np.argmax(np.abs(biases["b1"])))] *= np.float32(factor)
    after = proto(text, **(weights | biases | {name: wrong}))
    assert verify_models(before, before).equal
    assert verify_models(before, after).status == "different"


def test_a_shift_below_the_largest_noise_is_seen_by_its_spread(proto: MakeProto) -> None:
    # all is noise, most in one row of the first channel; the fault moves all of the second by less than that
    head = "(float[1,2,40,30] x) => (float[1,2,40,30] y)"
    text = f"{head} {{{{ a = Add(x, t) b = Sub(a, t) y = Add(b, {{}}) }}}}"
    t = np.full((1, 2, 40, 30), 100, np.float32)
    t[0, 0, 7] = 30000
    shift = np.zeros((1, 2, 1, 1), np.float32)
    shift[0, 1] = 2e-4
    before = proto(text.format("z"), t=t, z=np.zeros((1, 2, 1, 1), np.float32))
    assert verify_models(before, before).equal
    verdict = verify_models(before, proto(text.format("z"), t=t, z=shift))
    assert verdict.status == "different"
    assert verdict.outputs[0].worst_index is not None
    assert verdict.outputs[0].worst_index[1] == 1


# ---- different ----


def test_the_interface_counts(proto: MakeProto) -> None:
    text = "(float[2,3] x, float[2,3] u) => (float[2,3] {}, float[2,3] {}) {{ y = Add(x, u) z = Sub(x, u) }}"
    before = proto(text.format("y", "z"))
    verdict = verify_models(before, proto(text.format("z", "y")))
    assert (verdict.status, verdict.reason) == ("different", "outputs: z, y; y, z")
    other = proto(
        "(float[2,3] u, float[2,3] x) => (float[2,3] y, float[2,3] z) { y = Add(x, u) z = Sub(x, u) }"
    )
    assert verify_models(before, other).reason == "inputs: u, x; x, u"


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("(double[2,3] y) { y = Cast<to=11>(x) }", "element type float64"),
        ("(float[3,2] y) { y = Transpose(x) }", r"shape \(3, 2\)"),
        ("(float[2,3] y) { y = Log(x) }", "nan"),
        ("(float[2,3] y) { y = no.such.Op(x) }", "does not know"),
        ("(float[2,3] y) { s = Constant<value_ints=[7]>() y = Reshape(x, s) }", "the rewritten model"),
    ],
)
def test_what_the_rewrite_broke_is_different(proto: MakeProto, body: str, found: str) -> None:
    before = proto("(float[2,3] x) => (float[2,3] y) { y = Identity(x) }")
    verdict = verify_models(before, proto(f"(float[2,3] x) => {body}"))
    assert verdict.status == "different"
    with pytest.raises(NotEquivalent, match=found):
        verdict.raise_if_different()


def test_an_input_that_takes_less_is_different(proto: MakeProto) -> None:
    text = "({} x) => (float[N,3] y) {{ f = Cast<to=1>(x) y = Relu(f) }}"
    before = proto(text.format("float[N,3]"))
    for narrower in ("float[1,3]", "double[N,3]", "float[N,3,1]"):
        verdict = verify_models(before, proto(text.format(narrower)), trials=1)
        assert verdict.status == "different"
        assert verdict.reason.startswith("inputs: x of type ")
    assert verify_models(proto(text.format("float[2,3]")), before, trials=1).equal


def test_a_relative_tolerance_is_none_for_an_exact_type(proto: MakeProto) -> None:
    text = (
        "(float[2,3] x) => (int64[2,3] y) {{ c = Cast<to=7>(x) k = Constant<value_int={}>() y = Add(c, k) }}"
    )
    before, after = proto(text.format(1000)), proto(text.format(1001))
    assert verify_models(before, after, rtol=1e-2).status == "different"
    assert verify_models(before, after, atol=1.0).equal


@pytest.mark.parametrize(
    ("head", "right", "wrong"),
    [
        ("(int32[2,3] x) => (int32[2,3] y)", "y = Abs(x)", "y = Identity(x)"),
        ("(int64[2,3] x) => (float[2,3] y)", "f = Cast<to=1>(x) y = Relu(f)", "y = Cast<to=1>(x)"),
        ("(uint8[2,300] x) => (uint8[2,300] y)", "y = Min(x, k)", "y = Identity(x)"),
    ],
)
def test_integers_are_negative_and_large_too(proto: MakeProto, head: str, right: str, wrong: str) -> None:
    before = proto(f"{head} {{ {right} }}", k=np.array([200], np.uint8))
    assert verify_models(before, before).equal
    assert verify_models(before, proto(f"{head} {{ {wrong} }}")).status == "different"


def test_exact_types_are_compared_exactly(proto: MakeProto) -> None:
    head = "(float[2,3] x) => (int64[2,3] y)"
    before = proto(f"{head} {{ c = Ceil(x) y = Cast<to=7>(c) }}")
    after = proto(f"{head} {{ c = Ceil(x) d = Cast<to=7>(c) o = Constant<value_int=1>() y = Add(d, o) }}")
    assert verify_models(before, before).equal
    assert "1 off" in verify_models(before, after).reason


def test_a_fault_that_needs_a_batch_or_another_size_is_seen(proto: MakeProto) -> None:
    head = "(float[N,3,H,W] x) => (float[N,5,P,Q] y)"
    before = proto(f"{head} {{ y = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w) }}", w=W)
    # the last row and column are padding only where a size is odd
    assert verify_models(before, before).equal
    cropped = proto(f"{head} {{ y = Conv<pads=[1,1,0,0], strides=[2,2]>(x, w) }}", w=W)
    verdict = verify_models(before, cropped)
    assert verdict.status == "different"
    assert "shape" in verdict.reason
    # among trials of even sizes alone, the smallest size shows it
    assert verify_models(before, cropped, trials=1).status == "different"


def test_a_fault_in_the_use_of_an_overridable_default_is_seen(proto: MakeProto) -> None:
    text = "(float[2,3,11,7] x, float[5,3,3,3] w) => (float[2,5,9,5] y) { y = Conv(x, w) }"
    before = proto(text, w=W)
    frozen = proto(text.replace("(x, w)", "(x, f)"), w=W, f=W)
    assert verify_models(before, before).trials == 4
    verdict = verify_models(before, frozen)
    assert verdict.status == "different"
    assert "overridden defaults" in verdict.reason
    dropped = proto(f"{IMAGE} {{ y = Conv(x, w) }}", w=W)
    assert verify_models(before, dropped).equal  # the caller agreed to freeze it: nothing to override


def test_an_overridable_default_that_adds_nothing_is_not_nothing(proto: MakeProto) -> None:
    text, zeros = "(float[2,3] x, float[3] b) => (float[2,3] y) {{ y = {} }}", np.zeros(3, np.float32)
    before = proto(text.format("Add(x, b)"), b=zeros)
    assert verify_models(before, before).equal
    assert verify_models(before, proto(text.format("Identity(x)"), b=zeros)).status == "different"


def test_overridable_defaults_move_independently(proto: MakeProto) -> None:
    head, a, b = "(float[2,3] x, float[3] a, float[3] b) => (float[2,3] y)", _weight(3), _weight(3)
    before = proto(f"{head} {{ c = Mul(x, a) y = Div(c, b) }}", a=a, b=b)
    frozen = proto(f"{head} {{ y = Mul(x, c) }}", a=a, b=b, c=a / b)
    assert verify_models(before, before).equal
    assert verify_models(before, frozen).status == "different"


def test_a_default_that_cannot_be_overridden_hides_no_other(proto: MakeProto) -> None:
    text = """(float[2,3,9,7] x, float[4] s, float[3,1,1] b) => (float[2,3,P,Q] y) {{
        u = Resize(x, , s) y = Mul(u, {})
    }}"""
    s, b = np.array([1, 1, 2, 2], np.float32), _weight(3, 1, 1)
    before = proto(text.format("b"), s=s, b=b)
    verdict = verify_models(before, proto(text.format("c"), s=s, b=b, c=b))
    assert verdict.status == "different"
    assert "overridden defaults" in verdict.reason


# ---- unverified ----


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(float[2,3] x) => (float[2,3] y) { y = RandomNormalLike(x) }", "the original is random"),
        ("(float[2,3] x) => (float[2,3] y) { y = no.such.Op(x) }", "does not know"),
        ("(float[2,3] x) => (float[7] y) { s = Constant<value_ints=[7]>() y = Reshape(x, s) }", "Reshape"),
        ("(float[0,3] x) => (float[0,3] y) { y = Relu(x) }", "no element"),
        ("(seq(float[2,3]) x) => (int64 y) { y = SequenceLength(x) }", "an input that is no tensor"),
    ],
)
def test_what_cannot_be_compared_is_unverified(proto: MakeProto, text: str, reason: str) -> None:
    verdict = verify_models(proto(text), proto(text))
    assert verdict.status == "unverified"
    assert reason in verdict.reason
    assert not verdict.equal
    with pytest.raises(Unverifiable) as caught:
        verdict.raise_if_different()
    assert isinstance(caught.value, ConvgraphError)


def test_a_model_without_outputs_is_unverified(region: onnx.ModelProto) -> None:
    del region.graph.output[:]
    assert verify_models(region, region).status == "unverified"


def test_a_reference_that_is_never_finite_is_unverified(proto: MakeProto) -> None:
    head = "(float[2,3] x) => (float[2,3] y)"
    infinite = proto(f"{head} {{ z = Sub(x, x) n = Div(z, z) y = Add(n, x) }}")
    other = proto(f"{head} {{ z = Sub(x, x) n = Div(z, z) y = Sub(n, x) }}")
    for after in (infinite, other):
        verdict = verify_models(infinite, after)
        assert verdict.status == "unverified"
        assert "NaN" in verdict.reason


def test_a_reference_with_nan_is_unverified_unless_the_bits_agree(proto: MakeProto) -> None:
    text = "(float[2,3] x) => (float[2,3] y) { y = Mul(x, k) }"
    before = proto(text, k=np.array([np.nan, 2, 1], np.float32))
    assert verify_models(before, before).equal
    verdict = verify_models(before, proto(text, k=np.array([np.nan, 2, 1.001], np.float32)))
    assert verdict.status == "unverified"
    assert "NaN" in verdict.reason


@pytest.mark.parametrize(
    ("body", "other"),
    [
        ("a = Add(x, k) y = Sigmoid(a)", "a = Sub(k, x) y = Sigmoid(a)"),  # saturated: 1 whatever x is
        ("a = Sub(x, k) y = Relu(a)", "b = Add(x, x) a = Sub(b, k) y = Relu(a)"),  # 0 whatever x is
    ],
)
def test_an_output_that_is_always_the_same_proves_nothing(proto: MakeProto, body: str, other: str) -> None:
    head, k = "(float[2,3] x) => (float[2,3] y)", np.array(500, np.float32)
    verdict = verify_models(proto(f"{head} {{ {body} }}", k=k), proto(f"{head} {{ {other} }}", k=k))
    assert verdict.status == "unverified"
    assert verdict.reason.startswith("y: the same in every trial")


def test_an_index_that_is_always_the_same_is_said_to_show_little(proto: MakeProto) -> None:
    head = "(float[2,3] x) => (float[2,3] y, bool[2,3] z)"
    model = proto(f"{head} {{ y = Relu(x) z = Greater(x, k) }}", k=np.array(500, np.float32))
    verdict = verify_models(model, model)
    assert verdict.equal
    assert verdict.reason == "z: the same in every trial, which shows little"


def test_a_few_indices_are_said_to_show_little(proto: MakeProto) -> None:
    text = "(float[2,3,{0},7] x) => (int64[2,1,{0},7] y) {{ r = Relu(x) y = ArgMax<axis=1>(r) }}"
    few, many = (verify_models(proto(text.format(n)), proto(text.format(n))) for n in (1, 40))
    assert few.equal
    assert few.reason == "42 integers or truth values in all, which show little"
    assert (many.equal, many.reason) == (True, "")


def test_an_output_that_is_always_empty_proves_nothing(proto: MakeProto) -> None:
    text = """(float[2,3] x) => (float[2,3] y, float[M] z) {{
        y = Relu(x) far = Greater(x, k) at = NonZero(far) rows = Transpose(at) v = GatherND(x, rows) z = {}(v)
    }}"""
    k = np.array(1000, np.float32)
    verdict = verify_models(proto(text.format("Neg"), k=k), proto(text.format("Exp"), k=k))
    assert verdict.status == "unverified"
    assert verdict.reason.startswith("z: no element in any trial")
    declared = "(float[2,3] x, float[0,3] e) => (float[2,3] y, float[0,3] z) { y = Relu(x) z = Neg(e) }"
    assert verify_models(proto(declared), proto(declared)).equal


def test_a_run_past_its_time_is_unverified(proto: MakeProto) -> None:
    model = proto(
        """(float[64,64] x) => (float[64,64] y) {
            t = Constant <value = bool {1}> ()
            n = Constant <value_int = 1000000000> ()
            y = Loop (n, t, x) <body = b (int64 i, bool go, float[64,64] a) => (bool on, float[64,64] c) {
                on = Identity(go) c = MatMul(a, a) }>
        }"""
    )
    started = time.monotonic()
    verdict = verify_models(model, model, timeout=0.3)
    assert verdict.status == "unverified"
    assert "time allowed" in verdict.reason
    assert time.monotonic() - started < 10


# ---- feeds ----


def test_sizes_that_the_original_refuses_are_passed_over(proto: MakeProto) -> None:
    text = """(float[N,3,H,W] x) => (float[N,3,P,Q] y) {
        d = AveragePool<kernel_shape=[32,32], strides=[32,32]>(x)
        u = Upsample(d, s)
        y = Add(x, u)
    }"""
    model = proto(text, opset=9, s=np.array([1, 1, 32, 32], np.float32))
    verdict = verify_models(model, model)
    assert verdict.equal
    assert verdict.trials == 4  # and of one pixel alone the runtime pools, too


def test_indices_that_the_original_refuses_are_made_smaller(proto: MakeProto) -> None:
    model = proto("(int64[7] i) => (float[7,4] y) { y = Gather(t, i) }", t=_weight(3, 4))
    shuffled = proto("(int64[7] i) => (float[7,4] y) { y = Gather(t, i) }", t=_weight(3, 4))
    assert verify_models(model, model).equal
    assert verify_models(model, shuffled).status == "different"


def test_indices_reach_every_row_of_a_large_table_and_no_further(proto: MakeProto) -> None:
    text = """(int64[2,90] i, int64[3] j) => (float[2,90,3] y, float[3] z) {
        flat = Reshape(i, s)
        a = Gather(t, flat)
        y = Reshape(a, r)
        z = Gather<axis=0>(u, j)
    }"""
    table, sizes = _weight(3000, 3), {"s": np.array([180]), "r": np.array([2, 90, 3])}
    short = _weight(5)  # fewer than would be tried if nothing were known
    before = proto(text, t=table, u=short, **sizes)
    assert verify_models(before, before).equal
    wrong = proto(text, t=np.vstack([table[:1000], table[:2000]]), u=short, **sizes)
    assert verify_models(before, wrong, trials=1).status == "different"


def test_an_index_that_has_to_be_smaller_elsewhere_is(proto: MakeProto) -> None:
    text = "(int64[6] i) => (float[6,3] y, float[6,3] z) { y = Gather(t, i) h = Mul(i, n) z = Gather(t, h) }"
    model = proto(text, t=_weight(500, 3), n=np.array(90))
    assert verify_models(model, model).equal


def test_feeds_stay_inside_the_domain_of_the_original(proto: MakeProto) -> None:
    head = "(float[2,3] x) => (float[2,3] y)"
    before = proto(f"{head} {{ y = Log(x) }}")
    after = proto(f"{head} {{ l = Log(x) y = Mul(l, s) }}", s=np.array(1.001, np.float32))
    assert verify_models(before, before).equal
    assert "off at" in verify_models(before, after).reason


def test_the_callers_feeds_are_used_alone(proto: MakeProto) -> None:
    head = "(float[N,3] x) => (float[N,3] y)"
    relu, identity = proto(f"{head} {{ y = Relu(x) }}"), proto(f"{head} {{ y = Identity(x) }}")
    positive = np.abs(DRAW.standard_normal((4, 3))).astype(np.float32)
    blind = verify_models(relu, identity, feeds=[{"x": positive}])
    assert (blind.status, blind.trials, blind.seeds) == ("equal", 1, ())
    seen = verify_models(relu, identity, feeds=[{"x": positive}, {"x": -positive}])
    assert seen.status == "different"
    assert "trial 1 (given)" in seen.reason
    with pytest.raises(InvalidModel, match="nothing for input x"):
        verify_models(relu, identity, feeds=[{}])


def test_what_is_no_model_is_an_error() -> None:
    with pytest.raises(InvalidModel, match="an ONNX model"):
        verify_models(b"\xffgarbage", b"\xffgarbage")


def test_sequences_are_compared_item_by_item(proto: MakeProto) -> None:
    text = "(float[2,3] x) => (seq(float[2,3]) s) {{ n = Neg(x) s = SequenceConstruct({}) }}"
    before = proto(text.format("x, n"))
    assert [o.name for o in verify_models(before, before).outputs] == ["s[0]", "s[1]"]
    assert "s[0]" in verify_models(before, proto(text.format("n, x"))).reason
    assert "s[2]" in verify_models(before, proto(text.format("x, n, n"))).reason


# ---- the model's own noise ----


def test_a_model_that_amplifies_roundings_is_measured(proto: MakeProto) -> None:
    head = "(float[2,3,11,7] x) => (float[2,3,11,7] y)"
    s, t = np.array([[1.3]], np.float32), np.array([[1000.0]], np.float32)
    before = proto(f"{head} {{ a = Add(x, t) b = Mul(a, s) c = Mul(t, s) y = Sub(b, c) }}", s=s, t=t)
    after = proto(f"{head} {{ y = Mul(x, s) }}", s=s)
    verdict = verify_models(before, after)
    assert verdict.equal
    assert verdict.outputs[0].bound == "measured"
    wrong = proto(f"{head} {{ y = Mul(x, s) }}", s=s * np.float32(1.01))
    assert verify_models(before, wrong).status == "different"


def test_an_index_may_flip_where_the_original_flips_and_nowhere_else(proto: MakeProto) -> None:
    head = "(float[1,2,90,70] x) => (int64[1,90,70] y)"
    weight, bias = _weight(6, 2, 3, 3), _weight(6)
    text = f"{head} {{{{ c = Conv<pads=[1,1,1,1]>(x, w, b) {{}} y = ArgMax<axis=1, keepdims=0>(d) }}}}"
    before = proto(text.format("d = Identity(c)"), w=weight, b=bias)
    third = np.array(1 / 3, np.float32)
    scaled = proto(text.format("d = Mul(c, s)"), w=weight, b=bias, s=third)
    wrong = proto(text.format("d = Identity(c)"), w=weight * np.float32(1.02), b=bias)
    assert verify_models(before, scaled).equal
    assert verify_models(before, wrong).status == "different"


def test_a_model_that_is_nothing_but_noise_is_unverified(proto: MakeProto) -> None:
    head = "(float[1,3,11,7] x) => (float[1,3,11,7] y)"
    big = np.array([[1e7]], np.float32)
    before = proto(f"{head} {{ a = Add(x, t) b = Mul(a, s) c = Mul(t, s) y = Sub(b, c) }}", t=big, s=big / 3)
    after = proto(f"{head} {{ y = Mul(x, s) }}", s=big / 3)
    verdict = verify_models(before, after)
    assert verdict.status == "unverified"
    assert "one rounding" in verdict.reason


# ---- the runtime's own faults ----


@pytest.fixture
def faulty_runtime(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """A runtime whose optimisations add 1 to the results, of every model or only of rewritten ones."""

    def install(every: bool) -> None:
        honest = check.run

        def run(session: check.Session, *args: object, **kwargs: object) -> dict[str, Array]:
            results = honest(session, *args, **kwargs)  # type: ignore[arg-type]  # passed through as they came
            optimised = "deployed" in session.at and (every or "rewritten" in session.at)
            return {place: r + np.float32(1) for place, r in results.items()} if optimised else results

        monkeypatch.setattr(check, "run", run)

    return install


def test_a_fault_of_the_runtime_is_not_blamed_on_the_rewrite(
    proto: MakeProto, faulty_runtime: Callable[[bool], None]
) -> None:
    faulty_runtime(True)
    verdict = verify_models(_normalised(proto, folded=False), _normalised(proto, folded=True))
    assert verdict.equal
    assert "not the rewrite" in verdict.reason
    assert verdict.outputs[0].margin < 1


def test_a_rewrite_that_only_the_deployed_runtime_gets_wrong_is_different(
    proto: MakeProto, faulty_runtime: Callable[[bool], None]
) -> None:
    faulty_runtime(False)
    verdict = verify_models(_normalised(proto, folded=False), _normalised(proto, folded=True))
    assert verdict.status == "different"
    assert "as deployed" in verdict.reason


def test_the_margin_of_an_exact_output() -> None:
    same = OutputComparison(name="y", max_abs=0.0, max_rel=0.0, tolerance=0.0, worst_index=None)
    off = OutputComparison(name="y", max_abs=1.0, max_rel=1.0, tolerance=0.0, worst_index=(0,))
    assert (same.margin, off.margin) == (0.0, float("inf"))


def test_what_is_barely_too_far_is_measured_again_with_more_runs(
    proto: MakeProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def measured(*_: object, runs: int, **__: object) -> list[Noise]:
        asked.append(runs)
        movement = np.full((2, 3, 11, 7), 1e-5 if runs == MANY_RUNS else 0.4e-5)
        return [Noise({"y": movement})] * (1 if runs == MANY_RUNS else 3)

    monkeypatch.setattr(judge, "measured_noise", measured)
    text = "(float[2,3,11,7] x) => (float[2,3,11,7] y) { y = Add(x, k) }"
    before = proto(text, k=np.zeros((1, 1, 1, 1), np.float32))
    near, off, far = (proto(text, k=np.full((1, 1, 1, 1), k, np.float32)) for k in (3e-5, 3e-4, 3e-3))
    assert verify_models(before, near, trials=3).equal
    assert asked[:2] == [RUNS, MANY_RUNS]
    assert verify_models(before, off, trials=3).status == "different"
    asked.clear()
    assert verify_models(before, far, trials=3).status == "different"
    assert asked == [RUNS]  # nothing that more runs could excuse
