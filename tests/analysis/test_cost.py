"""Costs, against counts made another way: by running every multiplication, or by published numbers."""

import math
from itertools import product

import numpy as np
import pytest

from convgraph.analysis.at_load import computed_at_load
from convgraph.analysis.cost import (
    NOTHING,
    Cost,
    graph_cost,
    node_cost,
    node_costs,
    parameters,
    types_at_assumed_sizes,
)
from convgraph.importers.demo import demo, demo_names
from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import (
    Add,
    AveragePool,
    Clip,
    Constant,
    Conv,
    ConvTranspose,
    Flatten,
    Gemm,
    Identity,
    Input,
    MatMul,
    Mul,
    Neg,
    Op,
    Opaque,
    Relu,
    Reshape,
)
from convgraph.ir.tensor import DataType, Dim, TensorType


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def single(op: Op, *operands: Operand, shape: tuple[Dim, ...] | None) -> Graph:
    b = GraphBuilder("single")
    b.output(b.add(op, b.input("x", shape=shape), *operands), name="y")
    return b.build()


def only(graph: Graph) -> int:
    (node,) = graph.compute_nodes()
    return node


def macs_run(
    op: Conv | ConvTranspose, x: tuple[int, ...], weight: tuple[int, ...], out: tuple[int, ...]
) -> int:
    """How often a naive loop multiplies: every weight at every window, zeros of the padding included."""
    moving = out if isinstance(op, Conv) else x
    count = 0
    for _sample, _window in product(range(x[0]), product(*map(range, moving[2:]))):
        for _weight in product(*map(range, weight)):
            count += 1
    return count


CONVOLUTIONS = [
    (Conv.of(1, strides=2, pads=1), (2, 3, 9), (4, 3, 5)),
    (Conv.of(2, strides=(2, 1), pads=(1, 0, 2, 1), dilations=(1, 2)), (2, 3, 9, 7), (4, 3, 3, 2)),
    (Conv.of(2, group=3), (1, 6, 5, 4), (9, 2, 2, 3)),
    (Conv.of(2, group=5), (2, 5, 6, 4), (5, 1, 3, 3)),
    (Conv.of(3), (1, 2, 3, 4, 5), (3, 2, 2, 1, 3)),
    (ConvTranspose.of(1, strides=3), (2, 3, 4), (3, 5, 2)),
    (ConvTranspose.of(2, strides=(2, 3), pads=1), (2, 4, 5, 3), (4, 3, 3, 4)),
    (ConvTranspose.of(2, group=2), (1, 4, 5, 3), (4, 3, 2, 1)),
]


@pytest.mark.parametrize(("op", "x", "weight"), CONVOLUTIONS, ids=str)
def test_convolutions_cost_a_mac_for_each_weight_at_each_window(
    op: Conv | ConvTranspose, x: tuple[int, ...], weight: tuple[int, ...]
) -> None:
    graph = single(op, ones(*weight), shape=x)
    out = graph.type(graph.outputs[0]).static_shape
    assert out is not None
    cost = node_cost(graph, only(graph))
    assert cost.macs == macs_run(op, x, weight, out)
    assert cost.bytes == 4 * (math.prod(x) + math.prod(weight) + math.prod(out))
    assert not cost.approximate


@pytest.mark.parametrize(
    ("op", "x", "other", "macs"),
    [
        (Gemm(), (3, 5), (5, 7), 3 * 5 * 7),
        (Gemm(transA=1), (5, 3), (5, 7), 3 * 5 * 7),
        (Gemm(transB=1), (3, 5), (7, 5), 3 * 5 * 7),
        (Gemm(transA=1, transB=1), (5, 3), (7, 5), 3 * 5 * 7),
        (MatMul(), (3, 5), (5, 7), 3 * 5 * 7),
        (MatMul(), (2, 4, 3, 5), (4, 5, 7), 2 * 4 * 3 * 5 * 7),
        (MatMul(), (5,), (5, 7), 5 * 7),
        (MatMul(), (3, 5), (5,), 3 * 5),
        (MatMul(), (5,), (5,), 5),
    ],
    ids=str,
)
def test_matrix_products(op: Op, x: tuple[int, ...], other: tuple[int, ...], macs: int) -> None:
    graph = single(op, ones(*other), shape=x)
    assert node_cost(graph, only(graph)).macs == macs


