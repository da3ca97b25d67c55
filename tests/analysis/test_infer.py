"""Types under given sizes."""

import numpy as np
import pytest
from onnx import helper

from convgraph.analysis.infer import assumed_sizes, at_sizes, evaluated, specialised
from convgraph.errors import InvalidModel
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import (
    Add,
    Concat,
    Conv,
    ConvTranspose,
    Div,
    Flatten,
    Gemm,
    MaxPool,
    Mul,
    Opaque,
    Relu,
    Resize,
)
from convgraph.ir.tensor import DataType, Dim, TensorType, affine, times


def float_(*shape: Dim) -> TensorType:
    return TensorType(DataType.FLOAT, shape=shape)


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def pyramid(*shape: Dim) -> Graph:
    """Strides, dilation, a transposed convolution: each changes the size its own way."""
    b = GraphBuilder("pyramid")
    x = b.input("x", shape=shape)
    x = b.add(Conv.of(2, strides=(2, 3), pads=(1, 0, 2, 1)), x, ones(5, 3, 3, 4), name="conv")
    x = b.add(MaxPool.of((3, 2), strides=(2, 1), pads=(1, 0, 1, 1)), x, name="pool")
    x = b.add(ConvTranspose.of(2, strides=(3, 2), dilations=(2, 1)), x, ones(5, 7, 2, 3), name="up")
    b.output(b.add(Relu(), x), name="y")
    return b.build()


def by_name(graph: Graph, sizes: dict[str, int]) -> dict[str, TensorType]:
    return {graph.value_name(value): type_ for value, type_ in specialised(graph, sizes).items()}


@pytest.mark.parametrize("sizes", [(1, 17, 29), (2, 40, 31), (3, 9, 64)])
def test_specialised_types_are_those_of_a_graph_with_these_sizes(sizes: tuple[int, int, int]) -> None:
    n, h, w = sizes
    fixed, symbolic = pyramid(n, 3, h, w), pyramid("N", 3, "H", "W")
    expected = {fixed.value_name(v): fixed.type(v) for node in fixed.nodes() for v in fixed.results(node)}
    assert all(t.static_shape is not None for t in expected.values())
    assert by_name(symbolic, {"N": n, "H": h, "W": w}) == expected


def test_specialising_leaves_the_graph_alone_and_other_symbols_in_place() -> None:
    graph = pyramid("N", 3, "H", "W")
    before = graph.type(graph.outputs[0])
    types = specialised(graph, {"H": 21})
    assert graph.type(graph.outputs[0]) == before
    assert types[graph.inputs[0]] == float_("N", 3, 21, "W")
    assert types[graph.outputs[0]].dim(0) == "N"
    assert isinstance(types[graph.outputs[0]].dim(2), int)
    assert isinstance(types[graph.outputs[0]].dim(3), str)


def test_sizes_an_operation_cannot_run_at_are_refused_by_its_name() -> None:
    graph = pyramid("N", 3, "H", "W")
    with pytest.raises(InvalidModel, match="Conv conv: a window of 4 over 2"):
        specialised(graph, {"H": 20, "W": 2})


def test_an_opaque_result_keeps_its_recorded_type_with_symbols_replaced() -> None:
    b = GraphBuilder("opaque")
    x = b.input("x", shape=("N", 4, "H"))
    op = Opaque(op_type="Mystery", domain="test", arity=1)
    (y,) = b.add_all(op, x, names=("y",), types=[float_("N", "2*H+1", "K")])
    b.output(b.add(Relu(), y), name="z")
    graph = b.build()
    assert by_name(graph, {"N": 2, "H": 5})["z"] == float_(2, 11, "K")


def test_inference_sharpens_what_was_recorded() -> None:
    b = GraphBuilder("recorded")
    x = b.input("x", shape=("N", 4, None))
    b.output(b.add(Relu(), x), name="y")
    graph = b.build()
    assert by_name(graph, {"N": 3})["y"] == float_(3, 4, 64)


def test_sizes_derived_from_one_another_are_assumed_together() -> None:
    b = GraphBuilder("g")
    for number, size in enumerate(["2*H", "(H-1)//2+1", "any size"]):
        b.output(b.add(Relu(), b.input(f"x{number}", shape=("N", 3, size))))
    graph = b.build()
    assert assumed_sizes(graph) == {"N": 1, "H": 64, "any size": 64}
    assert [at_sizes(graph, x, assumed_sizes(graph)).dim(2) for x in graph.inputs] == [128, 32, 64]


def test_assumed_sizes_are_one_for_the_batch_and_64_for_extents() -> None:
    assert assumed_sizes(pyramid("N", 3, "H", "W")) == {"N": 1, "H": 64, "W": 64}
    assert assumed_sizes(pyramid(2, 3, 17, 29)) == {}


