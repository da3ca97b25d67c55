"""Tables for remove-transposes-around."""

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import pytest
from laws.draw import Draw
from laws.meaning import difference

from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Abs,
    Add,
    Cast,
    Clip,
    Concat,
    Conv,
    Gather,
    LeakyRelu,
    MatMul,
    Mul,
    Neg,
    Op,
    Pad,
    PRelu,
    ReduceMax,
    ReduceMean,
    ReduceSum,
    Relu,
    Slice,
    Softmax,
    Split,
    Sub,
    Sum,
    Transpose,
    Where,
)
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import ComposeTransposes, Pipeline, RemoveTransposesAround, Repeat
from convgraph.passes.fusion.remove_transposes_around import work_to_transpose

LAST, FIRST = Transpose(perm=(0, 2, 3, 1)), Transpose(perm=(0, 3, 1, 2))
Step = Callable[[GraphBuilder, Draw, Value], Value]


def ints(*numbers: int) -> np.ndarray:
    """Numbers for an operand that lists axes or sizes."""
    return np.array(numbers, np.int64)


def around(
    *steps: Step | Op,
    shape: Sequence[Dim] = ("N", 3, "H", "W"),
    there: Transpose = LAST,
    back: Op | None = FIRST,
    dtype: DataType = DataType.FLOAT,
    opset: int = 18,
) -> Callable[[Draw], Graph]:
    """An operation, ``there``, the steps, ``back``, another operation."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=opset)
        y = b.add(there, b.add(Abs(), b.input("x", shape=shape, dtype=dtype)), name="turned")
        for step in steps:
            y = b.add(step, y) if isinstance(step, Op) else step(b, draw, y)
        y = y if back is None else b.add(back, y, name="back")
        b.output(b.add(Abs(), y), name="y")
        return b.build()

    return build


def with_numbers(op: Op, *numbers: object) -> Step:
    """An operation that reads these constants too."""
    return lambda b, _, y: b.add(op, y, *numbers)  # type: ignore[arg-type]  # arrays, or None for one left out


def with_weight(op: Op, *shape: int, first: bool = False) -> Step:
    """An operation with a constant of this shape."""

    def step(b: GraphBuilder, draw: Draw, y: Value) -> Value:
        weight = b.constant(draw.weight(*shape))
        return b.add(op, weight, y) if first else b.add(op, y, weight)

    return step


def with_another(op: Op, *, turned: bool, name: str = "other") -> Step:
    """An operation with another input, or with one that is brought into the same order."""

    def step(b: GraphBuilder, draw: Draw, y: Value) -> Value:
        del draw
        other = b.input(name, shape=("N", 3, "H", "W") if turned else ("N", "H", "W", 3))
        return b.add(op, y, b.add(LAST, other) if turned else other)

    return step


def halves(b: GraphBuilder, draw: Draw, y: Value) -> Value:
    """Two pieces of the channels, one negated, in the opposite order."""
    del draw
    first, second = b.add_all(Split(axis=3), y, ints(1, 2), names=("", ""))
    return b.add(Concat(axis=-1), second, b.add(Neg(), first))


def chosen(b: GraphBuilder, draw: Draw, y: Value) -> Value:
    """Elements where another input is true, numbers elsewhere."""
    mask = b.add(Cast(to=DataType.BOOL), b.add(LAST, b.input("mask", shape=("N", 1, "H", "W"))))
    return b.add(Where(), mask, y, draw.weight(3))


def joined_with_constant(b: GraphBuilder, draw: Draw, y: Value) -> Value:
    """A constant image beside it, of as many axes."""
    return b.add(Concat(axis=3), y, draw.weight(2, 5, 4, 2))


def returned(b: GraphBuilder, draw: Draw, y: Value) -> Value:
    """A value that the graph returns too."""
    del draw
    y = b.add(Relu(), y)
    b.output(y, name="between")
    return y


def leaves(b: GraphBuilder, draw: Draw, y: Value) -> Value:
    """A value that something else takes back as well."""
    del draw
    y = b.add(Relu(), y)
    b.output(b.add(FIRST, y), name="also_back")
    return y


def leaves_elsewhere(b: GraphBuilder, draw: Draw, y: Value) -> Value:
    """A value of which another Transpose makes something else."""
    del draw
    y = b.add(Relu(), y)
    b.output(b.add(Transpose(perm=(3, 0, 2, 1)), y), name="elsewhere")
    return y


def convolved(b: GraphBuilder, draw: Draw, y: Value) -> Value:
    """What is in this order already, brought into the other by two Transposes, and added again."""
    weight = draw.weight(4, 4, 1, 1)
    made = b.add(Conv.of(2), y, weight)
    b.output(b.add(FIRST, b.add(Neg(), made)), name="first")
    return b.add(Abs(), made)


EXAMPLES = {
    "an activation": around(Relu()),
    "a row of them": around(
        LeakyRelu(alpha=0.5), with_numbers(Add(), np.float32(2)), with_numbers(Clip(), np.float32(-1))
    ),
    "a number a channel": around(with_weight(Mul(), 3), with_weight(Sub(), 3, first=True)),
    "a number a row": around(with_weight(Add(), 5, 1, 1), shape=("N", 3, 5, 4)),
    "numbers of all axes": around(with_weight(Mul(), 1, 1, 1, 3)),
    "slopes": around(with_weight(PRelu(), 1, 1, 3)),
    "a sum of two": around(with_another(Add(), turned=True)),
    "a sum with what has to be brought": around(with_another(Add(), turned=False)),
    "a sum of three": around(with_another(Sum(), turned=True), with_weight(Sum(), 3)),
    "a choice": around(chosen),
    "joined": around(with_another(Concat(axis=-1), turned=True)),
    "joined with a constant": around(joined_with_constant, shape=(2, 3, 5, 4)),
    "split and joined": around(halves),
    "a slice": around(with_numbers(Slice(), ints(1), ints(3), ints(-1))),
    "a slice of the first axes, 32-bit": around(
        with_numbers(Slice(), np.array([0, 1], np.int32), np.array([9, 3], np.int32))
    ),
    "padded": around(with_numbers(Pad(mode="edge"), ints(0, 1, 0, 0, 0, 2, 3, 0))),
    "padded along axes": around(with_numbers(Pad(), ints(1, 2), np.float32(3), ints(-3))),
    "gathered": around(with_numbers(Gather(axis=3), ints(2, 0, 1, 1))),
    "a maximum along an axis": around(with_numbers(ReduceMax(), ints(-1))),
    "a sum along all": around(ReduceSum()),
    "the mean of what remains": around(with_numbers(ReduceSum(keepdims=0), ints(1, 2)), Relu(), back=None),
    "back in another order": around(Relu(), back=Transpose(perm=(0, 2, 1, 3)), opset=13),
    "and on to two": around(leaves_elsewhere),
    "and back twice": around(leaves),
    "also returned": around(returned),
    "from what reads it twice": around(convolved, shape=("N", 3, 4, "W")),
    "reversed": around(Relu(), there=Transpose(), back=Transpose(), shape=("N", 3, "L")),
    "swapped, with itself": around(
        lambda b, _, y: b.add(Mul(), y, y),
        there=Transpose(perm=(1, 0)),
        back=Transpose(perm=(1, 0)),
        shape=("N", 3),
    ),
    "along an axis": around(Softmax(axis=-1)),
    "after a maximum instead of before": around(
        with_numbers(ReduceMax(), ints(1)), shape=("N", 3, 5, 4), back=None
    ),
    "before what makes it larger": around(
        with_weight(MatMul(), 3, 3), with_numbers(Pad(), ints(0, 3, 0, 0, 0, 3, 0, 0)), shape=("N", 3, 5, 4)
    ),
    "whole numbers": around(Neg(), with_numbers(Add(), ints(1, 2, 3)), dtype=DataType.INT64),
}

NEAR_MISSES = {
    "fewer_transposes_remain": [
        around(Relu(), back=None),
        around(with_another(Add(), turned=False), back=None),
        around(with_weight(MatMul(), 3, 3), Relu()),
        around(with_another(Add(), turned=False), with_another(Mul(), turned=False, name="more")),
    ],
}


def test_what_only_other_opsets_can_say_stays() -> None:
    graph = around(Softmax(axis=-1), opset=11)(Draw(dyadic=True))
    assert not Pipeline([RemoveTransposesAround()]).run(graph)[1].applications


@pytest.mark.parametrize(("opset", "applied"), [(16, 0), (17, 1)])
def test_a_mean_that_may_start_a_layer_norm_stays_where_onnxruntime_looks_for_it(
    opset: int, applied: int
) -> None:
    graph = around(with_numbers(ReduceMean(), ints(-1)), opset=opset)(Draw(dyadic=True))
    assert len(Pipeline([RemoveTransposesAround()]).run(graph)[1].applications) == applied


def test_a_network_of_many_is_done_at_once() -> None:
    graph = around(halves, with_weight(Mul(), 3), with_another(Add(), turned=True))(Draw(dyadic=True))
    result, trace = Pipeline([RemoveTransposesAround()]).run(graph)
    assert len(trace.applications) == 1
    assert not any(isinstance(result.op(node), Transpose) for node in result.nodes())


def random_network(seed: int) -> Graph:
    """Values in either order that meet, part and change places at random."""
    rng = np.random.default_rng(seed)
    b = GraphBuilder("g", opset=18)
    orders = {False: [b.input("x", shape=(2, 3, 4, 5))], True: [b.input("z", shape=(2, 4, 5, 3))]}
    for _ in range(14):
        last = bool(rng.integers(2))
        x, y = (orders[last][rng.integers(len(orders[last]))] for _ in range(2))
        made = {
            0: lambda x=x, last=last: b.add(FIRST if last else LAST, x),
            1: lambda x=x: b.add(Relu(), x),
            2: lambda x=x, y=y: b.add(Add(), x, y),
            3: lambda x=x: b.add(MatMul(), x, np.eye(b.type(x).dim(-1) or 1, dtype=np.float32)[::-1].copy()),
            4: lambda x=x, last=last: b.add(
                Mul(), x, np.array([2, -1, 1], np.float32).reshape((3,) if last else (3, 1, 1))
            ),
        }[int(rng.choice(5, p=[0.4, 0.2, 0.2, 0.1, 0.1]))]()
        orders[last != (b.type(made).shape != b.type(x).shape)].append(made)
    for number, value in enumerate((orders[False][-1], orders[True][-1])):
        b.output(b.add(Neg(), value), name=f"y{number}")
    return b.build()


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_mean_the_same_with_fewer(seed: int) -> None:
    graph = random_network(seed)
    steps = Pipeline([Repeat(RemoveTransposesAround(), ComposeTransposes())])
    result, trace = steps.run(graph)
    assert not difference(graph, result, dyadic=True)
    assert work_to_transpose(result) <= work_to_transpose(graph)
    assert not steps.run(result)[1].applications
    assert len(trace.applications) <= len(graph)


def test_axes_of_unknown_number_are_left_alone() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]> g (int64[N] s, float[A, B, C] x) => (float y) {
        r = Reshape(x, s) t = Transpose(r) a = Relu(t) y = Transpose(a) }"""
    _, trace = Pipeline([RemoveTransposesAround()]).run(from_onnx(onnx.parser.parse_model(text)))
    assert not trace.applications