@pytest.mark.parametrize(
    ("op", "operands"),
    [
        (Relu(), ()),
        (Mul(), (ones(3, 1, 1),)),
        (AveragePool.of((2, 3)), ()),
        (Clip(), (0.0, 6.0)),
        (Flatten(), ()),
    ],
    ids=lambda item: type(item).__name__,
)
def test_everything_else_costs_only_bytes(op: Op, operands: tuple[Operand, ...]) -> None:
    graph = single(op, *operands, shape=(2, 3, 5, 7))
    values = {graph.inputs[0], graph.outputs[0], *(v for v in graph.operands(only(graph)) if v is not None)}
    assert node_cost(graph, only(graph)) == Cost(0, sum(graph.type(v).nbytes or 0 for v in values))


def test_bytes_follow_the_element_type() -> None:
    b = GraphBuilder("types")
    for name, dtype in (("half", DataType.FLOAT16), ("double", DataType.DOUBLE), ("nibble", DataType.INT4)):
        b.output(b.add(Identity(), b.input(name, shape=(3, 5), dtype=dtype), node=name), name=f"{name}_out")
    graph = b.build()
    found = {graph.info(node).name: node_cost(graph, node).bytes for node in graph.compute_nodes()}
    assert found == {"half": 60, "double": 240, "nibble": 16}


def test_an_operand_in_two_slots_is_read_once() -> None:
    b = GraphBuilder("square")
    x = b.input("x", shape=(2, 3))
    b.output(b.add(Mul(), x, x), name="y")
    assert graph_cost(b.build()) == Cost(0, 2 * 24)


def test_a_fused_activation_saves_what_lay_between() -> None:
    apart, fused = GraphBuilder("apart"), GraphBuilder("fused")
    for b, activation in ((apart, None), (fused, Relu())):
        op = Conv(strides=(1, 1), pads=(0,) * 4, dilations=(1, 1), activation=activation)
        y = b.add(op, b.input("x", shape=(1, 2, 5, 4)), ones(3, 2, 2, 2))
        b.output(y if activation else b.add(Relu(), y), name="y")
    between = 4 * 3 * 4 * 3
    before, after = graph_cost(apart.build()), graph_cost(fused.build())
    assert after.macs == before.macs
    assert after.bytes == before.bytes - 2 * between


def test_constants_and_inputs_cost_nothing_where_they_are_made() -> None:
    graph = single(Conv.of(2), ones(3, 2, 2, 2), shape=(1, 2, 5, 4))
    sources = [node for node in graph.nodes() if isinstance(graph.op(node), (Constant, Input))]
    assert len(sources) == 2
    assert {node_cost(graph, node) for node in sources} == {NOTHING}


def test_what_is_computed_when_a_model_is_loaded_costs_nothing_where_it_is_made() -> None:
    b = GraphBuilder("g")
    x = b.input("x", shape=(1, 4, 5, 5))
    weight = b.add(MatMul(), ones(8, 3), ones(3, 4))
    y = b.add(Conv.of(2), x, b.add(Neg(), b.add(Reshape(), weight, np.array([8, 4, 1, 1]))))
    b.output(y, name="y")
    graph = b.build()
    loaded = computed_at_load(graph)
    costs = node_costs(graph, types=types_at_assumed_sizes(graph))
    assert {graph.op(node).label for node in loaded} == {"MatMul", "Reshape", "Neg"}
    assert {costs[node] for node in loaded} == {NOTHING}
    assert graph_cost(graph) == Cost(8 * 4 * 25, 4 * (100 + 32 + 200))


def test_costs_compare_macs_first_and_add_up() -> None:
    assert Cost(1, 900) < Cost(2, 1) < Cost(2, 2)
    assert Cost(1, 2) + Cost(3, 4) == Cost(4, 6)
    assert Cost(1, 2, approximate=True) == Cost(1, 2)
    assert (Cost(1, 2) + Cost(0, 0, approximate=True)).approximate
    assert not (Cost(1, 2) + NOTHING).approximate


def test_open_sizes_are_assumed() -> None:
    symbolic = single(Conv.of(2, strides=2, pads=1), ones(4, 3, 3, 3), shape=("N", 3, "H", None))
    fixed = single(Conv.of(2, strides=2, pads=1), ones(4, 3, 3, 3), shape=(1, 3, 64, 64))
    assert graph_cost(symbolic) == graph_cost(fixed)
    assert not graph_cost(symbolic).approximate


def test_a_node_alone_costs_what_it_costs_in_the_graph_when_symbols_say_it() -> None:
    graph = single(Conv.of(2, strides=2, pads=1), ones(4, 3, 3, 3), shape=("N", 3, "H", "W"))
    assert node_cost(graph, only(graph)) == graph_cost(graph)


