"""Tables for compose-scales-and-shifts."""

from collections.abc import Callable, Sequence

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, BatchNormalization, Div, Mul, Neg, Op, Sub
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import Pipeline
from convgraph.passes.fusion.compose_scales_and_shifts import ComposeScalesAndShifts

OPTIONS = {"size_limit": 1000}

Step = Callable[[GraphBuilder, Draw, Value], Value]


def by(op: Op, *shape: int, left: bool = False, number: float | None = None) -> Step:
    """X and a constant, drawn in a shape or one number; the constant on the left if asked."""

    def step(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        dtype = b.type(x).dtype.numpy
        drawn = draw.factor(*shape, dtype=dtype) if number is None else np.full(shape, number, dtype)
        c = b.constant(drawn, name="c")
        return b.add(op, c, x) if left else b.add(op, x, c)

    return step


def norm(*, training: bool = False, overridable: bool = False, dtype: type = np.float32) -> Step:
    """A batch normalisation of 4 channels."""

    def step(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        drawn = [draw.factor(4, dtype=dtype), *(draw.weight(4, dtype=dtype) for _ in range(2))]
        variance = draw.variance(4, dtype=dtype)
        statistics = [*drawn, b.overridable("variance", variance) if overridable else variance]
        op = BatchNormalization(epsilon=draw.epsilon, training_mode=int(training))
        names = ("", "mean", "var") if training else ("",)
        return b.add_all(op, x, *statistics, names=names)[0]

    return step


def chain(
    *steps: Step, shape: Sequence[Dim] = ("N", 4, "H", 5), dtype: type = np.float32, read: int | None = None
) -> Callable[[Draw], Graph]:
    """The steps one after the other; the result of that numbered ``read`` is returned, too."""

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


EXAMPLES = {
    "two factors": chain(by(Mul(), 4, 1, 1), by(Mul())),
    "factor and divisor": chain(by(Mul(), 4, 1, 1, left=True), by(Div(), 5)),
    "factors of unknown axes": chain(by(Mul(), 5), by(Mul(), 4, 1, 1), shape=None),
    "shift, scale, shift": chain(by(Add(), 4, 1, 1), by(Mul()), by(Sub(), 5)),
    "scale, shift, scale": chain(by(Div(), 4, 1, 1), by(Sub(), 4, 1, 1, left=True), by(Mul(), left=True)),
    "four steps": chain(by(Add()), by(Mul(), 4, 1, 1), by(Add(), 4, 1, 1), by(Mul())),
    "a rank higher": chain(by(Mul(), 1, 1), by(Add(), 1, 1, 5), by(Mul()), shape=("H", 5)),
    "two normalisations": chain(norm(), norm()),
    "normalised, scaled, shifted": chain(norm(), by(Mul(), 4, 1, 1), by(Sub(), 1, 4, 1, 1, left=True)),
    "scaled, shifted, normalised": chain(by(Div()), by(Add(), 4, 1, 1), norm()),
    "no spatial axes": chain(norm(), by(Mul(), 4), shape=("N", 4)),
    "three spatial axes": chain(norm(), by(Add(), 4, 1, 1, 1), shape=("N", 4, "H", "W", 3)),
    "half": chain(by(Mul(), 4, 1, 1), by(Div()), dtype=np.float16),
    "half, statistics in single": chain(norm(), by(Mul()), dtype=np.float16),
    "double": chain(by(Sub()), norm(dtype=np.float64), by(Div()), dtype=np.float64),
}

NEAR_MISSES = {
    "nothing_else_reads_what_is_between": [
        chain(by(Mul(), 4, 1, 1), by(Mul()), read=0),
        chain(norm(), norm(), read=0),
        chain(by(Add()), by(Mul()), by(Add(), 5), read=1),
    ],
    "the_numbers_are_real": [chain(by(Div(), number=2), by(Mul(), number=2), dtype=np.int64)],
    "a_normalisation_has_channels_beside_it": [
        chain(norm(), by(Mul(), 4), shape=("N", 4, "H", 4)),  # 4 channels and 4 columns
        chain(by(Add(), 4, 1), norm(), shape=("N", 4, 4, "W")),  # 4 channels and 4 rows
        chain(by(Mul(), 4, 1, 1), norm(), shape=("N", 1, "H", "W")),  # x has one channel, the product four
        chain(norm(), by(Mul(), 2, 1, 1, 1, 1)),
    ],
    "the_model_grows_within_the_limit": [chain(by(Mul(), 40, 1), by(Mul(), 50), shape=("N", 40, 50))],
    "the_composed_numbers_are_finite": [
        chain(by(Mul(), number=3e38), by(Mul(), number=16.0)),
        chain(by(Add(), number=60000.0), by(Mul(), number=2.0), by(Add()), dtype=np.float16),
    ],
}


def test_a_scale_and_a_shift_are_not_fewer() -> None:
    for steps in ((by(Mul()), by(Add())), (by(Sub()), by(Div()))):
        assert not Pipeline([ComposeScalesAndShifts()]).run(chain(*steps)(Draw(dyadic=True)))[1].applications


def test_what_varies_is_left_alone() -> None:
    for step in (norm(training=True), norm(overridable=True), by(Div(), 4, 1, 1, left=True)):
        graph = chain(by(Mul()), step, by(Mul(), 4, 1, 1))(Draw(dyadic=True))
        assert not Pipeline([ComposeScalesAndShifts()]).run(graph)[1].applications
