"""A close call, settled in float64."""

import time
from collections.abc import Mapping

import numpy as np
import onnx
import pytest
from numerics.conftest import MakeProto
from onnx import numpy_helper

from convgraph.compiler.meaning import in_float64
from convgraph.ir.tensor import Array
from convgraph.numerics import judge
from convgraph.numerics.compare import verify_models
from convgraph.numerics.faults import KINDS, faults
from convgraph.numerics.limits import Limits
from convgraph.numerics.parts import Bound
from convgraph.numerics.reference import Trial
from convgraph.numerics.truth import settled

TRUTH = np.linspace(-1.0, 1.0, 60).reshape(3, 4, 5)
STEP = 1e-6
DERIVED, LEAST = Bound(10 * STEP, STEP), Bound(STEP / 100, STEP / 1000)


def _off(by: float, *, seed: int = 0) -> Array:
    """The truth as a float32 result that errs by so much at most."""
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=TRUTH.shape)
    return (TRUTH + by * signs).astype(np.float32)


def _settled(want: Array, got: Array) -> bool:
    return settled(TRUTH, want, got, derived=DERIVED, least=LEAST) is not None


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
    want = _off(20 * STEP)
    assert not _settled(want, want)
    assert not _settled(want, TRUTH.astype(np.float32))


def test_what_has_no_truth_is_not_settled() -> None:
    want = _off(STEP)
    nan = want.copy()
    nan[1, 2, 3] = np.nan
    assert not _settled(nan, nan)
    assert not _settled(want, nan)
    assert not _settled(want[:1], want[:1])
    whole = np.round(TRUTH * 100).astype(np.int64)
    assert settled(whole, whole, whole, derived=DERIVED, least=LEAST) is None


def _judged(proto: MakeProto, *, error: float, means: bool, rtol: float | None = None) -> bool:
    """Whether a result is right that is off by a part of what is allowed beside a truth between both."""
    model = proto("(float[2,3] x) => (float[2,3] y) { y = Identity(x) }")
    want = np.float32([[1, -2, 3], [-4, 5, -6]])
    limits = Limits(model=model, lengths={"y": 100.0}, rtol=rtol, atol=None)
    off = np.float32(error * limits.allowed("y", want))

    def meaning(_: object, feeds: Mapping[str, Array], until: float) -> Mapping[str, Array]:
        assert feeds.keys() == {"x"}
        assert until > time.monotonic()
        return {"y": want + off / 2.0}

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
    results = in_float64(region, {"x": x}, soon)
    weights = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in region.graph.initializer}
    corner = (x[0, :, :2, :2].astype(np.float64) * weights["w"][0, :, 1:, 1:]).sum() + weights["b"][0]
    assert results["y"].dtype == np.float64
    assert (results["y"] + results["z"])[0, 0, 0, 0] == pytest.approx(corner, rel=1e-14)
    assert in_float64(region, {"x": x}, time.monotonic() - 1) == {}
    assert (
        in_float64(proto("(float[2] x) => (float[2] y) { y = no.such.Op(x) }"), {"x": x[0, 0, 0, :2]}, soon)
        == {}
    )
