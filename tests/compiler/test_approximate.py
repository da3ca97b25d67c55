"""Approximations within an error budget."""

from dataclasses import replace

import numpy as np
import pytest
from laws.draw import Draw
from laws.spectrum import decaying, network

import convgraph as cg
from convgraph.analysis.cost import graph_cost
from convgraph.compiler.candidates import Rung, hull, places
from convgraph.compiler.yardstick import FAR, Yardstick
from convgraph.errors import UnsupportedOp
from convgraph.exporters.staged import serialised
from convgraph.ir.ops import Cast, Conv, ConvTranspose, Opaque, Relu, Resize
from convgraph.numerics.evaluate import evaluate
from convgraph.passes import APPROXIMATE
from convgraph.passes.approximate.approximation import Setting
from convgraph.passes.approximate.split_low_rank_conv import SplitLowRankConv


def relative(before: cg.Graph, after: cg.Graph, feeds: dict[str, np.ndarray]) -> float:
    """The error of the outputs by its definition, by the oracle."""
    expected, found = evaluate(before, feeds)["y"], evaluate(after, feeds)["y"]
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def image(seed: int = 7) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(seed).normal(size=(2, 3, 22, 18)).astype(np.float32)}


def test_nothing_is_approximated_by_default() -> None:
    result = cg.optimize(network())
    assert result.approximated is None
    near = {rewrite.name for rewrite in APPROXIMATE}
    assert not near & {done.rewrite for done in result.trace.applications}
    assert not near & {refusal.rewrite for refusal in result.trace.refusals}


@pytest.mark.parametrize("budget", [1e-3, 1e-2, 1e-1])
def test_the_total_error_is_within_the_budget(budget: float) -> None:
    graph = network()
    exact, result = cg.optimize(graph), cg.optimize(graph, max_error=budget)
    given, verdict = result.approximated, result.verification
    assert given is not None
    assert verdict is not None
    assert verdict.equal
    assert verdict.reason.startswith(f"within the error budget {budget:g}: measured ")
    assert 0 < given.error <= budget
    assert [output.bound for output in verdict.outputs] == ["given"]
    assert verdict.outputs[0].max_rel <= budget
    # On other inputs than it was measured on the error is of the same size, no more.
    assert relative(graph, result.graph, image()) <= 2 * budget
    assert graph_cost(result.graph).macs < 0.75 * graph_cost(exact.graph).macs


def test_a_larger_budget_saves_more() -> None:
    graph = network()
    macs = [graph_cost(cg.optimize(graph, max_error=e, verify=False).graph).macs for e in (1e-3, 1e-2, 1e-1)]
    assert macs == sorted(macs, reverse=True)
    assert len(set(macs)) == 3


def test_every_application_has_its_own_errors_and_number() -> None:
    result = cg.optimize(network(), max_error=0.02)
    given = result.approximated
    assert given is not None
    assert len(given.steps) >= 3
    by_index = {done.index: done for done in result.trace.applications}
    assert list(by_index) == list(range(1, len(by_index) + 1))
    for step in given.steps:
        done = by_index[step.index]
        assert (done.rewrite, done.at) == (step.rewrite, step.at)
        assert done.after.macs <= 0.75 * done.before.macs
        assert 0 < step.weight_error < 1
        assert 0 < step.alone <= 0.02
        assert 0 < step.error <= 0.02
    assert given.error == given.steps[-1].error
    assert given.steps[0].alone == pytest.approx(given.steps[0].error, rel=1e-2)


def test_the_same_model_and_budget_give_the_same_bytes() -> None:
    first, second = (cg.optimize(network(), max_error=0.01) for _ in range(2))
    assert serialised(first.proto) == serialised(second.proto)
    assert first.approximated == second.approximated


