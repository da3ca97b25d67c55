"""Trials in which rounding decides what the original returns."""

import numpy as np
import onnx
import pytest
from numerics.conftest import MakeProto

from convgraph.compiler.meaning import in_float64
from convgraph.ir.tensor import Array
from convgraph.numerics.compare import Verification, verify_models
from convgraph.numerics.power import Suspects
from convgraph.numerics.truth import Truth
from convgraph.numerics.undecided import decides, is_as_true, is_true

BIAS = np.array(
    [2.0566864, 0.5881947], np.float32
)  # beside it, what the small samples add is a few roundings
WEIGHT = np.array([[0.00031, -0.00083, 0.00047], [-0.00072, 0.00052, 0.00061]], np.float32).reshape(
    2, 1, 1, 3
)
THIRD = np.array([1 / 3], np.float32)
POOL = """p, i = MaxPool<kernel_shape=[2,2], strides=[2,2]>(c) f = Cast<to=1>(i) y = Concat<axis=1>(p, f) }"""
ONE_CONV = f"(float[N,1,24,26] x) => (float[N,4,12,12] y) {{ c = Conv(x, w, b) {POOL}"
SCALED = (
    f"(float[N,1,24,26] x) => (float[N,4,12,12] y) {{ d = Conv(x, w, b) e = Mul(d, third) c = Relu(e) {POOL}"
)
LINEAR = 'Resize<mode="linear">'
BRANCH = "b () => (float[1,1,N] o) {{ o = {}(x) }}"


def models(proto: MakeProto, *, gain: float = 0.3, wrong: Array | None = None) -> list[onnx.ModelProto]:
    """A convolution, and the same with three times the weight, divided by three again; all is positive."""
    weight = WEIGHT * np.float32(gain)
    other = 3 * weight if wrong is None else wrong
    return [proto(ONE_CONV, w=weight, b=BIAS), proto(SCALED, w=other, b=3 * BIAS, third=THIRD)]


def meant(result: Array, movement: Array | None = None) -> Truth:
    return Truth({"y": result}, {} if movement is None else {"y": movement})


def compared(before: onnx.ModelProto, after: onnx.ModelProto) -> Verification:
    return verify_models(before, after, meaning=in_float64)


def test_places_of_maxima_that_rounding_chooses_are_not_compared(proto: MakeProto) -> None:
    before, after = models(proto)
    assert verify_models(before, after).status == "different"
    verdict = compared(before, after)
    assert verdict.equal
    said = "y: rounding decides what the original returns in trial 1 (sparse, seed 1); not compared"
    assert verdict.reason == said


@pytest.mark.parametrize("wrong", [WEIGHT, 0 * WEIGHT, 0.9 * WEIGHT[..., ::-1]])
def test_a_fault_is_seen_all_the_same(proto: MakeProto, wrong: Array) -> None:
    assert compared(*models(proto, wrong=wrong.astype(np.float32))).status == "different"


def test_where_rounding_decides_in_every_trial_nothing_is_excused(proto: MakeProto) -> None:
    assert compared(*models(proto, gain=3e-4)).status == "different"


def test_a_further_trial_is_judged_with_those_before(proto: MakeProto) -> None:
    before, after = models(proto)
    suspects = Suspects(rewrites={"c": ("any",)}, full=True)
    verdict = verify_models(before, after, meaning=in_float64, suspects=suspects)
    assert verdict.equal, verdict.reason
    assert verdict.power is not None
    assert [one.caught for one in verdict.power.attempts] == [False]  # so that more inputs were tried


@pytest.mark.parametrize(("wrong", "status"), [(False, "equal"), (True, "different")])
def test_a_maximum_between_two_alike_pixels(proto: MakeProto, wrong: bool, status: str) -> None:
    """Enlarged first they stay alike; of their products, 0.75 p + 0.25 p is rounded to more than p."""
    scales = np.array([1, 1, 2, 2], np.float32)
    weight = np.full((1, 1, 1, 1), -0.08023127, np.float32)
    declared = "(float[1,1,1,2] x) => (float[1,2,1,2] y) {"
    before = proto(f"{declared} r = {LINEAR}(x, , s) c = Conv(r, w) {POOL}", w=weight, s=scales)
    other = -weight if wrong else weight
    after = proto(f"{declared} r = Conv(x, w) c = {LINEAR}(r, , s) {POOL}", w=other, s=scales)
    feeds = [
        {"x": np.array(pixels, np.float32).reshape(1, 1, 1, 2)} for pixels in ([1.8574042, 1.8574042], [1, 2])
    ]
    assert verify_models(before, after, feeds=feeds).status == "different"
    assert verify_models(before, after, feeds=feeds, meaning=in_float64).status == status


def test_no_further_and_no_more_often_than_the_original() -> None:
    truth = meant(np.zeros((4, 25)))
    few, more, many, far = (np.zeros((4, 25), np.float32) for _ in range(4))
    few[0, :2], more[3, :4], many[3, :5], far[1, 2] = 1.0, -2.0, 1.0, 2.1
    told = [is_as_true(truth, "y", few, got, allowed=0.5) for got in (few, more, many, far)]
    assert told == [True, True, False, False]
    assert is_as_true(truth, "y", few, 0 * few, allowed=0.5)
    assert not is_as_true(truth, "y", few, few, allowed=1.0)  # near enough: there is nothing to excuse
    assert not is_as_true(Truth(), "y", few, few, allowed=0.5)
    assert not is_as_true(truth, "y", few, few[:2], allowed=0.5)
    assert not is_as_true(truth, "y", few, few + np.float32(np.nan), allowed=0.5)
    assert is_true(truth, "y", few, allowed=1.0)
    assert not is_true(truth, "y", few, allowed=0.5)
    assert not is_true(Truth(), "y", few, allowed=1.0)


def test_no_further_and_no_more_often_than_roundings_carry_it() -> None:
    movement = np.zeros((4, 25))
    want, more, many, far = (np.zeros((4, 25), np.float32) for _ in range(4))
    movement[0, :2], more[3, :4], many[3, :5], far[1, 2] = 1.0, -2.0, 1.0, 2.1
    moved, still = meant(np.zeros((4, 25)), movement), meant(np.zeros((4, 25)), 0.5 * movement)
    told = [is_as_true(moved, "y", want, got, allowed=0.5) for got in (more, many, far)]
    assert told == [True, False, False]
    assert not is_as_true(still, "y", want, more, allowed=0.5)


@pytest.mark.parametrize(
    ("body", "jumps"),
    [
        ("y = Relu(x)", False),
        ("y = MaxPool<kernel_shape=[2]>(x)", False),
        ("y, i = MaxPool<kernel_shape=[2]>(x)", True),
        ("y = Cast<to=10>(x)", False),
        ("i = Cast<to=7>(x) y = Cast<to=1>(i)", True),
        ("y = Floor(x)", True),
        (f"y = If<then_branch = {BRANCH.format('Round')}, else_branch = {BRANCH.format('Relu')}>(go)", True),
    ],
)
def test_what_jumps(proto: MakeProto, body: str, jumps: bool) -> None:
    assert decides(proto(f"(float[1,1,8] x, bool go) => (float[1,1,N] y) {{ {body} }}")) is jumps
