"""Judges the judge: what a rewrite could get wrong must be seen, and what is not must be said."""

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from numerics.conftest import MakeProto

from convgraph.ir.tensor import Array
from convgraph.numerics import power as measuring
from convgraph.numerics.check import Check, Pair
from convgraph.numerics.compare import verify_models
from convgraph.numerics.faults import KINDS, faults
from convgraph.numerics.limits import Limits
from convgraph.numerics.power import Suspects, measured_power
from convgraph.numerics.reference import Trial
from convgraph.numerics.verdict import Attempt, Verification

DRAW = np.random.default_rng(23)
AT_ALL = Suspects(rewrites=dict.fromkeys("airyz", ("fold-it",)), full=True)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_is_seen(region: onnx.ModelProto, kind: str, seed: int) -> None:
    (fault,) = (f for f in faults(region, seed=seed) if f.kind == kind)
    verdict = verify_models(region, fault.model, seed=seed)
    assert verdict.status == "different", fault.description
    assert verdict.disagreement is not None
    assert verdict.disagreement.at in ("y", "z")
    assert "off at" in verdict.reason


@pytest.mark.parametrize("seed", range(4))
def test_a_thousandth_stands_far_above_the_tolerance(region: onnx.ModelProto, seed: int) -> None:
    (fault,) = (f for f in faults(region, seed=seed) if f.kind == "weight scaled")
    worst = max(verify_models(region, fault.model).outputs, key=lambda output: output.margin)
    assert worst.bound == "measured"
    assert worst.margin > 50


def test_zero_trials_prove_nothing(region: onnx.ModelProto) -> None:
    verdict = verify_models(region, region, trials=0)
    assert verdict.status == "unverified"
    assert "no trial" in verdict.reason
    assert verify_models(region, region, feeds=[]).status == "unverified"


def test_the_model_itself_is_equal(region: onnx.ModelProto) -> None:
    verdict = verify_models(region, region)
    assert verdict.equal
    assert [output.name for output in verdict.outputs] == ["y", "z"]
    assert max(output.margin for output in verdict.outputs) < 1


# ---- what it measures of itself ----


