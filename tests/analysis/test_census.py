"""The census of a graph."""

from dataclasses import replace

import numpy as np
import pytest

from convgraph.analysis.census import census, node_label, node_name
from convgraph.analysis.cost import graph_cost, parameters
from convgraph.importers.demo import demo, demo_names
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Add, Clip, Conv, Relu
from convgraph.ir.tensor import DataType, TensorType


def small() -> Graph:
    b = GraphBuilder("small", opset=18)
    x = b.input("x", shape=("N", 2, "H", 4))
    shared = b.constant(np.ones((2, 2, 1, 1), np.float32))
    y = b.add(Conv.of(2), x, shared, node="first")
    op = Conv(strides=(1, 1), pads=(0,) * 4, dilations=(1, 1), activation=Relu())
    y = b.add(op, y, shared, name="second_out")
    b.output(b.add(Add(), y, 1.5), name="y")
    return b.build()


def test_a_row_for_each_operation_in_order() -> None:
    first, second, last = census(small()).layers
    assert (first.name, first.label) == ("first", "Conv")
    assert (second.name, second.label) == ("second_out", "Conv+Relu")
    assert (last.name, last.label) == ("y", "Add")
    image = TensorType(DataType.FLOAT, shape=("N", 2, "H", 4))
    assert first.operands == (image, TensorType(DataType.FLOAT, shape=(2, 2, 1, 1)))
    assert first.results == (image,)
    assert first.cost.macs == 64 * 4 * 2 * 2
    assert last.cost.macs == 0
    assert [layer.parameters for layer in (first, second, last)] == [4, 4, 1]


def test_totals_count_shared_weights_once_and_assumed_sizes_are_told() -> None:
    graph = small()
    found = census(graph)
    assert found.parameters == parameters(graph) == 5
    assert found.cost == graph_cost(graph)
    assert found.histogram == {"Conv": 1, "Conv+Relu": 1, "Add": 1}
    assert found.sizes == {"N": 1, "H": 64}
    assert (found.graph, found.opset) == ("small", 18)


def test_an_omitted_operand_is_none() -> None:
    b = GraphBuilder("unnamed")
    x = b.input("x", shape=(1, 2, 3, 4))
    op = Conv(strides=(1, 1), pads=(0,) * 4, dilations=(1, 1), activation=Clip())
    bound = np.array(0, np.float32)
    b.output(b.add(op, x, np.ones((2, 2, 1, 1), np.float32), None, bound), name="y")
    graph = b.build()
    (layer,) = census(graph).layers
    assert layer.operands[2:] == (None, TensorType(DataType.FLOAT, shape=()))
    assert layer.parameters == 4 + 1


def test_a_node_goes_by_its_name_else_its_result_else_its_number() -> None:
    b = GraphBuilder("names")
    x = b.input("x", shape=(2,))
    named, unnamed = b.add(Relu(), x, name="a", node="A"), b.add(Relu(), x, name="b")
    b.output(x)
    graph = b.build()
    assert [node_name(graph, value.node) for value in (named, unnamed)] == ["A", "b"]
    graph.set_value_info(unnamed, replace(graph.value_info(unnamed), name=""))
    assert node_name(graph, unnamed.node) == f"#{unnamed.node}"
    assert node_label(graph, named.node) == "Relu"


@pytest.mark.parametrize("name", demo_names())
def test_demo_models_add_up(name: str) -> None:
    graph = demo(name)
    found = census(graph)
    assert sum(found.histogram.values()) == len(found.layers) == sum(1 for _ in graph.compute_nodes())
    assert sum(layer.parameters for layer in found.layers) >= found.parameters == parameters(graph)
