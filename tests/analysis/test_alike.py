"""Graphs alike: what decides a price and what does not, and prices that are computed once for all."""

from collections.abc import Callable

import numpy as np
import pytest
from fuzz.generator import network

from convgraph.analysis.alike import LARGEST, likeness, once_for_alike
from convgraph.analysis.target import OnnxruntimeCpu, Prices
from convgraph.ir.build import GraphBuilder
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, Opaque, Pad, Relu, Sigmoid
from convgraph.ir.ops.base import Op

PADS = (0, 0, 1, 1, 0, 0, 1, 1)


def block(
    *,
    weight: float = 1.0,
    activation: Op | None = None,
    channels: int = 8,
    pads: tuple[int, ...] = PADS,
    twice: bool = False,
    before: int = 0,
) -> Graph:
    """A padded convolution and an activation, after the numbers of ``before`` nodes have been used."""
    b = GraphBuilder("block")
    x = b.input(f"x{before}", shape=(1, channels, 6, 6))
    gone = [b.add(Relu(), x) for _ in range(before)]
    padded = b.add(Pad(), x, np.array(pads, np.int64))
    y = b.add(Conv.of(2), padded, np.full((8, channels, 3, 3), weight, np.float32))
    b.output(b.add(activation or Relu(), y), name="y")
    if twice:
        b.output(y, name="z")
    graph = b.build()
    for value in gone:
        Edit(graph).erase(value.node)
    return graph


def test_weights_names_and_numbers_of_nodes_make_no_difference() -> None:
    assert likeness(block()) == likeness(block(weight=0.0)) == likeness(block(before=3))


@pytest.mark.parametrize(
    "other",
    [
        block(activation=Sigmoid()),
        block(channels=16),
        block(pads=(0, 0, 2, 0, 0, 0, 2, 0), channels=8),
        block(pads=(0, 1, 0, 1, 0, -1, 2, 1)),
        block(twice=True),
    ],
)
def test_operations_types_elements_that_steer_and_outputs_do(other: Graph) -> None:
    assert likeness(block()) != likeness(other)


def test_what_runs_bodies_is_like_nothing() -> None:
    b = GraphBuilder("g")
    x = b.input("x", shape=(1,))
    choice = Opaque(op_type="Custom", domain="own", arity=1, subgraphs={"body": Graph()})
    b.output(b.add_all(choice, x, types=(b.type(x),))[0], name="y")
    assert likeness(b.build()) is None


def counted(asked: list[Graph]) -> Callable[[Graph], dict[int, str]]:
    def labels(graph: Graph) -> dict[int, str]:
        asked.append(graph)
        return {node: graph.op(node).label for node in reversed(graph.nodes())}

    return labels


def test_facts_are_found_once_and_told_of_the_nodes_of_each_graph_in_order() -> None:
    asked: list[Graph] = []
    facts = once_for_alike(counted(asked))
    for graph in (block(), block(weight=2.0, before=4)):
        assert list(facts(graph).items()) == list(counted([])(graph).items())
    assert len(asked) == 1
    assert len(facts(block(channels=4))) == len(block())
    assert len(asked) == 2


def test_large_graphs_are_not_kept() -> None:
    b = GraphBuilder("long")
    x = b.input("x", shape=(2,))
    for _ in range(LARGEST):
        x = b.add(Relu(), x)
    b.output(x, name="y")
    graph = b.build()
    asked: list[Graph] = []
    facts = once_for_alike(counted(asked))
    assert facts(graph) == facts(graph)
    assert len(asked) == 2


@pytest.mark.parametrize("seed", range(20))
def test_a_target_that_has_seen_much_charges_what_a_new_one_does(seed: int) -> None:
    graph, old = network(seed, newest=True), OnnxruntimeCpu()
    nodes = list(graph.compute_nodes())
    for first in range(len(nodes)):
        region = graph.region(nodes[first : first + 3])
        old.prices(region)
        fresh: Prices = OnnxruntimeCpu().prices(region)
        assert list(old.prices(region).items()) == list(fresh.items())