def test_a_size_that_cannot_be_assumed_counts_one() -> None:
    graph = single(Relu(), shape=None)
    assert graph_cost(graph) == Cost(0, 8)
    assert graph_cost(graph).approximate
    product_ = single(MatMul(), ones(5, 7), shape=None)
    assert graph_cost(product_).approximate


def test_sizes_that_do_not_fit_are_counted_from_what_was_recorded() -> None:
    b = GraphBuilder("misfit")
    x = b.input("x", shape=("N", "F"))
    b.output(b.add(Gemm(), x, ones(6, 2)), name="y")  # F can only be 6, which nothing says
    cost = graph_cost(b.build())
    assert cost.macs == 1 * 2 * 64


def test_sizes_too_small_for_a_window_count_one() -> None:
    graph = single(Conv.of(1), ones(5, 3, 70), shape=("N", 3, "L"))
    assert graph_cost(graph) == Cost(5 * 3 * 70, 4 * (3 * 64 + 5 * 3 * 70 + 5))
    assert graph_cost(graph).approximate


def test_operations_without_a_class_count_bytes_and_their_bodies_once() -> None:
    body = single(Conv.of(2), ones(3, 2, 2, 2), shape=(1, 2, 5, 4))
    b = GraphBuilder("control")
    condition = b.input("condition", shape=(), dtype=DataType.BOOL)
    op = Opaque(op_type="If", arity=1, subgraphs={"then_branch": body, "else_branch": body})
    (y,) = b.add_all(op, condition, names=("y",), types=[TensorType(DataType.FLOAT, shape=(1, 3, 4, 3))])
    b.output(y)
    graph = b.build()
    inside = graph_cost(body)
    assert graph_cost(graph) == Cost(2 * inside.macs, 2 * inside.bytes + 1 + 4 * 36)
    assert graph_cost(graph).approximate
    assert parameters(graph) == 2 * 24


@pytest.mark.parametrize(
    ("op_type", "domain", "approximate"),
    [("QLinearConv", "", True), ("Einsum", "", True), ("Gather", "", False), ("Gather", "elsewhere", True)],
)
def test_macs_that_are_not_counted_are_told(op_type: str, domain: str, *, approximate: bool) -> None:
    b = GraphBuilder("uncounted")
    op = Opaque(op_type=op_type, domain=domain, arity=1)
    (y,) = b.add_all(op, b.input("x", shape=(3, 5)), types=[TensorType(DataType.FLOAT, shape=(7,))])
    b.output(y)
    cost = graph_cost(b.build())
    assert cost == Cost(0, 4 * (15 + 7))
    assert cost.approximate is approximate


def test_parameters_count_each_float_tensor_that_is_read_once() -> None:
    b = GraphBuilder("parameters")
    x = b.input("x", shape=(1, 2, 6, 5))
    shared = b.constant(ones(2, 2, 1, 1))
    b.constant(ones(1000))  # nobody reads it
    y = b.add(Conv.of(2), b.add(Conv.of(2), x, shared), shared)
    y = b.add(Add(), y, b.overridable("shift", ones(5)))
    b.output(b.add(Flatten(), y), name="y")
    unread = Opaque(op_type="Gather", arity=2)
    b.add_all(unread, y, np.array([1, 2]), types=[TensorType(DataType.FLOAT)])  # integers are no weights
    assert parameters(b.build()) == 4 + 5


def test_published_counts_of_the_demo_networks() -> None:
    auxiliary = 7 * 7 * 512 * 8  # the head that nobody reads
    assert graph_cost(demo("resnet")).macs - auxiliary == 1_814_073_344
    assert graph_cost(demo("mobilenet")).macs == 300_774_272


@pytest.mark.parametrize("name", demo_names())
def test_the_nodes_alone_add_up_to_the_graph(name: str) -> None:
    graph = demo(name)
    running = set(graph.compute_nodes()) - computed_at_load(graph)
    assert sum((node_cost(graph, node) for node in running), NOTHING) == graph_cost(graph)


def test_a_node_that_an_edit_erases_still_has_its_cost() -> None:
    """A trace adds up the costs of erased nodes, whose results have handed their names on by then."""
    graph = single(Relu(), shape=("N", 3, "H", 5))
    expected = node_cost(graph, only(graph))
    erased: list[Cost] = []
    edit = Edit(graph, on_erase=lambda node: erased.append(node_cost(graph, node)))
    old = graph.outputs[0]
    edit.replace(old, edit.add(Identity(), graph.inputs[0]))
    edit.sweep()
    assert erased == [expected]
    assert expected == Cost(0, 2 * 4 * 3 * 64 * 5)
