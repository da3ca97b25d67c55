"""Tables for remove-neutral-constant."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from laws.draw import Draw
from numpy.typing import DTypeLike

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Abs, Add, And, Div, Identity, Mul, Not, Op, Or, Pow, Sub, Xor
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes.cleanup.remove_neutral_constant import RemoveNeutralConstant
from convgraph.passes.pipeline import Pipeline

OPEN = ("N", 3, "H", "W")


def beside(
    op: Op,
    number: float,
    *size: int,
    left: bool = False,
    shape: Sequence[Dim] | None = OPEN,
    dtype: DTypeLike = np.float32,
    exponent: DTypeLike = None,
    between: bool = True,
    overridable: bool = False,
) -> Callable[[Draw], Graph]:
    """An operation on a value and one number everywhere, between two others unless told not."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=shape, dtype=DataType.of(np.dtype(dtype)))
        around = Not() if x and np.dtype(dtype) == bool else Abs()
        before = b.add(around, x) if between else x
        numbers = np.full(size, number, exponent or dtype)
        c = b.overridable("c", numbers) if overridable else b.constant(numbers, name="c")
        y = b.add(op, c, before) if left else b.add(op, before, c)
        b.output(b.add(around, y) if between else y, name="y")
        return b.build()

    return build


EXAMPLES = {
    "plus zero": beside(Add(), 0),
    "zero plus": beside(Add(), 0, left=True),
    "zeros of full size": beside(Add(), 0, 1, 3, 9, 7, shape=("N", 3, 9, 7)),
    "zeros along the channels": beside(Add(), 0, 3, 1, 1),
    "minus zero": beside(Sub(), 0, 1),
    "times one": beside(Mul(), 1),
    "one times": beside(Mul(), 1, 1, 1, left=True),
    "over one": beside(Div(), 1, 1, 1, 1, 1),
    "to the power one": beside(Pow(), 1),
    "to an integer power": beside(Pow(), 1, exponent=np.int64),
    "half": beside(Mul(), 1, dtype=np.float16),
    "integers": beside(Div(), 1, dtype=np.int64),
    "and true": beside(And(), 1, dtype=bool),
    "or false": beside(Or(), 0, left=True, dtype=bool),
    "exclusive or false": beside(Xor(), 0, dtype=bool),
    "a value of unknown rank": beside(Add(), 0, shape=None),
}

NEAR_MISSES = {
    "the_names_of_the_interface_stay": [beside(Add(), 0, between=False)],
    "nothing_widens_it": [
        beside(Add(), 0, 2, 1, 1, 1, 1),
        beside(Add(), 0, 5, 1, shape=("N", 3, 1, 7)),
        beside(Mul(), 1, 4, 1, 1, shape=("N", 1, "H", "W")),
    ],
}


@pytest.mark.parametrize(
    "example",
    [
        beside(Sub(), 0, left=True),
        beside(Div(), 1, left=True),
        beside(Pow(), 1, left=True),
        beside(Add(), 1),
        beside(Mul(), 0),
        beside(Add(), np.nan),
        beside(And(), 0, dtype=bool),
        beside(Or(), 1, dtype=bool),
        beside(Add(), 0, overridable=True),
        beside(Add(), 0, 0, shape=("N", 3, "H", 1)),
    ],
)
def test_what_changes_something_stays(example: Callable[[Draw], Graph]) -> None:
    _, trace = Pipeline([RemoveNeutralConstant()]).run(example(Draw(dyadic=True)))
    assert not trace.applications


def test_one_other_number_is_enough_to_stay() -> None:
    b = GraphBuilder("g")
    x = b.add(Identity(), b.input("x", shape=("N", 3, "H", "W")))
    b.output(b.add(Add(), x, np.array([0, 0, 1], np.float32).reshape(3, 1, 1)), name="y")
    _, trace = Pipeline([RemoveNeutralConstant()]).run(b.build())
    assert not trace.applications
