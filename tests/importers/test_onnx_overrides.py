"""Other input shapes and parts of a graph, asked for before the model is imported."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from convgraph.errors import InvalidModel
from convgraph.importers.onnx_model import from_onnx
from convgraph.importers.onnx_overrides import cut, set_input_shapes

info = helper.make_tensor_value_info


def net() -> ModelProto:
    """x -> Conv -> c -> Relu -> r -> Add(r, z) -> s -> If(b): Neg/Abs -> y, with recorded types."""
    then = helper.make_graph([helper.make_node("Neg", ["s"], ["t"])], "t", [], [info("t", 1, [1, 4, 8, 7])])
    other = helper.make_graph([helper.make_node("Abs", ["s"], ["e"])], "e", [], [info("e", 1, [1, 4, 8, 7])])
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Add", ["r", "z"], ["s"]),
        helper.make_node("If", ["b"], ["y"], then_branch=then, else_branch=other),
    ]
    inputs = [info("x", 1, [1, 3, 10, 8]), info("z", 1, [4, 1, 1]), info("b", TensorProto.BOOL, [])]
    weight = numpy_helper.from_array(np.ones((4, 3, 3, 2), np.float32), "w")
    graph = helper.make_graph(nodes, "net", inputs, [info("y", 1, [1, 4, 8, 7])], [weight])
    graph.value_info.extend([info("c", 1, [1, 4, 8, 7]), info("r", 1, [1, 4, 8, 7])])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def shape_of(model: ModelProto, name: str) -> list[Any]:
    (value,) = [v for v in (*model.graph.input, *model.graph.output) if v.name == name]
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def test_new_input_shapes_reach_every_type() -> None:
    before, model = net(), net()
    changed = set_input_shapes(model, {"x": ("N", 3, 20, 14)})
    assert model == before
    onnx.checker.check_model(changed, full_check=True)
    assert shape_of(changed, "x") == ["N", 3, 20, 14]
    assert shape_of(changed, "y") == ["N", 4, 18, 13]
    graph = from_onnx(changed)
    assert str(graph.type(graph.value("c"))) == "float32[N, 4, 18, 13]"
    assert not changed.graph.value_info
    assert changed.graph.initializer == before.graph.initializer


def test_the_empty_name_is_the_only_input() -> None:
    relu = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])], "g", [info("x", 1, ["N", 2])], [info("y", 1, ["N", 2])]
    )
    model = helper.make_model(relu, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    changed = set_input_shapes(model, {"": (5, 2)})
    assert (shape_of(changed, "x"), shape_of(changed, "y")) == ([5, 2], [5, 2])


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"nobody": (1,)}, "nobody: no such input; one of x, z, b"),
        ({"": (1,)}, "input shape: no name, and inputs x, z, b; NAME:SHAPE"),
        ({"x": (1, 3, 10)}, "x: shape (1, 3, 10) for an input of type float32[1, 3, 10, 8]; 4 sizes"),
        ({"x": (1, 3, -1, 8)}, "x: shape (1, 3, -1, 8); sizes of 0 or more, or symbols"),
    ],
)
def test_an_impossible_shape_is_named(shapes: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(InvalidModel) as caught:
        set_input_shapes(net(), shapes)
    assert str(caught.value) == message


def test_a_part_between_two_values() -> None:
    before, model = net(), net()
    part = cut(model, inputs=["c"], outputs=["r"])
    assert model == before
    onnx.checker.check_model(part, full_check=True)
    assert [n.op_type for n in part.graph.node] == ["Relu"]
    assert (shape_of(part, "c"), shape_of(part, "r")) == ([1, 4, 8, 7], [1, 4, 8, 7])
    assert not part.graph.initializer


def test_a_part_up_to_a_value_keeps_the_inputs_it_needs() -> None:
    part = cut(net(), outputs=["s", "c"])
    onnx.checker.check_model(part, full_check=True)
    assert [v.name for v in part.graph.input] == ["x", "z"]
    assert [v.name for v in part.graph.output] == ["s", "c"]
    assert shape_of(part, "s") == [1, 4, 8, 7]
    assert [t.name for t in part.graph.initializer] == ["w"]


def test_a_part_from_a_value_reaches_into_bodies() -> None:
    part = cut(net(), inputs=["s", "b"])
    onnx.checker.check_model(part, full_check=True)
    assert [n.op_type for n in part.graph.node] == ["If"]
    assert [v.name for v in part.graph.input] == ["s", "b"]


def test_a_constant_may_become_an_input() -> None:
    part = cut(net(), inputs=["x", "w"], outputs=["c"])
    onnx.checker.check_model(part, full_check=True)
    assert shape_of(part, "w") == [4, 3, 3, 2]
    assert not part.graph.initializer


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        (["nobody"], [], "nobody: no value with this name"),
        ([], ["nobody"], "nobody: no value with this name"),
        (["c"], ["s"], "z: an input that the outputs also need"),
        (["x", "z"], ["c"], "z: an input that no output needs"),
        (["r"], ["c"], "r: an input that no output needs"),
    ],
)
def test_an_impossible_part_is_named(inputs: list[str], outputs: list[str], message: str) -> None:
    with pytest.raises(InvalidModel, match=message):
        cut(net(), inputs=inputs, outputs=outputs)


def test_a_value_without_a_type_cannot_become_an_input() -> None:
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Odd", ["x"], ["a"], domain="odd"), helper.make_node("Relu", ["a"], ["y"])],
            "g",
            [info("x", 1, [2])],
            [info("y", 1, [2])],
        ),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("odd", 1)],
        ir_version=8,
    )
    with pytest.raises(InvalidModel, match="a: a value of unknown type"):
        cut(model, inputs=["a"])
