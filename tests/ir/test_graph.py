"""The graph's tables and edges."""

import networkx as nx
import numpy as np
import pytest

from convgraph.errors import InvalidModel
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Use, Value
from convgraph.ir.ops import Abs, Add, Concat, Mul, Relu
from convgraph.ir.wellformed import check


def square() -> Graph:
    """y = relu(x)², an unused constant beside it."""
    b = GraphBuilder("square")
    x = b.input("x", shape=("N", 3))
    r = b.add(Relu(), x, name="r")
    b.constant(np.ones(2, np.float32), name="c")
    b.output(b.add(Mul(), r, r, node="twice"), name="y")
    return b.build()


def test_an_operand_read_twice_is_two_edges() -> None:
    graph = square()
    r, y = graph.value("r"), graph.value("y")
    assert graph.nx.number_of_edges(r.node, y.node) == 2
    assert graph.operands(y.node) == (r, r)
    assert graph.readers(r) == (Use(y.node, 0), Use(y.node, 1))
    assert graph.sole_reader(r) is None


def test_values_that_nothing_makes() -> None:
    graph = square()
    y = graph.value("y")
    assert graph.makes(y)
    assert not graph.makes(Value(y.node, 1))
    assert not graph.makes(Value(len(graph), 0))


def test_the_only_networkx_attribute_is_the_operation() -> None:
    graph = square()
    assert all(set(data) == {"op"} for _, data in graph.nx.nodes(data=True))
    assert nx.is_directed_acyclic_graph(graph.nx)


def test_an_output_has_no_sole_reader() -> None:
    b = GraphBuilder()
    r = b.add(Relu(), b.input("x", shape=(2,)), name="r")
    b.output(r)
    b.output(b.add(Abs(), r), name="y")
    graph = b.build()
    assert len(graph.readers(graph.value("r"))) == 1
    assert graph.sole_reader(graph.value("r")) is None


def test_a_copy_is_independent() -> None:
    graph = square()
    twin = graph.copy()
    twin.remove(twin.value("c").node)
    assert graph.has_name("c")
    assert not twin.has_name("c")
    assert len(graph) == len(twin) + 1


def test_nodes_come_in_the_models_order() -> None:
    b = GraphBuilder()
    x = b.input("x", shape=(2,))
    late = b.add(Abs(), x, name="late")
    early = b.add(Relu(), x, name="early")
    b.output(b.add(Add(), early, late), name="y")
    graph = b.build()
    labels = [graph.op(node).label for node in graph.nodes()]
    assert labels == ["Input", "Abs", "Relu", "Add"]


def test_a_cycle_is_named() -> None:
    graph = square()
    r, y = graph.value("r"), graph.value("y")
    graph.connect(Use(r.node, 0), y)
    with pytest.raises(InvalidModel, match=r"a cycle \(.*Relu r.*Mul twice|a cycle \(.*Mul twice.*Relu r"):
        graph.nodes()


def test_names_are_unique() -> None:
    b = GraphBuilder()
    x = b.input("x", shape=(2,))
    y = b.add(Abs(), x)
    with pytest.raises(InvalidModel, match="two values with this name"):
        b.output(y, name="x")


def test_fresh_names_avoid_taken_and_reserved_ones() -> None:
    graph = square()
    graph.reserve(["inside"])
    assert graph.fresh_name("free") == "free"
    assert graph.fresh_name("r") == "r_1"
    assert graph.fresh_name("inside") == "inside_1"


def test_wellformed_sees_a_missing_operand_and_a_wrong_type() -> None:
    graph = square()
    y = graph.value("y")
    graph.connect(Use(y.node, 1), None)
    with pytest.raises(InvalidModel, match="Mul"):
        check(graph)
    b = GraphBuilder()
    left, right = (b.input(name, shape=(2, size)) for name, size in (("left", 3), ("right", 4)))
    b.output(b.add(Concat(axis=1), left, right), name="y")
    graph = b.build()
    graph.connect(Use(graph.value("y").node, 1), graph.value("left"))
    with pytest.raises(InvalidModel, match=r"y: recorded type float32\[2, 7\]; type float32\[2, 6\]"):
        check(graph)


def test_wellformed_sees_an_output_that_does_not_exist() -> None:
    graph = square()
    graph.outputs = (Value(99, 0),)
    with pytest.raises(InvalidModel, match="an output nobody makes"):
        check(graph)


def test_a_region_keeps_the_identity_of_its_nodes_and_values() -> None:
    b = GraphBuilder()
    x = b.input("x", shape=("N", 3))
    a = b.add(Relu(), x, name="a")
    c = b.add(Add(), a, np.ones((1, 3), np.float32), name="c")
    d = b.add(Mul(), c, c, name="d")
    b.output(b.add(Abs(), d), name="y")
    graph = b.build()
    region = graph.region([c.node, d.node])
    check(region)
    assert [region.op(node).label for node in region.nodes()] == ["Input", "Constant", "Add", "Mul"]
    assert (region.value("c"), region.value("d")) == (c, d)
    assert region.operands(d.node) == (c, c)
    assert (region.inputs, region.outputs) == ((a,), (d,))
    region.remove(region.value("d").node)
    assert graph.has_name("d")