def _weight(*shape: int) -> Array:
    return (DRAW.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def _measured(model: onnx.ModelProto, suspects: Suspects, **bounds: Any) -> Verification:
    return verify_models(model, model, suspects=suspects, **bounds)


def _kinds(attempts: Sequence[Attempt]) -> Counter[str]:
    return Counter(attempt.kind for attempt in attempts)


def test_all_faults_at_the_suspects_are_tried_and_caught(region: onnx.ModelProto) -> None:
    verdict = _measured(region, AT_ALL)
    assert verdict.equal
    power = verdict.power
    assert power is not None
    assert power.full
    assert power.missed == ()
    assert all(attempt.rewrites == ("fold-it",) for attempt in power.attempts)
    assert {attempt.at for attempt in power.attempts} == {"a", "r", "y"}
    assert _kinds(power.attempts) == {
        kind: 1 if kind == "activation dropped" else 2 for kind in measuring.KINDS
    }
    assert str(power) == "the check would have caught 11 of 11 seeded faults"
    assert (verdict.trials, verdict.seeds) == (3, (0, 1, 2))


def test_nothing_is_tried_elsewhere_or_unasked(region: onnx.ModelProto) -> None:
    power = _measured(region, Suspects(rewrites={"y": ()}, full=True)).power
    assert power is not None
    assert {attempt.at for attempt in power.attempts} == {"y"}
    assert verify_models(region, region).power is None


def test_what_adds_nothing_to_the_outputs_is_a_blind_spot(proto: MakeProto) -> None:
    model = proto(
        """(float[2,3,9,7] x) => (float[2,5,9,7] y) {
            a = Conv <pads = [1,1,1,1]> (x, w, b)
            n = Mul(a, zero)
            c = Conv <pads = [1,1,1,1]> (x, v)
            y = Add(n, c)
        }""",
        w=_weight(5, 3, 3, 3),
        b=_weight(5),
        v=_weight(5, 3, 3, 3),
        zero=np.zeros((), np.float32),
    )
    verdict = _measured(model, Suspects(rewrites={"a": ("fold-it",), "c": ("crop-it",)}, full=True))
    assert verdict.equal
    assert verdict.power is not None
    assert {attempt.at for attempt in verdict.power.missed} == {"a"}
    assert _kinds(verdict.power.missed) == {k: 1 for k in measuring.KINDS if k != "activation dropped"}
    assert {attempt.at for attempt in verdict.power.attempts if attempt.caught} == {"c"}
    assert verdict.trials == 3


def _sleepy(proto: MakeProto, *, gain: float = 1.0, bias: float = -500.0) -> onnx.ModelProto:
    """One branch that ordinary inputs show, and one behind a Relu that only very large ones wake."""
    draw = np.random.default_rng(5)
    w, v = (draw.standard_normal((n, 3, 3, 3)).astype(np.float32) / 5 for n in (4, 6))
    return proto(
        """(float[2,3,9,7] x) => (float[2,10,9,7] y) {
            a = Conv <pads = [1,1,1,1]> (x, w)
            c = Conv <pads = [1,1,1,1]> (x, v, b)
            r = Relu(c)
            y = Concat <axis = 1> (a, r)
        }""",
        w=w,
        v=v * np.float32(gain),
        b=np.full(6, bias, np.float32),
    )


ASLEEP = Suspects(rewrites={"c": ()}, full=True)
WAKES = ["bias entry dropped"]  # without it, the channel is seen


def test_further_trials_wake_what_sleeps(proto: MakeProto) -> None:
    verdict = _measured(_sleepy(proto), ASLEEP, seed=4)
    assert verdict.equal
    assert verdict.power is not None
    assert len(verdict.power.attempts) == 5
    assert verdict.power.missed == ()
    assert (verdict.trials, verdict.seeds) == (4, (4, 5, 6, 7))


def test_the_model_has_to_pass_the_further_trials(proto: MakeProto) -> None:
    before, after = _sleepy(proto), _sleepy(proto, gain=1.001)
    assert verify_models(before, after).equal
    verdict = verify_models(before, after, suspects=ASLEEP)
    assert verdict.status == "different"
    assert "trial 3 (normal times 1000, seed 3)" in verdict.reason


def test_nothing_is_added_to_the_users_own_inputs(proto: MakeProto) -> None:
    feeds = [{"x": DRAW.standard_normal((2, 3, 9, 7)).astype(np.float32)}]
    verdict = _measured(_sleepy(proto), ASLEEP, feeds=feeds)
    assert verdict.power is not None
    assert [attempt.kind for attempt in verdict.power.attempts if attempt.caught] == WAKES
    assert len(verdict.power.missed) == 4
    assert verdict.trials == 1


def test_further_inputs_that_the_original_answers_with_nothing_finite_are_left(proto: MakeProto) -> None:
    model = proto(
        """(float[2,3,9,7] x) => (float[2,10,9,7] y) {
            e = Exp(x)
            a = Conv <pads = [1,1,1,1]> (e, w)
            c = Conv <pads = [1,1,1,1]> (x, v, b)
            r = Relu(c)
            y = Concat <axis = 1> (a, r)
        }""",
        w=np.abs(_weight(4, 3, 3, 3)),
        v=_weight(6, 3, 3, 3),
        b=np.full(6, -500, np.float32),
    )
    verdict = _measured(model, ASLEEP)
    assert verdict.equal
    assert verdict.power is not None
    assert len(verdict.power.missed) == 4
    assert verdict.trials == 3


def _check(model: onnx.ModelProto, *, seconds: float | None = None) -> tuple[Check, list[Trial]]:
    """A check that the model passed against itself, with so many seconds left."""
    pair = Pair(before=model, after=model, old=model, new=model)
    limits = Limits(model=model, lengths=pair.lengths(), rtol=None, atol=None)
    check = Check(models=pair, limits=limits, seed=0, deadline=None)
    trials = check.reference_trials(3, None)
    check.compare(trials)
    check.deadline = None if seconds is None else time.monotonic() + seconds
    return check, trials


def test_a_sample_is_what_there_is_time_for(region: onnx.ModelProto) -> None:
    check, trials = _check(region)
    suspects = Suspects(rewrites=AT_ALL.rewrites)
    none, further = measured_power(check, trials, suspects, seconds=0.0)
    assert (none.attempts, none.full, further) == ((), False, [])
    some, _ = measured_power(check, trials, suspects, seconds=1e-6)
    assert not some.full
    everything, _ = measured_power(check, trials, suspects, seconds=math.inf)
    assert everything.full
    assert len(everything.attempts) == 11
    assert everything.attempts[: len(some.attempts)] == some.attempts


def test_it_ends_where_the_time_for_the_comparison_does(region: onnx.ModelProto) -> None:
    check, trials = _check(region, seconds=0.0)
    power, further = measured_power(check, trials, AT_ALL, seconds=math.inf)
    assert (power.attempts, power.full, further) == ((), False, [])


def test_each_kind_comes_early_at_the_work_of_each_rewrite(proto: MakeProto) -> None:
    layers = "".join(f"x{n + 1} = Conv <pads = [1,1,1,1]> (x{n}, w{n}, b{n}) " for n in range(6))
    weights = {f"w{n}": _weight(4, 4, 3, 3) for n in range(6)} | {f"b{n}": _weight(4) for n in range(6)}
    model = proto(f"(float[1,4,9,7] x0) => (float[1,4,9,7] x6) {{ {layers} }}", **weights)
    rewrites: Mapping[str, tuple[str, ...]] = {
        f"x{n + 1}": ("fold-it",) if n else ("fold-it", "crop-it") for n in range(6)
    }
    power = _measured(model, Suspects(rewrites=rewrites, full=True)).power
    assert power is not None
    assert len(power.attempts) == 5 * 6
    assert len({(attempt.kind, attempt.rewrites) for attempt in power.attempts[:10]}) == 10