def test_stop_after_counts_approximations_too() -> None:
    whole = cg.optimize(network(), max_error=0.02, verify=False)
    assert whole.approximated is not None
    count = len(whole.trace.applications) - len(whole.approximated.steps) + 2
    part = cg.optimize(network(), max_error=0.02, verify=False, stop_after=count)
    assert part.approximated is not None
    assert part.approximated.steps == whole.approximated.steps[:2]
    none = cg.optimize(network(), max_error=0.02, verify=False, stop_after=1)
    assert none.approximated is not None
    assert not none.approximated.steps


def test_where_nothing_fits_the_result_is_the_exact_one() -> None:
    graph = network()
    result = cg.optimize(graph, max_error=1e-7)
    assert result.approximated is not None
    assert not result.approximated.steps
    assert serialised(result.proto) == serialised(cg.optimize(graph).proto)
    assert result.verification is not None
    assert result.verification.equal
    assert not result.verification.reason


def test_feeds_of_the_callers_are_what_is_measured_on() -> None:
    graph = network()
    result = cg.optimize(graph, max_error=0.02, feeds=[image()])
    assert result.approximated is not None
    assert result.approximated.error == pytest.approx(relative(graph, result.graph, image()), rel=1e-3)


def test_a_budget_that_verification_finds_exceeded_is_no_equality(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Yardstick, "error", lambda *_: 0.0)  # a yardstick that sees nothing
    result = cg.optimize(network(), max_error=1e-4)
    assert result.verification is not None
    assert result.verification.status == "different"


def test_the_exact_part_has_to_be_equal_all_the_same() -> None:
    result = cg.optimize(network(), max_error=0.05, rtol=0, atol=0, stop_after=1000)  # nothing is dropped
    assert result.approximated is not None
    assert result.approximated.steps
    assert result.verification is not None
    assert result.verification.status == "different"


def test_an_output_of_integers_allows_no_error() -> None:
    b = cg.GraphBuilder("integers", opset=17)
    x = b.input("x", shape=(2, 3, 22, 18))
    y = b.add(Conv.of(2, pads=1), x, decaying(np.random.default_rng(3), 12, 3, 3, 3))
    b.output(b.add(Cast(to=cg.DataType.INT32), y), name="y")
    result = cg.optimize(b.build(), max_error=0.5)
    assert result.approximated is not None
    assert result.approximated.error == 0.0
    assert result.verification is not None
    assert result.verification.equal


def test_a_model_that_cannot_be_run_is_not_approximated() -> None:
    b = cg.GraphBuilder("foreign", opset=17)
    x = b.input("x", shape=("N", 3, 22, 18))
    y = b.add(Conv.of(2, pads=1), x, decaying(np.random.default_rng(3), 12, 3, 3, 3))
    foreign = Opaque(domain="acme", op_type="Spin", arity=1)
    (z,) = b.add_all(foreign, y, names=("z",), types=[b.type(y)])
    b.output(z, name="y")
    result = cg.optimize(b.build(), max_error=0.5, verify=False)
    assert result.approximated is not None
    assert not result.approximated.steps
    assert "Spin" in result.approximated.reason


def test_a_transposed_convolution_is_approximated_when_asked_for_by_name() -> None:
    b = cg.GraphBuilder("transposed", opset=17)
    x = b.input("x", shape=("N", 3, 7, 9))
    weight = np.ones((3, 5, 4, 4)) + 0.01 * np.random.default_rng(0).normal(size=(3, 5, 4, 4))
    weight *= np.outer([1, 2, 2, 1], [1, 2, 2, 1])
    y = b.add(ConvTranspose.of(2, strides=2, pads=1), x, weight.astype(np.float32), node="up")
    b.output(b.add(Relu(), y), name="y")
    graph, name = b.build(), "split-nearly-boxed-conv-transpose"
    unasked = cg.optimize(graph, max_error=0.05)
    assert unasked.approximated is not None
    assert not unasked.approximated.steps
    result = cg.optimize(graph, max_error=0.05, passes=[name])
    assert result.approximated is not None
    assert [(step.rewrite, step.at) for step in result.approximated.steps] == [(name, "up")]
    assert {Resize, Conv} <= {type(result.graph.op(node)) for node in result.graph.compute_nodes()}
    assert result.verification is not None
    assert result.verification.equal


