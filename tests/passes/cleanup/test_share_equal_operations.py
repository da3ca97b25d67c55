"""Tables for share-equal-operations."""

from collections.abc import Callable
from types import MappingProxyType

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.encoded import encode
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Abs,
    Add,
    Conv,
    Dropout,
    LeakyRelu,
    MaxPool,
    Mul,
    Neg,
    Op,
    Opaque,
    Relu,
    Sigmoid,
    Split,
    Sub,
    Sum,
    Tanh,
)
from convgraph.ir.tensor import DataType, TensorType
from convgraph.passes.cleanup.share_equal_operations import ShareEqualOperations
from convgraph.passes.pipeline import Pipeline

SHAPE = ("N", 4, "H", "W")
Twice = Callable[[GraphBuilder, Draw, Value], tuple[Value, Value]]


def two(parts: Twice, *, returned: int = 0) -> Callable[[Draw], Graph]:
    """Two values made of x, one minus twice the other; the first so many of them are returned too."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        both = parts(b, draw, b.input("x", shape=SHAPE))
        b.output(b.add(Sub(), both[0], b.add(Mul(), both[1], 2.0)), name="y")
        for number, value in enumerate(both[:returned]):
            b.output(value, name=f"z{number}")
        return b.build()

    return build


def of(*ops: Op) -> Twice:
    """Two operations on x: the same one, if one is given."""
    return lambda b, _, x: (b.add(ops[0], x), b.add(ops[-1], x))


def convs(b: GraphBuilder, draw: Draw, x: Value) -> tuple[Value, Value]:
    """Two convolutions with one weight and one bias."""
    weight, bias = b.constant(draw.weight(4, 4, 3, 3)), b.constant(draw.weight(4))
    op = Conv.of(2, pads=1)
    return b.add(op, x, weight, bias), b.add(op, x, weight, bias)


def chains(b: GraphBuilder, draw: Draw, x: Value) -> tuple[Value, Value]:
    """Two chains of three operations."""
    weight = b.constant(draw.weight(4, 4, 1, 1))
    one, other = (b.add(Tanh(), b.add(Conv.of(2), b.add(Abs(), x), weight)) for _ in range(2))
    return one, other


def turned(op: Op, *, again: Op | None = None) -> Twice:
    """An operation on two values, and on the same two the other way round."""

    def parts(b: GraphBuilder, draw: Draw, x: Value) -> tuple[Value, Value]:
        del draw
        p, q = b.add(Abs(), x), b.add(Neg(), x)
        return b.add(op, p, q), b.add(again or op, q, p)

    return parts


def pieces(b: GraphBuilder, draw: Draw, x: Value) -> tuple[Value, Value]:
    """Two Splits, of which different pieces are read."""
    del draw
    sizes = b.constant(np.array([2, 2]))
    one, other = (b.add_all(Split(axis=1), x, sizes, names=("", "")) for _ in range(2))
    return one[0], other[1]


def measured(b: GraphBuilder, draw: Draw, x: Value) -> tuple[Value, Value]:
    """Two operations without a class, with one attribute."""
    del draw
    ends = []
    for _ in range(2):
        op = Opaque(op_type="LpNormalization", arity=1, encoded={"axis": encode("axis", 1)})
        ends.append(b.add_all(op, x, types=(TensorType(DataType.FLOAT, shape=SHAPE),))[0])
    return ends[0], ends[1]


def noise(b: GraphBuilder, draw: Draw, x: Value) -> tuple[Value, Value]:
    """Random numbers, twice."""
    del draw
    op, kind = "RandomNormalLike", TensorType(DataType.FLOAT, shape=SHAPE)
    ends = [b.add_all(Opaque(op_type=op, arity=1), x, types=(kind,))[0] for _ in range(2)]
    return ends[0], ends[1]


def dropouts(b: GraphBuilder, draw: Draw, x: Value) -> tuple[Value, Value]:
    """Two Dropouts in training."""
    del draw
    ratio, training = b.constant(np.array(0.5, np.float32)), b.constant(np.array(True))
    ends = [b.add_all(Dropout(), x, ratio, training, names=("",))[0] for _ in range(2)]
    return ends[0], ends[1]


EXAMPLES = {
    "convolutions": two(convs),
    "activations": two(of(Sigmoid())),
    "chains": two(chains),
    "one is returned": two(of(Sigmoid()), returned=1),
    "both are returned": two(convs, returned=2),
    "sums, turned round": two(turned(Add())),
    "products, turned round": two(turned(Mul())),
    "sums of two, turned round": two(turned(Sum())),
    "differences": two(lambda b, _, x: (b.add(Sub(), x, c := b.add(Abs(), x)), b.add(Sub(), x, c))),
    "several results": two(pieces),
    "without a class": two(measured),
}

NEAR_MISSES = {"it_always_computes_the_same": [two(noise), two(dropouts)]}


def maxima(b: GraphBuilder, draw: Draw, x: Value) -> tuple[Value, Value]:
    """Two pools, of which one also tells where the maxima are."""
    del draw
    op = MaxPool.of((3, 3), pads=1)
    return b.add(op, x), b.add_all(op, x, names=("", "places"))[0]


def unlike(b: GraphBuilder, draw: Draw, x: Value) -> tuple[Value, Value]:
    """Two operations without a class, with different attributes."""
    del draw
    ends = []
    for axis in (1, 2):
        op = Opaque(op_type="LpNormalization", arity=1, encoded={"axis": encode("axis", axis)})
        ends.append(b.add_all(op, x, types=(TensorType(DataType.FLOAT, shape=SHAPE),))[0])
    return ends[0], ends[1]


def of_a_domain(domain: str, op_type: str) -> Twice:
    """Two operations of a domain that need not be ONNX's."""

    def parts(b: GraphBuilder, draw: Draw, x: Value) -> tuple[Value, Value]:
        del draw
        kind = TensorType(DataType.FLOAT, shape=SHAPE)
        op = Opaque(domain=domain, op_type=op_type, arity=1)
        ends = [b.add_all(op, x, types=(kind,))[0] for _ in range(2)]
        return ends[0], ends[1]

    return parts


