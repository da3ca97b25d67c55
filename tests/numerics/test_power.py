"""Judges the judge: what a rewrite could get wrong must be seen."""

import onnx
import pytest

from convgraph.numerics.compare import verify_models
from convgraph.numerics.power import KINDS, faults


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
    assert [fault.kind for fault in faults(region)] == ["outputs permuted"]  # needs names alone
    del region.graph.output[1]
    assert not list(faults(region))
