"""Targets: what they are called, count, charge and prefer."""

import numpy as np
import pytest

from convgraph.analysis.cost import NOTHING, graph_cost
from convgraph.analysis.onnxruntime_cpu.predict import seconds
from convgraph.analysis.onnxruntime_cpu.rates import Rates, committed
from convgraph.analysis.target import MARGIN, TARGETS, GenericTarget, OnnxruntimeCpu, Target, target_named
from convgraph.errors import ConvgraphError
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, Relu

EACH = pytest.mark.parametrize("target", [kind() for kind in TARGETS], ids=lambda target: target.name)


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


@EACH
def test_the_nodes_of_a_graph_cost_what_the_graph_costs(target: Target) -> None:
    graph = small()
    nodes = list(graph.compute_nodes())
    assert target.cost(graph) == target.cost(graph, nodes) == graph_cost(graph)
    assert target.cost(graph, nodes[:1]) + target.cost(graph, nodes[1:]) == target.cost(graph)
    assert target.cost(graph, []) == NOTHING
    assert target.runs("Conv")


@EACH
def test_the_price_of_a_graph_is_that_of_its_nodes(target: Target) -> None:
    graph = small()
    prices = target.prices(graph)
    assert set(prices) >= set(graph.compute_nodes())
    assert target.price(graph) == tuple(map(sum, zip(*prices.values(), strict=True))) > target.nothing
    assert target.price(Graph()) == target.nothing


@EACH
def test_a_change_leaves_out_what_costs_the_same_on_both_sides(target: Target) -> None:
    one, two, three = (tuple(n + 0 * figure for figure in target.nothing) for n in (1, 2, 3))
    before, after = {1: one, 2: two, 3: three}, {1: one, 2: three, 4: two}
    five = tuple(5 * figure for figure in one)
    assert target.change(after, before=before) == (five, five)
    assert target.change(before, before=before) == (target.nothing, target.nothing)
    assert target.change({}, before=before) == (tuple(6 * figure for figure in one), target.nothing)


def test_the_generic_price_is_what_is_counted() -> None:
    cost = graph_cost(small())
    target = GenericTarget()
    assert target.price(small()) == (cost.macs, cost.bytes)
    assert target.says((1234, 56)) == "1,234 MACs and 56 bytes"


@pytest.mark.parametrize(
    ("after", "gain"),
    [
        ((9, 100), True),
        ((10, 99), True),
        ((9, 101), True),
        ((10, 100), False),
        ((11, 1), False),
        ((10, 101), False),
    ],
    ids=str,
)
def test_what_is_a_gain_by_counts(after: tuple[int, int], *, gain: bool) -> None:
    assert GenericTarget().prefers(after, before=(10, 100)) is gain


def test_the_price_in_onnxruntime_is_the_predicted_time_and_the_counts() -> None:
    target, cost = OnnxruntimeCpu(), graph_cost(small())
    assert target.price(small()) == (pytest.approx(seconds(small(), committed())), cost.macs, cost.bytes)
    assert target.says((0.0012344, 1, 1)) == "1,234.4 µs"
    slow = Rates(block=8, table={name: 3 * rate for name, rate in committed().table.items()})
    named = target_named("onnxruntime-cpu", rates=slow)
    assert named.price(small())[0] > 2 * target.price(small())[0]


def test_what_is_not_counted_has_a_price_too() -> None:
    b = GraphBuilder("reordered")
    x = b.input("x", shape=(1, 32, 9, 9))
    b.output(b.add(Conv.of(2, pads=0), x, np.ones((32, 32, 3, 3), np.float32)), name="y")
    graph = b.build()
    prices = OnnxruntimeCpu().prices(graph)
    assert prices[x.node][0] > 0
    assert prices[x.node][1:] == (0, 0)


@pytest.mark.parametrize(
    ("after", "gain"),
    [
        ((1 - 1.01 * MARGIN, 100, 100), True),
        ((1 - 1.01 * MARGIN, 200, 200), True),
        ((1 - 0.99 * MARGIN, 100, 99), True),
        ((1 - 0.99 * MARGIN, 101, 99), False),
        ((1 - 0.01 * MARGIN, 99, 100), True),
        ((1 - 0.99 * MARGIN, 99, 101), False),
        ((1.0, 99, 99), False),
        ((1.01, 1, 1), False),
    ],
)
def test_a_gain_in_onnxruntime_is_more_than_the_margin_unless_the_counts_say_the_same(
    after: tuple[float, int, int], *, gain: bool
) -> None:
    assert OnnxruntimeCpu().prefers(after, before=(1.0, 100, 100)) is gain