@pytest.mark.parametrize(
    ("op", "weight", "channels"),
    [
        (Conv.of(2, group=2), ones(6, 5, 3, 1), 10),
        (ConvTranspose.of(2, group=2), ones(6, 5, 3, 1), 6),
    ],
    ids=["Conv", "ConvTranspose"],
)
def test_symbolic_channels_are_what_the_convolution_expects(
    op: Conv | ConvTranspose, weight: np.ndarray, channels: int
) -> None:
    b = GraphBuilder("channels")
    x = b.input("x", shape=("N", "C", "H", None))
    b.output(b.add(op, x, weight), name="y")
    graph = b.build()
    assert assumed_sizes(graph) == {"N": 1, "C": channels, "H": 64}
    assert specialised(graph, assumed_sizes(graph))[graph.inputs[0]] == float_(1, channels, 64, 64)


def test_a_symbol_in_several_places_is_a_batch_first_and_channels_second() -> None:
    b = GraphBuilder("shared")
    x = b.input("x", shape=("B", "S", "S", 8))
    y = b.input("y", shape=(4, "B", 8))
    b.output(b.add(Conv.of(2), x, ones(2, 12, 1, 1)), name="p")
    b.output(b.add(Relu(), y), name="q")
    assert assumed_sizes(b.build()) == {"B": 1, "S": 12}


def test_overridable_initializers_need_no_assumption() -> None:
    b = GraphBuilder("defaults")
    x = b.input("x", shape=("N", 6))
    b.output(b.add(Gemm(), x, b.overridable("w", ones(6, 2))), name="y")
    assert assumed_sizes(b.build()) == {"N": 1}


def test_sizes_computed_from_shapes_are_followed() -> None:
    """(N, 3, H, W) resized to twice its height and half its width, as exporters write it."""
    b = GraphBuilder("computed")
    x = b.input("x", shape=("N", 3, "H", "W"))
    shape = b.add_all(encoded("Shape", start=2), x, types=[TensorType(DataType.INT64, shape=(2,))])[0]
    halved = b.add(Div(), b.add(Mul(), shape, np.array([4, 1])), np.array([2, 2]))
    sizes = b.add(Concat(axis=0), np.array([1, 3]), halved)
    b.output(b.add(Resize(), x, None, None, sizes), name="y")
    graph = b.build()
    assert by_name(graph, {"N": 1, "H": 9, "W": 15})["y"] == float_(1, 3, 18, 7)
    assert by_name(graph, {"N": 1, "H": 9})["y"].static_shape is None


def encoded(op_type: str, **attributes: int) -> Opaque:
    """An ONNX operator without a class, with one operand."""
    protos = {name: helper.make_attribute(name, value) for name, value in attributes.items()}
    return Opaque(
        op_type=op_type, arity=1, encoded={name: proto.SerializeToString() for name, proto in protos.items()}
    )


def test_a_rank_that_is_unknown_stays_unknown() -> None:
    b = GraphBuilder("rankless")
    b.output(b.add(Relu(), b.input("x", shape=None)), name="y")
    graph = b.build()
    assert all(t.shape is None for t in specialised(graph, {}).values())


def test_a_single_value_is_looked_at_without_inference() -> None:
    b = GraphBuilder("local")
    x = b.input("x", shape=("N", None, 3))
    y = b.add(Flatten(), b.add(Add(), x, x), name="y")
    b.output(y)
    graph = b.build()
    assert at_sizes(graph, graph.inputs[0], {"N": 2}) == float_(2, 64, 3)
    assert at_sizes(graph, y, {"N": 2}) == float_(2, None)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("H", 7),
        ("H-1", 6),
        ("(H-1)//2+1", 4),
        ("2*(H+W)-1", 19),
        ("-H//2", -4),
        ("W - H - 1", -5),
        ("((W))*((H))", 21),
        (" H // 2 // 2 ", 1),
        ("time.step", 11),
        ("floor(H/2)", 13),
    ],
)
def test_expressions_have_pythons_value(text: str, value: int) -> None:
    assert evaluated(text, {"H": 7, "W": 3, "time.step": 11, "floor(H/2)": 13}) == value


@pytest.mark.parametrize(
    "text",
    [
        *("K", "H+K", "H/2", "H**2", "H%2", "H//0", "H H", "(H", "H)", "H+", "", "()", "2.5", "H.real"),
        *("f(H)", "__import__('os')", "H" + "+1" * 200, "(" * 1000, "H;H", "²"),
    ],
)
def test_what_has_no_value_stays_as_it_is(text: str) -> None:
    assert evaluated(text, {"H": 7}) == text


@pytest.mark.parametrize("size", [5, 8, 33])
def test_symbols_that_inference_derives_have_the_value_it_would_have_given(size: int) -> None:
    derived = affine(times(affine("H", add=-3, divide=2, then=1), 3), add=4, divide=5)
    assert isinstance(derived, str)
    assert evaluated(derived, {"H": size}) == (((size - 3) // 2 + 1) * 3 + 4) // 5


def test_numbers_and_unknowns_have_nothing_to_evaluate() -> None:
    assert evaluated(5, {}) == 5
    assert evaluated(None, {"H": 7}) is None
