"""What the rewrites by low rank have in common."""

from dataclasses import replace

import numpy as np
import pytest
from laws.draw import Draw
from laws.weighted import convolved

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Add, Conv
from convgraph.passes import APPROXIMATE, Pipeline
from convgraph.passes.algebra.factors import errors_by_rank, factored, nearest_of_rank
from convgraph.passes.approximate.low_rank import SplitsByLowRank
from convgraph.passes.approximate.split_low_rank_conv import SplitLowRankConv

BY_RANK = [rewrite for rewrite in APPROXIMATE if isinstance(rewrite, SplitsByLowRank)]


@pytest.mark.parametrize("shape", [(5, 3, 7), (5, 7, 3), (1, 6, 6)])
def test_the_nearest_of_a_rank_is_what_the_factors_give_and_leaves_what_is_said(
    shape: tuple[int, ...],
) -> None:
    matrices = np.random.default_rng(0).normal(size=shape)
    errors = errors_by_rank(matrices)
    assert len(errors) == min(shape[1:])
    assert errors[-1] == 0.0
    for rank in range(1, len(errors) + 1):
        near = nearest_of_rank(matrices, rank=rank)
        left, right = factored(matrices, rank=rank)
        np.testing.assert_allclose(near, left @ right, atol=1e-12)
        left_out = np.linalg.norm(near - matrices) / np.linalg.norm(matrices)
        np.testing.assert_allclose(errors[rank - 1], left_out, atol=1e-7)


def test_three_are_tested_here() -> None:
    assert len(BY_RANK) == 3


@pytest.mark.parametrize("rewrite", BY_RANK, ids=lambda rewrite: rewrite.name)
def test_settings_are_reached_by_their_errors(rewrite: SplitsByLowRank) -> None:
    weight = Draw(dyadic=False).weight(14, 6, 3, 5)
    graph = convolved(Conv.of(2, pads=1, group=2), lambda _: weight, spatial=(9, 8))(Draw(dyadic=False))
    (node,) = (n for n in graph.nodes() if isinstance(graph.op(n), Conv))
    settings = rewrite.settings(graph, node)
    assert len(settings) >= 2
    for setting in settings:
        chosen = replace(rewrite, tolerance=setting.error, only=node)
        assert chosen.find(graph, node) == setting.match
        (done,) = Pipeline([chosen]).run(graph)[1].applications
        assert done.before.macs - done.after.macs == setting.macs_saved > 0
        near = rewrite.nearest(graph, setting.match)
        change = np.linalg.norm(near - weight) / np.linalg.norm(weight)
        np.testing.assert_allclose(change, setting.error, rtol=1e-5)


@pytest.mark.parametrize("rewrite", BY_RANK, ids=lambda rewrite: rewrite.name)
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_is_left_alone(rewrite: SplitsByLowRank, number: float) -> None:
    weight = Draw(dyadic=False).weight(14, 6, 3, 5)
    weight[3, 1, 2, 0] = number
    graph = convolved(Conv.of(2, pads=1), lambda _: weight)(Draw(dyadic=False))
    (node,) = (n for n in graph.nodes() if isinstance(graph.op(n), Conv))
    assert not rewrite.settings(graph, node)
    assert not Pipeline([replace(rewrite, tolerance=0.9)]).run(graph)[1].applications


@pytest.mark.parametrize("given", ["overridable", "computed"])
def test_a_weight_that_is_not_constant_has_no_settings(given: str) -> None:
    graph = convolved(Conv.of(2), lambda draw: draw.weight(14, 6, 3, 5), given=given)(Draw(dyadic=False))
    (node,) = (n for n in graph.nodes() if isinstance(graph.op(n), Conv))
    assert not any(rewrite.settings(graph, node) for rewrite in BY_RANK)


def shared() -> Graph:
    """Two convolutions with one weight, of which the second one's result is added to the first one's."""
    draw = Draw(dyadic=False)
    b = GraphBuilder("g", opset=17)
    x, weight = b.input("x", shape=("N", 6, 9, 8)), b.constant(draw.weight(6, 6, 3, 3), name="weight")
    first = b.add(Conv.of(2, pads=1), x, weight)
    b.output(b.add(Add(), first, b.add(Conv.of(2, pads=1), first, weight)), name="y")
    return b.build()


def test_a_shared_weight_stays_for_who_else_reads_it() -> None:
    graph = shared()
    first, second = (n for n in graph.nodes() if isinstance(graph.op(n), Conv))
    rewrite = SplitLowRankConv(tolerance=0.5, only=second)
    result, trace = Pipeline([rewrite]).run(graph)
    assert len(trace.applications) == 1
    assert result.constant(result.operand(first, 1)) is graph.constant(graph.operand(first, 1))
