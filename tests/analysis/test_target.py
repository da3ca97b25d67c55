"""Targets: what they are called, count and prefer."""

import numpy as np
import pytest

from convgraph.analysis.cost import NOTHING, Cost, graph_cost
from convgraph.analysis.target import TARGETS, GenericTarget, OnnxruntimeCpu, Target, target_named
from convgraph.errors import ConvgraphError
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, Relu


def small() -> Graph:
    b = GraphBuilder("small")
    x = b.input("x", shape=("N", 2, 5, 4))
    y = b.add(Conv.of(2), x, np.ones((3, 2, 2, 2), np.float32))
    b.output(b.add(Relu(), y), name="y")
    return b.build()


def test_targets_are_found_by_name() -> None:
    assert isinstance(target_named("generic"), GenericTarget)
    assert isinstance(target_named("onnxruntime-cpu"), OnnxruntimeCpu)
    assert len({target.name for target in TARGETS}) == len(TARGETS)


def test_an_unknown_target_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ConvgraphError, match=r"target 'tpu': .*one of onnxruntime-cpu, generic"):
        target_named("tpu")


@pytest.mark.parametrize("target", [target() for target in TARGETS], ids=lambda target: target.name)
def test_the_nodes_of_a_graph_cost_what_the_graph_costs(target: Target) -> None:
    graph = small()
    nodes = list(graph.compute_nodes())
    assert target.cost(graph) == target.cost(graph, nodes) == graph_cost(graph)
    assert target.cost(graph, nodes[:1]) + target.cost(graph, nodes[1:]) == target.cost(graph)
    assert target.cost(graph, []) == NOTHING
    assert target.runs("Conv")


BEFORE = Cost(10, 100)


@pytest.mark.parametrize(
    ("after", "generic", "onnxruntime"),
    [
        (Cost(9, 100), True, True),
        (Cost(10, 99), True, True),
        (Cost(9, 99), True, True),
        (Cost(10, 100), False, False),
        (Cost(9, 101), True, False),
        (Cost(11, 1), False, False),
        (Cost(10, 101), False, False),
    ],
    ids=str,
)
def test_what_is_a_gain(after: Cost, *, generic: bool, onnxruntime: bool) -> None:
    assert GenericTarget().prefers(after, before=BEFORE) is generic
    assert OnnxruntimeCpu().prefers(after, before=BEFORE) is onnxruntime


def test_only_a_target_with_a_cost_model_judges() -> None:
    assert GenericTarget().judges
    assert not OnnxruntimeCpu().judges


@pytest.mark.parametrize(
    ("channels", "saved", "onnxruntime"),
    [(64, 3_000_000, True), (63, 9_000_000, False), (256, 2_999_999, False)],
)
def test_groups_have_to_save_much_in_onnxruntime(channels: int, saved: int, *, onnxruntime: bool) -> None:
    assert GenericTarget().is_faster_in_groups(channels=channels, saved=saved)
    assert OnnxruntimeCpu().is_faster_in_groups(channels=channels, saved=saved) is onnxruntime


@pytest.mark.parametrize(
    ("channels", "rest", "taps", "axes", "onnxruntime"),
    [
        (18, 16, 9, 2, True),
        (67, 64, 6, 2, True),
        (18, 16, 3, 2, False),
        (20, 16, 9, 2, False),
        (17, 15, 9, 2, False),
        (14, 12, 9, 2, False),
        (18, 16, 9, 1, False),
    ],
)
def test_a_map_has_to_bring_channels_into_the_blocked_layout(
    channels: int, rest: int, taps: int, axes: int, *, onnxruntime: bool
) -> None:
    numbers = {"channels": channels, "rest": rest, "taps": taps, "axes": axes}
    assert GenericTarget().is_faster_with_a_map(**numbers)
    assert OnnxruntimeCpu().is_faster_with_a_map(**numbers) is onnxruntime
