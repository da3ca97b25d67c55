"""Edits keep names, types and the interface."""

import numpy as np
import pytest

from convgraph.errors import InvalidModel
from convgraph.ir.build import GraphBuilder
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Abs, Add, Identity, Neg, Relu, Reshape
from convgraph.ir.tensor import DataType, TensorType
from convgraph.ir.wellformed import check


def chain() -> Graph:
    """y = abs(relu(x)) with names on everything."""
    b = GraphBuilder()
    r = b.add(Relu(), b.input("x", shape=("N", 3)), name="r", node="rectify")
    b.output(b.add(Abs(), r, node="absolute"), name="y")
    return b.build()


def test_a_new_value_takes_over_name_and_place() -> None:
    graph = chain()
    old = graph.value("r")
    edit = Edit(graph, near=old.node)
    edit.replace(old, edit.add(Neg(), graph.value("x"), like=old.node))
    edit.sweep()
    check(graph)
    assert [graph.op(node).label for node in graph.nodes()] == ["Input", "Neg", "Abs"]
    assert graph.info(graph.value("r").node).name == "rectify"


def test_an_output_keeps_its_name_and_declared_type() -> None:
    graph = chain()
    declared = graph.type(graph.value("y"))
    edit = Edit(graph)
    edit.replace(graph.value("y"), graph.value("r"))
    edit.sweep()
    check(graph)
    assert [graph.value_name(v) for v in graph.outputs] == ["y"]
    assert graph.type(graph.outputs[0]) == declared
    assert not graph.has_name("r")


def test_an_output_that_becomes_an_input_goes_through_an_identity() -> None:
    graph = chain()
    edit = Edit(graph)
    edit.replace(graph.value("y"), graph.value("x"))
    edit.sweep()
    check(graph)
    assert isinstance(graph.producer(graph.value("y")), Identity)
    assert [graph.value_name(v) for v in (*graph.inputs, *graph.outputs)] == ["x", "y"]


def test_two_outputs_replaced_by_one_value_keep_both_names() -> None:
    b = GraphBuilder()
    x = b.input("x", shape=(2,))
    b.output(b.add(Relu(), x), name="y")
    b.output(b.add(Neg(), x), name="z")
    graph = b.build()
    edit = Edit(graph)
    edit.replace(graph.value("z"), graph.value("y"))
    edit.sweep()
    check(graph)
    assert [graph.value_name(v) for v in graph.outputs] == ["y", "z"]


def test_a_replacement_of_another_type_is_refused() -> None:
    graph = chain()
    edit = Edit(graph)
    wrong = edit.constant(np.ones((3, 4), np.float32))
    with pytest.raises(InvalidModel, match="a replacement of type"):
        edit.replace(graph.value("r"), wrong)


def test_sweep_erases_upwards_but_never_inputs() -> None:
    graph = chain()
    edit = Edit(graph)
    constant = edit.constant(np.ones((1, 3), np.float32), name="c")
    edit.replace(graph.value("y"), edit.add(Add(), constant, constant))
    edit.sweep()
    assert [graph.op(node).label for node in graph.nodes()] == ["Input", "Constant", "Add"]


def test_what_is_read_cannot_be_erased() -> None:
    graph = chain()
    with pytest.raises(InvalidModel, match="a result that is read"):
        Edit(graph).erase(graph.value("r").node)


def test_derived_constants_are_named_after_their_source() -> None:
    graph = chain()
    edit = Edit(graph)
    weight = edit.constant(np.ones(3, np.float32), name="conv.weight")
    first = edit.constant(np.ones(3, np.float32), like=weight)
    second = edit.constant(np.ones(3, np.float32), like=first)
    names = [graph.value_name(v) for v in (first, second)]
    assert names == ["conv.weight_folded", "conv.weight_folded_1"]


def test_requiring_an_opset_only_ever_raises_it() -> None:
    graph = chain()
    edit = Edit(graph)
    edit.require_opset(18)
    assert graph.model.opset == 21
    edit.require_opset(22)
    assert graph.model.opset == 22


def test_builder_infers_types_with_symbols() -> None:
    graph = chain()
    assert graph.type(graph.value("y")) == TensorType(DataType.FLOAT, shape=("N", 3))


def test_types_downstream_sharpen_when_a_shape_becomes_known() -> None:
    b = GraphBuilder()
    x = b.input("x", shape=(2, 3))
    shape = b.input("shape", shape=(2,), dtype=DataType.INT64)
    reshaped = b.add(Reshape(), x, shape, name="reshaped")
    b.output(b.add(Abs(), b.add(Relu(), reshaped, name="r")), name="y")
    graph = b.build()
    assert graph.type(graph.value("r")).static_shape is None
    edit = Edit(graph)
    edit.replace(graph.value("shape"), edit.constant(np.array([6, 1])))
    check(graph)
    assert graph.type(graph.value("r")).shape == (6, 1)