@pytest.mark.parametrize("budget", [0.0, -0.1, float("nan")])
def test_a_budget_is_above_zero(budget: float) -> None:
    with pytest.raises(UnsupportedOp, match="max_error"):
        cg.optimize(network(), max_error=budget)


def test_every_target_takes_approximations() -> None:
    for target in ("generic", "onnxruntime-cpu"):
        result = cg.optimize(network(), max_error=0.01, target=target, verify=False)
        assert result.approximated is not None
        assert result.approximated.steps


# ---- what there is to choose from ----


def rung(saved: int, error: float) -> Rung:
    return Rung(rewrite=SplitLowRankConv(), setting=Setting(match=None, error=error, macs_saved=saved))


def test_the_hull_is_what_no_mixture_of_others_beats() -> None:
    points = [(10, 0.05), (20, 0.3), (30, 0.3), (40, 0.9), (5, 0.2), (35, 0.7), (30, 0.4), (0, 0.2)]
    kept = [(r.setting.macs_saved, r.setting.error) for r in hull(rung(*point) for point in points)]
    assert kept == [(10, 0.05), (30, 0.3), (40, 0.9)]
    slopes = np.diff([0, *(error for _, error in kept)]) / np.diff([0, *(saved for saved, _ in kept)])
    assert (np.diff(slopes) > 0).all()
    assert hull([]) == ()


def test_rungs_save_enough_and_are_set_to_their_own_errors() -> None:
    graph = network(normalised=False)
    found = places(graph, [SplitLowRankConv()])
    assert len(found) >= 5
    for place in found:
        errors = [r.setting.error for r in place.rungs]
        saved = [r.setting.macs_saved for r in place.rungs]
        assert errors == sorted(errors)
        assert saved == sorted(saved)
        assert 0 < len(place.rungs) <= 16
        for number, r in enumerate(place.rungs):
            assert (r.rewrite.tolerance, r.rewrite.only) == (r.setting.error, place.node)
            weight = graph.constant(graph.operand(place.node, 1))
            assert weight is not None
            near, array = place.weight(graph, number), weight.numpy()
            change = np.linalg.norm(near - array) / np.linalg.norm(array)
            np.testing.assert_allclose(change, r.setting.error, rtol=1e-3, atol=1e-6)


def test_a_tolerance_of_its_own_bounds_a_rewrite() -> None:
    graph = network(normalised=False)
    bounded = places(graph, [replace(SplitLowRankConv(), tolerance=0.01)])
    assert bounded
    assert max(r.setting.error for place in bounded for r in place.rungs) <= 0.01


# ---- how it is measured ----


def test_the_yardstick_is_the_largest_error_over_the_largest_value() -> None:
    graph = network(((6, 3), (5, 1)))
    stick = Yardstick.of(cg.to_onnx(graph), trials=1, feeds=[image()])
    assert stick.error(graph) == 0.0
    other = network(((6, 3), (5, 1)), seed=1)
    assert stick.error(other) == pytest.approx(relative(graph, other, image()), rel=1e-4)


def test_the_yardstick_puts_another_kind_of_output_far_away() -> None:
    graph = network(((6, 3), (5, 1)))
    stick = Yardstick.of(cg.to_onnx(graph), trials=2, feeds=None)
    assert stick.error(network(((6, 3), (4, 1)))) == FAR
    assert stick.error(network(((6, 3), (5, 3)), seed=2)) < FAR
    draw = Draw(dyadic=False)
    b = cg.GraphBuilder("other", opset=17)
    b.output(b.add(Conv.of(2), b.input("x", shape=("N", 4, 22, 18)), draw.weight(5, 4, 1, 1)), name="y")
    assert stick.error(b.build()) == FAR
