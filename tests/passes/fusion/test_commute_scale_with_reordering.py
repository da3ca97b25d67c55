"""Tables for commute-scale-with-reordering."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Add,
    Conv,
    DepthToSpace,
    Div,
    Flatten,
    Gemm,
    MatMul,
    Mul,
    Neg,
    Op,
    Relu,
    Reshape,
    SpaceToDepth,
    Squeeze,
    Transpose,
    Unsqueeze,
)
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import Pipeline
from convgraph.passes.fusion.commute_scale_with_reordering import CommuteScaleWithReordering

Step = Callable[[GraphBuilder, Draw, Value], Value]


def on(op: Op, *parameters: Sequence[int]) -> Step:
    """An operation with whole numbers as its other operands."""
    return lambda b, _, x: b.add(op, x, *(np.array(numbers, np.int64) for numbers in parameters))


def by(op: Op, *shape: int, left: bool = False) -> Step:
    """X times or over a constant of a shape; the constant on the left if asked."""

    def step(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        c = b.constant(draw.factor(*shape, dtype=b.type(x).dtype.numpy), name="c")
        return b.add(op, c, x) if left else b.add(op, x, c)

    return step


def product(op: Op, *shape: int, overridable: bool = False, added: int = 0) -> Step:
    """An operation with a weight of a shape, and a bias added to it if asked."""

    def step(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        weight = draw.weight(*shape, dtype=b.type(x).dtype.numpy)
        y = b.add(op, x, b.overridable("weight", weight) if overridable else weight)
        return b.add(Add(), draw.weight(added), y) if added else y

    return step


def chain(
    *steps: Step, shape: Sequence[Dim] = ("N", 4, "H", 5), dtype: type = np.float32, read: int | None = None
) -> Callable[[Draw], Graph]:
    """The steps one after the other; what that numbered ``read`` makes is read by something else, too."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=shape, dtype=DataType.of(np.dtype(dtype)))
        for number, step in enumerate(steps):
            x = step(b, draw, x)
            if number == read:
                b.output(b.add(Neg(), x), name="between")
        b.output(x, name="y")
        return b.build()

    return build


CONV = product(Conv.of(2, pads=1), 8, 4, 3, 3)
TURN = on(Transpose(perm=(0, 2, 3, 1)))
HEADS = on(Reshape(), [0, 6, 2, 3])

EXAMPLES = {
    "transposed": chain(CONV, TURN, by(Mul())),
    "attention": chain(
        product(MatMul(), 5, 6, added=6),
        HEADS,
        on(Transpose(perm=(0, 2, 1, 3))),
        by(Div()),
        shape=("N", 6, 5),
    ),
    "number left, with axes": chain(CONV, on(Flatten(axis=2)), by(Mul(), 1, 1, left=True)),
    "a rank higher": chain(
        product(Gemm(), 4, 6), on(Unsqueeze(), [0, 2]), by(Mul(), 1, 1, 1), shape=("N", 4)
    ),
    "a rank lower": chain(product(Conv.of(1), 6, 4, 1), on(Squeeze(), [2]), by(Div()), shape=(3, 4, 1)),
    "blocks": chain(CONV, on(DepthToSpace(blocksize=2)), on(SpaceToDepth(blocksize=2)), by(Mul())),
    "two factors": chain(CONV, TURN, by(Mul()), by(Div()), by(Mul(), 8)),
    "half": chain(CONV, TURN, by(Div()), dtype=np.float16),
    "double": chain(CONV, TURN, by(Mul()), dtype=np.float64),
}

NEAR_MISSES = {
    "nothing_else_reads_what_is_between": [
        chain(CONV, TURN, by(Mul()), read=1),
        chain(CONV, TURN, on(Flatten()), by(Mul()), read=1),
    ],
}

LEFT_ALONE = {
    "a number for each column": chain(CONV, TURN, by(Mul(), 8)),
    "divided by": chain(CONV, TURN, by(Div(), left=True)),
    "no reordering": chain(CONV, by(Mul())),
    "nothing with weights": chain(on(Relu()), TURN, by(Mul())),
    "weights from outside": chain(product(Conv.of(2), 8, 4, 3, 3, overridable=True), TURN, by(Mul())),
    "a matrix from outside": chain(
        product(MatMul(), 5, 6, overridable=True), HEADS, by(Mul()), shape=("N", 6, 5)
    ),
    "a vector": chain(product(MatMul(), 5), on(Flatten()), by(Mul()), shape=("N", 6, 5)),
    "whole numbers": chain(product(MatMul(), 5, 6), HEADS, by(Mul()), shape=("N", 6, 5), dtype=np.int64),
    "read elsewhere": chain(CONV, TURN, by(Mul()), read=0),
    "read before its bias": chain(
        product(MatMul(), 5, 6), product(Add(), 6), HEADS, by(Mul()), shape=("N", 6, 5), read=0
    ),
}


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_a_factor_that_nothing_takes_stays(name: str) -> None:
    graph = LEFT_ALONE[name](Draw(dyadic=True))
    assert not Pipeline([CommuteScaleWithReordering()]).run(graph)[1].applications


def test_a_fused_activation_does_not_take_it() -> None:
    steps = (product(replace(Conv.of(2), activation=Relu()), 8, 4, 3, 3), TURN, by(Mul()))
    graph = chain(*steps)(Draw(dyadic=True))
    assert not Pipeline([CommuteScaleWithReordering()]).run(graph)[1].applications
