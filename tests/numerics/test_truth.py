"""A close call, settled in float64."""

import time
from collections.abc import Mapping

import numpy as np
import onnx
import pytest
from numerics.conftest import MakeProto
from onnx import numpy_helper

from convgraph.compiler.meaning import in_float64
from convgraph.ir.tensor import Array, DataType
from convgraph.numerics import judge
from convgraph.numerics.compare import verify_models
from convgraph.numerics.faults import KINDS, faults
from convgraph.numerics.limits import Limits
from convgraph.numerics.parts import Bound
from convgraph.numerics.reference import Trial
from convgraph.numerics.rounding import rounded
from convgraph.numerics.session import run_model
from convgraph.numerics.truth import Truth, is_close, settled

TRUTH = np.linspace(-1.0, 1.0, 60).reshape(3, 4, 5)
STEP = 1e-6
DERIVED, LEAST = Bound(10 * STEP, STEP), Bound(STEP / 100, STEP / 1000)


def _off(by: float, *, seed: int = 0) -> Array:
    """The truth as a float32 result that errs by so much at most."""
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=TRUTH.shape)
    return (TRUTH + by * signs).astype(np.float32)


def _settled(want: Array, got: Array, *, moved: float | None = None) -> bool:
    movement = None if moved is None else np.full(TRUTH.shape, moved)
    return settled(TRUTH, want, got, derived=DERIVED, least=LEAST, movement=movement) is not None


def test_a_result_no_further_from_the_truth_than_twice_the_original_is_right() -> None:
    want = _off(STEP)
    assert _settled(want, _off(STEP, seed=1))
    assert _settled(want, _off(1.7 * STEP, seed=1))
    assert not _settled(want, _off(2.5 * STEP, seed=1))


def test_an_error_of_one_part_is_not_excused_by_another() -> None:
    want = TRUTH.astype(np.float32)
    want[0] = _off(STEP)[0]
    assert _settled(want, want)
    assert not _settled(want, _off(STEP))


def test_an_original_far_from_the_truth_says_nothing() -> None:
    want = _off(50 * STEP)
    assert not _settled(want, want)
    assert not _settled(want, TRUTH.astype(np.float32))


def test_what_roundings_explain_is_no_other_meaning() -> None:
    """A large number added and taken away again: both results err by more than sums of what is left may."""
    want = _off(50 * STEP)
    assert _settled(want, _off(50 * STEP, seed=1), moved=20 * STEP)
    assert not _settled(want, _off(500 * STEP, seed=1), moved=20 * STEP)
    assert not _settled(_off(500 * STEP), want, moved=20 * STEP)


def test_a_result_nearer_to_the_truth_is_right_by_itself() -> None:
    want = _off(10 * STEP)
    assert _settled(want, _off(STEP / 3, seed=1), moved=STEP)
    assert not _settled(want, _off(6 * STEP, seed=1), moved=STEP)


def test_more_than_half_the_digits_are_no_roundings() -> None:
    assert is_close(2.0**-12, np.float32([1]))
    assert not is_close(2.0**-11, np.float32([1]))
    assert is_close(2.0**-6, np.float16([1]))
    assert not is_close(2.0**-12, np.float64([1]))


def test_what_has_no_truth_is_not_settled() -> None:
    want = _off(STEP)
    nan = want.copy()
    nan[1, 2, 3] = np.nan
    assert not _settled(nan, nan)
    assert not _settled(want, nan)
    assert not _settled(want[:1], want[:1])
    whole = np.round(TRUTH * 100).astype(np.int64)
    assert settled(whole, whole, whole, derived=DERIVED, least=LEAST, movement=None) is None


def _judged(proto: MakeProto, *, error: float, means: bool, rtol: float | None = None) -> bool:
    """Whether a result is right that is off by a part of what is allowed beside a truth between both."""
    model = proto("(float[2,3] x) => (float[2,3] y) { y = Identity(x) }")
    want = np.float32([[1, -2, 3], [-4, 5, -6]])
    limits = Limits(model=model, lengths={"y": 100.0}, rtol=rtol, atol=None)
    off = np.float32(error * limits.allowed("y", want))

    def meaning(_: object, feeds: Mapping[str, Array], until: float) -> Truth:
        assert feeds.keys() == {"x"}
        assert until > time.monotonic()
        return Truth({"y": want + off / 2.0})

    trial = Trial(number=0, feeds={"x": want}, results={"y": want})
    one = judge.Judge(
        model=model,
        limits=limits,
        seed=0,
        deadline=None,
        trials=[trial],
        meaning=meaning if means else None,
    )
    return one.one(trial, "y", want + off).disagreement is None


def test_only_a_close_call_is_settled(proto: MakeProto) -> None:
    assert _judged(proto, error=0.9, means=False)
    assert not _judged(proto, error=1.2, means=False)
    assert _judged(proto, error=1.2, means=True)
    assert not _judged(proto, error=5.0, means=True)
    assert not _judged(proto, error=1.2, means=True, rtol=1e-6)


def test_a_long_sum_in_another_order_is_equal_and_a_small_fault_in_it_is_not(proto: MakeProto) -> None:
    head = "(float[1,6000] x) => (float[1,2] y)"
    weight = np.random.default_rng(0).uniform(0.9, 1.1, (6000, 2)).astype(np.float32)
    before = proto(f"{head} {{ y = MatMul(x, w) }}", w=weight)
    split = f"{head} {{{{ a, b = Split<axis=1>(x) c = MatMul(a, u) d = MatMul(b, v) y = Add(c, d) }}}}"
    after = proto(split.format(), u=weight[:3000], v=weight[3000:])
    assert verify_models(before, after, meaning=in_float64).equal
    wrong = proto(split.format(), u=weight[:3000], v=weight[3000:] * np.float32(1.0001))
    assert verify_models(before, wrong, meaning=in_float64).status == "different"


