"""The order of nodes, and the collector held back."""

import gc

import networkx as nx
import numpy as np
import pytest
from fuzz.generator import network

from convgraph.ir.build import GraphBuilder
from convgraph.ir.collecting import collecting_rarely
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Use, Value
from convgraph.ir.ops import Neg, Relu
from convgraph.ir.order import ordered
from convgraph.passes import DEFAULT, Pipeline


def searched(graph: Graph) -> tuple[int, ...]:
    """The same order, found node by node."""
    order = {node: graph.info(node).order for node in graph.nodes()}
    return tuple(nx.lexicographical_topological_sort(graph.nx, key=lambda node: order[node]))


@pytest.mark.parametrize("seed", range(20))
def test_the_order_is_the_first_that_the_list_allows(seed: int) -> None:
    result, _ = Pipeline(DEFAULT).run(network(seed, newest=True))
    assert result.nodes() == searched(result)


def test_a_node_that_is_listed_before_what_it_reads_comes_after_it() -> None:
    b = GraphBuilder("g")
    x = b.input("x", shape=(2, 3))
    first, last = b.add(Relu(), x), b.add(Neg(), x)
    b.output(first, name="y")
    graph = b.build()
    Edit(graph).rewire(Use(first.node, 0), last)
    assert graph.nodes() == searched(graph) == (x.node, last.node, first.node)


@pytest.mark.parametrize("seed", range(20))
def test_however_nodes_are_listed_the_order_is_that_of_networkx(seed: int) -> None:
    rng = np.random.default_rng(seed)
    place = {int(node): (int(rng.integers(12)),) for node in rng.permutation(30)}
    graph: nx.MultiDiGraph[int] = nx.MultiDiGraph()
    graph.add_nodes_from(place)
    operands = {
        node: [Value(int(source), 0) for source in rng.integers(max(1, node), size=min(node, 2))]
        for node in place
    }
    graph.add_edges_from((value.node, node) for node, values in operands.items() for value in values)
    expected = nx.lexicographical_topological_sort(graph, key=place.__getitem__)
    assert ordered(graph, listed=place.__getitem__, operands=operands) == tuple(expected)


def test_a_cycle_has_no_order() -> None:
    operands = {0: [Value(1, 0)], 1: [Value(0, 0)], 2: []}
    with pytest.raises(nx.NetworkXUnfeasible):
        ordered(operands, listed=lambda node: (node,), operands=operands)


def test_the_collector_is_held_back_only_within() -> None:
    before = gc.get_threshold()
    with collecting_rarely():
        assert gc.get_threshold()[0] > before[0]
    assert gc.get_threshold() == before


def test_a_collector_that_never_runs_is_left_alone() -> None:
    before = gc.get_threshold()
    gc.set_threshold(0)
    try:
        with collecting_rarely():
            assert gc.get_threshold()[0] == 0
    finally:
        gc.set_threshold(*before)