def running(b: GraphBuilder, draw: Draw, x: Value) -> tuple[Value, Value]:
    """Two operations that run bodies."""
    del draw
    inner = GraphBuilder("body")
    inner.output(inner.input("inside", shape=SHAPE), name="outside")
    body = MappingProxyType({"body": inner.build()})
    kind = TensorType(DataType.FLOAT, shape=SHAPE)
    ops = [Opaque(op_type="Scan", arity=1, subgraphs=body) for _ in range(2)]
    ends = [b.add_all(op, x, types=(kind,))[0] for op in ops]
    return ends[0], ends[1]


UNLIKE = {
    "other attributes": of(LeakyRelu(alpha=0.5), LeakyRelu(alpha=0.25)),
    "attributes of other signs": of(LeakyRelu(alpha=0.0), LeakyRelu(alpha=-0.0)),
    "other operations": of(Relu(), Tanh()),
    "other attributes of what has no class": unlike,
    "differences, turned round": turned(Sub()),
    "a sum and a product": turned(Add(), again=Mul()),
    "other results": maxima,
    "a domain of its own": of_a_domain("com.example", "Same"),
    "quantised data": of_a_domain("", "DequantizeLinear"),
    "bodies": running,
}


@pytest.mark.parametrize("name", UNLIKE)
def test_what_may_differ_stays(name: str) -> None:
    _, trace = Pipeline([ShareEqualOperations()]).run(two(UNLIKE[name])(Draw(dyadic=True)))
    assert not trace.applications


def test_the_earlier_one_stays() -> None:
    b = GraphBuilder("g")
    x = b.input("x", shape=SHAPE)
    first, second = (b.add(Sigmoid(), x, name=name, node=name) for name in ("first", "second"))
    b.output(b.add(Sub(), b.add(Abs(), second), first), name="y")
    graph, trace = Pipeline([ShareEqualOperations()]).run(b.build())
    assert len(trace.applications) == 1
    assert graph.has_value("first")
    assert not graph.has_value("second")


def test_a_value_that_thousands_read_costs_no_more_each(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, look = 0, Graph.operands

    def counted(self: Graph, node: int) -> tuple[Value | None, ...]:
        nonlocal looks
        looks += 1
        return look(self, node)

    monkeypatch.setattr(Graph, "operands", counted)
    work = []
    for count in (250, 1000):
        b = GraphBuilder("fan")
        x = b.input("x", shape=(1, 4, 6, 8))
        for number in range(count):
            b.output(b.add(LeakyRelu(alpha=number / 4096), x), name=f"y{number}")
        graph, looks = b.build(), 0
        assert not any(ShareEqualOperations().find(graph, node) for node in graph.nodes())
        work.append(looks)
    assert work[1] < 4.5 * work[0]