@pytest.mark.parametrize("kind", KINDS)
def test_no_fault_is_taken_for_rounding(region: onnx.ModelProto, kind: str) -> None:
    (fault,) = (f for f in faults(region, seed=5) if f.kind == kind)
    assert verify_models(region, fault.model, meaning=in_float64).status == "different", fault.description


def test_float64_follows_the_model_and_gives_up_where_it_cannot(
    region: onnx.ModelProto, proto: MakeProto
) -> None:
    x = np.random.default_rng(1).standard_normal((2, 3, 11, 7)).astype(np.float32)
    soon = time.monotonic() + 60
    results = in_float64(region, {"x": x}, soon).results
    weights = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in region.graph.initializer}
    corner = (x[0, :, :2, :2].astype(np.float64) * weights["w"][0, :, 1:, 1:]).sum() + weights["b"][0]
    assert results["y"].dtype == np.float64
    assert (results["y"] + results["z"])[0, 0, 0, 0] == pytest.approx(corner, rel=1e-14)
    assert in_float64(region, {"x": x}, time.monotonic() - 1) == Truth()
    unknown = proto("(float[2] x) => (float[2] y) { y = no.such.Op(x) }")
    assert in_float64(unknown, {"x": x[0, 0, 0, :2]}, soon) == Truth()


NORMALISED = """(float[2,3,5,7] x) => (float[2,3,5,7] y) {
    c = Conv(x, w, b) m = ReduceMean<axes=[2,3]>(c) d = Sub(c, m) s = Mul(d, d) v = ReduceMean<axes=[2,3]>(s)
    e = Add(v, eps) r = Sqrt(e) y = Div(d, r)
}"""


def test_roundings_show_where_what_moves_the_weights_cancels(proto: MakeProto) -> None:
    """A bias that is taken away again, with its mean, leaves behind what it took to round it."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((3, 3, 1, 1)).astype(np.float32)
    bias = np.float32([1.1, -1.7, 0.9])
    model = proto(NORMALISED, w=weight, b=bias, eps=np.float32(1e-5))
    x = (1e-4 * rng.standard_normal((2, 3, 5, 7))).astype(np.float32)
    truth = in_float64(model, {"x": x}, time.monotonic() + 60)
    own = np.abs(run_model(model, {"x": x})["y"] - truth.results["y"]).max()
    assert own > 1e-5 * np.abs(truth.results["y"]).max()
    assert own / 4 < truth.movements["y"].max() < 10 * own


def test_a_normalisation_spelled_out_after_a_bias_is_that_in_one_and_a_fault_in_it_is_seen(
    proto: MakeProto,
) -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((3, 3, 1, 1)).astype(np.float32)
    bias = np.float32([1.1, -1.7, 0.9])
    before = proto(NORMALISED, w=weight, b=bias, eps=np.float32(1e-5))

    def status(*, epsilon: str = "0.00001", factor: Array = weight) -> str:
        after = proto(
            f"""(float[2,3,5,7] x) => (float[2,3,5,7] y) {{
                c = Conv(x, w, b) y = InstanceNormalization<epsilon={epsilon}>(c, one, zero)
            }}""",
            w=factor,
            b=bias,
            one=np.ones(3, np.float32),
            zero=np.zeros(3, np.float32),
        )
        return verify_models(before, after, meaning=in_float64).status

    assert status() == "equal"
    assert status(epsilon="0.0000101") == "different"
    wrong = weight.copy()
    wrong[1, 1] *= np.float32(1.0005)
    assert status(factor=wrong) == "different"


def test_roundings_of_a_sum_are_those_of_what_it_adds_up(proto: MakeProto) -> None:
    """Products that cancel: the result is small, its error that of the large numbers on the way."""
    x = np.ones((1, 512), np.float32)
    weight = np.random.default_rng(1).uniform(0.5, 1.5, (512, 9)).astype(np.float32)
    weight[256:] = -weight[:256]
    head = "(float[1,512] x) => (float[1,9] y)"
    model = proto(f"{head} {{ y = MatMul(x, w) }}", w=weight)
    truth = in_float64(model, {"x": x}, time.monotonic() + 60)
    assert not truth.results["y"].any()
    assert 1e-6 < truth.movements["y"].max() < 1e-3


def test_what_floats_have_exactly_is_not_rounded(proto: MakeProto) -> None:
    model = proto("(float[2,3] x) => (float[2,3] y) { a = Add(x, x) y = Relu(a) }")
    x = np.float32([[0.1, -2.3, 3.7], [4.9, -5.1, 1e-40]])
    truth = in_float64(model, {"x": x}, time.monotonic() + 60)
    assert not truth.movements["y"].any()


def test_a_rounding_is_a_neighbour_of_its_type() -> None:
    exact = np.array([0.1, -0.1, 1e-46, 3.5e38, -2.5, np.inf, np.nan, 0.0])
    found = [rounded(exact, DataType.FLOAT, rng=np.random.default_rng(seed)) for seed in range(20)]
    for number, some in zip(exact[:2], np.array(found).T[:2], strict=True):
        below = np.float32(number) if np.float32(number) < number else np.nextafter(np.float32(number), -9)
        assert set(some) == {float(below), float(np.nextafter(below, np.float32(9)))}
    assert set(np.array(found)[:, 2]) == {0.0, 2.0**-149}
    assert np.array_equal(found[0][4:], exact[4:], equal_nan=True)
