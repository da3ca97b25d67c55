"""Tables for respell-affine-as-conv, and what is left of it where neighbours can take the numbers."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.compiler.optimize import optimize
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, BatchNormalization, Conv, Div, LeakyRelu, Mul, Op, Relu, Sub
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import Pipeline, RespellAffineAsConv

WIDE = 64
Step = Callable[[GraphBuilder, Draw, Value], Value]


def by(op: Op, *shape: int, first: bool = False, number: float | None = None, given: bool = False) -> Step:
    """An operation with numbers of a shape, (C, 1, 1) unless told, or all the same; perhaps ``first``."""

    def step(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        array = draw.factor(*(shape or (WIDE, 1, 1)), dtype=b.type(x).dtype.numpy)
        if number is not None:
            array[...] = number
        other: Operand = b.overridable("given", array) if given else array
        return b.add(op, *((other, x) if first else (x, other)), node=op.label)

    return step


def norm(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A normalisation."""
    statistics = [draw.factor(WIDE), draw.weight(WIDE), draw.weight(WIDE), draw.variance(WIDE)]
    return b.add(BatchNormalization(epsilon=draw.epsilon), x, *statistics, node="norm")


def normalised(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A normalisation, and an activation that only a convolution carries in blocks."""
    return b.add(LeakyRelu(alpha=0.25), norm(b, draw, x))


def trained(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A normalisation by statistics of the batch."""
    statistics = [draw.factor(WIDE), draw.weight(WIDE), draw.weight(WIDE), draw.variance(WIDE)]
    return b.add_all(BatchNormalization(training_mode=1), x, *statistics)[0]


def read_again(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A scale that something else reads as well."""
    scaled = by(Mul())(b, draw, x)
    b.output(b.add(Conv.of(2), scaled, draw.weight(60, WIDE, 1, 1)))
    return by(Add())(b, draw, scaled)


def affine(
    *steps: Step,
    spatial: Sequence[Dim] = (28, 20),
    batch: Dim = "N",
    dtype: type = np.float32,
    bare: bool = False,
) -> Callable[[Draw], Graph]:
    """Steps after a residual sum, then a Relu and a convolution; ``bare``: of the input, and returned."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=(batch, WIDE, *spatial), dtype=DataType.of(np.dtype(dtype)))
        rank = len(spatial)
        kernel = (1,) * rank
        y = x
        if not bare:
            y = b.add(Conv.of(rank), x, draw.weight(WIDE, WIDE, *kernel, dtype=dtype))
            y = b.add(
                Relu(),
                b.add(Add(), y, b.add(Conv.of(rank), y, draw.weight(WIDE, WIDE, *kernel, dtype=dtype))),
            )
        for step in steps:
            y = step(b, draw, y)
        if not bare:
            y = b.add(
                Conv.of(rank, pads=1), b.add(Relu(), y), draw.weight(60, WIDE, *(3,) * rank, dtype=dtype)
            )
        b.output(y, name="y")
        return b.build()

    return build


EXAMPLES = {
    "scale and shift": affine(by(Mul()), by(Add())),
    "shift": affine(by(Add())),
    "shift, left": affine(by(Add(), first=True)),
    "a number for all": affine(by(Add(), 1)),
    "four axes": affine(by(Add(), 1, WIDE, 1, 1)),
    "scale and difference": affine(by(Mul()), by(Sub())),
    "difference from numbers": affine(by(Mul()), by(Sub(), first=True)),
    "quotient": affine(by(Div()), by(Add())),
    "what is scaled is read again": affine(read_again),
    "quotient alone": affine(by(Div())),
    "a factor for all": affine(by(Mul(), 1)),
    "normalisation": affine(normalised),
    "open size": affine(by(Mul()), by(Add()), spatial=("H", "W")),
}

NEAR_MISSES = {
    "the_numbers_are_finite": [affine(by(Div(), number=1e-40), by(Add()))],
    "it_is_cheaper_on_the_target": [affine(by(Add()), bare=True), affine(by(Mul()), by(Add()), bare=True)],
}


@pytest.mark.parametrize(
    "graph",
    [
        affine(by(Mul())),
        affine(by(Add(), 28, 20)),
        affine(by(Add(), WIDE, 28, 20)),
        affine(by(Add(), given=True)),
        affine(by(Add()), spatial=(28,)),
        affine(norm),
        affine(trained),
        affine(by(Add()), dtype=np.float64),
    ],
)
def test_anything_else_is_left_alone(graph: Callable[[Draw], Graph]) -> None:
    _, trace = Pipeline([RespellAffineAsConv()]).run(graph(Draw(dyadic=True)))
    assert not trace.applications
    assert not trace.refusals


def test_what_the_next_convolution_takes_becomes_none_of_its_own() -> None:
    draw = Draw(dyadic=False)
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=(1, WIDE, 28, 20))
    y = b.add(Add(), b.add(Conv.of(2), b.add(Relu(), x), draw.weight(WIDE, WIDE, 1, 1)), x)
    b.output(b.add(Conv.of(2), by(Add())(b, draw, y), draw.weight(60, WIDE, 1, 1)), name="y")
    result = optimize(to_onnx(b.build()), verify=False)
    groups = [op.group for n in result.graph.compute_nodes() if isinstance(op := result.graph.op(n), Conv)]
    assert groups == [1, 1]


def test_an_affine_layer_and_its_activation_become_one_convolution() -> None:
    result = optimize(to_onnx(affine(by(Mul()), by(Add()))(Draw(dyadic=False))))
    assert result.verification is not None
    assert result.verification.equal
    graph = result.graph
    made = [op for n in graph.compute_nodes() if isinstance(op := graph.op(n), Conv) and op.group > 1]
    assert made == [replace(Conv.of(2, group=WIDE), activation=Relu())]
    assert not optimize(result.proto, verify=False).changed
