"""Tables for remove-idle-choice."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Abs, And, Max, Min, Neg, Not, Op, Or, Sum, Where, Xor
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes.cleanup.remove_idle_choice import RemoveIdleChoice
from convgraph.passes.pipeline import Pipeline

OPEN = ("N", 3, "H", "W")


def of_the_same(op: Op, count: int = 2, *, dtype: type = np.float32) -> Callable[[Draw], Graph]:
    """An operation on the same value, so many times."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=17)
        around = Not() if dtype is bool else Abs()
        x = b.add(around, b.input("x", shape=OPEN, dtype=DataType.of(np.dtype(dtype))))
        b.output(b.add(around, b.add(op, *[x] * count)), name="y")
        return b.build()

    return build


def known(
    *truths: bool,
    size: Sequence[int] = (),
    other: Sequence[Dim] | None = OPEN,
    shape: Sequence[Dim] = OPEN,
    between: bool = True,
) -> Callable[[Draw], Graph]:
    """A Where on a constant condition, of the size or the first of the axes, and on two values."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=17)
        values = [b.input("x", shape=shape), b.input("z", shape=other)]
        if between:
            values = [b.add(Neg(), value) for value in values]
        condition = np.resize(np.array(truths), size or (1, 1, len(truths)))
        y = b.add(Where(), condition, *values)
        b.output(b.add(Abs(), y) if between else y, name="y")
        return b.build()

    return build


def same(*size: Dim, between: bool = True) -> Callable[[Draw], Graph]:
    """A Where between a value and itself, on a condition of a shape."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=OPEN)
        condition = b.input("c", shape=size, dtype=DataType.BOOL)
        before = b.add(Abs(), x) if between else x
        y = b.add(Where(), condition, before, before)
        b.output(b.add(Abs(), y) if between else y, name="y")
        return b.build()

    return build


def chosen(draw: Draw) -> Graph:
    """A Where of two values on a condition that the caller gives."""
    del draw
    b = GraphBuilder("g", opset=17)
    x, condition = b.input("x", shape=OPEN), b.input("c", shape=("H", 1), dtype=DataType.BOOL)
    b.output(b.add(Where(), condition, b.add(Abs(), x), b.add(Neg(), x)), name="y")
    return b.build()


EXAMPLES = {
    "Where of the same": same(*OPEN),
    "Where of the same, a condition to each row": same("H", 1),
    "Max": of_the_same(Max()),
    "Min of three": of_the_same(Min(), 3),
    "And": of_the_same(And(), dtype=bool),
    "Or": of_the_same(Or(), dtype=bool),
    "always the first": known(True),
    "always the second": known(False),
    "the first on every channel": known(True, size=(3, 1, 1)),
    "the second, the first smaller": known(False, shape=(1, "W")),
}

NEAR_MISSES = {
    "the_names_of_the_interface_stay": [same("H", 1, between=False), known(True, between=False)],
    "nothing_widens_it": [
        same("L", "N", 1, "H", "W"),
        known(True, shape=("N", 1, "H", "W")),
        known(True, size=(5, 1), shape=("N", 3, 1, "W"), other=("N", 3, 1, "W")),
        known(False, size=(3, 1, 1), shape=("N", 1, "H", "W"), other=("N", 1, "H", "W")),
    ],
}


@pytest.mark.parametrize(
    "example",
    [
        chosen,
        known(True, other=None),
        known(True, False, True, size=(3, 1, 1)),
        of_the_same(Sum()),
        of_the_same(Xor(), dtype=bool),
    ],
    ids=["a choice that is given", "one that may widen", "a choice", "a sum", "an exclusive or"],
)
def test_what_is_no_idle_choice_stays(example: Callable[[Draw], Graph]) -> None:
    _, trace = Pipeline([RemoveIdleChoice()]).run(example(Draw(dyadic=True)))
    assert not trace.applications


def test_the_larger_of_a_number_and_a_value_is_a_choice() -> None:
    b = GraphBuilder("g", opset=17)
    b.output(b.add(Max(), np.ones((), np.float32), b.input("x", shape=OPEN)), name="y")
    _, trace = Pipeline([RemoveIdleChoice()]).run(b.build())
    assert not trace.applications
