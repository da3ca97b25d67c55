"""Tables for compose-reshapes."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph
from convgraph.ir.ops import (
    Abs,
    Add,
    Clip,
    Flatten,
    LeakyRelu,
    Op,
    Relu,
    Reshape,
    Squeeze,
    Transpose,
    Unsqueeze,
)
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import ComposeReshapes, Pipeline

Step = tuple[Op, *tuple[Sequence[int], ...]] | tuple[Op, Operand]
SIZES: tuple[Dim, ...] = ("N", 3, "H", "W")
ABS: Step = (Abs(),)


def reshape(*sizes: int, allowzero: int = 0) -> Step:
    """A Reshape to these sizes."""
    return Reshape(allowzero=allowzero), sizes


def squeeze(*axes: int) -> Step:
    """A Squeeze of these axes."""
    return Squeeze(), axes


def unsqueeze(*axes: int) -> Step:
    """An Unsqueeze that makes these axes."""
    return Unsqueeze(), axes


def arranged(
    *steps: Step,
    shape: Sequence[Dim] = SIZES,
    dtype: DataType = DataType.FLOAT,
    returned: int | None = None,
    to_output: bool = False,
    computed: bool = False,
) -> Callable[[Draw], Graph]:
    """Steps in a row between two operations.

    ``returned`` is the number of one whose result is a graph output too; ``to_output`` leaves out the
    operations at the ends; ``computed`` gives the last step its numbers as a graph input.
    """

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=shape, dtype=dtype)
        y = x if to_output else b.add(Abs(), x)
        for number, (op, *rest) in enumerate(steps):
            given = [np.array(one, np.int64) if isinstance(one, tuple) else one for one in rest]
            if computed and number == len(steps) - 1:
                given = [b.overridable("numbers", np.array(rest[0], np.int64))]
            y = b.add(op, y, *given)
            if number == returned:
                b.output(y, name="returned")
        b.output(y if to_output else b.add(Abs(), y), name="y")
        return b.build()

    return build


EXAMPLES = {
    "two reshapes": arranged(reshape(0, 3, -1), reshape(-1, 3, 2, 5), shape=("N", 3, 5, 2)),
    "an open size stays": arranged(reshape(0, -1), reshape(0, 3, 10), shape=("N", 3, 5, 2)),
    "and back, of sizes known": arranged(reshape(2, 12), reshape(2, 3, 4), shape=(2, 3, 4)),
    "and back, of one open size": arranged(reshape(3, -1), reshape(0, 2, -1), shape=(3, 2, "L")),
    "flatten and reshape": arranged((Flatten(axis=2),), reshape(-1, 3, 5, 2), shape=("N", 3, 5, 2)),
    "squeeze and unsqueeze": arranged(squeeze(2), unsqueeze(-2), shape=("N", 3, 1, "W")),
    "unsqueeze and squeeze": arranged(unsqueeze(2), squeeze(2)),
    "two unsqueezes, all sizes open": arranged(unsqueeze(1), unsqueeze(-1), shape=("N", "H", "W")),
    "two squeezes": arranged(squeeze(-1), squeeze(1), shape=("N", 1, "W", 1)),
    "squeeze and reshape": arranged(squeeze(3), reshape(0, 6, -1), shape=("N", 3, 4, 1)),
    "a Transpose of one channel": arranged(
        (Transpose(perm=(0, 2, 3, 1)),), squeeze(3), shape=("N", 1, "H", "W")
    ),
    "a flattened pixel": arranged((Transpose(perm=(0, 2, 3, 1)),), (Flatten(),), shape=("N", 3, 1, 1)),
    "what is pointwise between": arranged(
        reshape(0, 3, -1),
        (Relu(),),
        (Add(), 2.0),
        (LeakyRelu(alpha=0.5),),
        reshape(0, 3, 5, 2),
        shape=("N", 3, 5, 2),
    ),
    "a Clip between": arranged(squeeze(2), (Clip(), -1.0), (Flatten(),), shape=("N", 3, 1, 2)),
    "three in a row": arranged(unsqueeze(1), reshape(0, 3, -1), (Flatten(),), shape=("N", 3, 5, 2)),
    "whole numbers": arranged(reshape(0, -1), reshape(0, 3, 10), shape=("N", 3, 5, 2), dtype=DataType.INT64),
    "input to output": arranged(reshape(0, -1), reshape(0, 3, 10), shape=("N", 3, 5, 2), to_output=True),
    "the first is also returned": arranged(squeeze(2), unsqueeze(2), shape=("N", 3, 1, "W"), returned=0),
    "the first is also returned, and read by what comes between": arranged(
        squeeze(2), ABS, unsqueeze(2), shape=("N", 3, 1, "W"), returned=0
    ),
    "the first is also returned, and something comes between input and output": arranged(
        squeeze(2), ABS, unsqueeze(2), shape=("N", 3, 1, "W"), returned=0, to_output=True
    ),
    "the same input, at the output": arranged(squeeze(2), unsqueeze(2), shape=("N", 3, 1, 4), to_output=True),
}

NEAR_MISSES = {
    "one_operation_does_it": [
        arranged(unsqueeze(0), reshape(3, 2, 0, 0, 1), shape=(3, "H", "W", 2)),
        arranged(reshape(0, -1), reshape(0, 3, 10), shape=("N", 3, 5, 2), computed=True),
    ],
    "the_numbers_between_have_few_axes": [
        arranged(
            reshape(0, 3, 2, 5), (Add(), np.full((1, 1, 1), 2, np.float32)), reshape(0, 30), shape=("N", 30)
        ),
    ],
    "nothing_else_reads_what_lies_between": [
        arranged(reshape(0, -1), reshape(0, 6, 5), shape=("N", 3, 5, 2), returned=0),
        arranged(squeeze(2), ABS, unsqueeze(2), shape=("N", 3, 1, "W"), returned=1),
        arranged(squeeze(2), unsqueeze(2), shape=("N", 3, 1, 4), returned=0, to_output=True),
    ],
}


@pytest.mark.parametrize(
    "steps",
    [
        (reshape(0, 3, -1), (Abs(),)),
        ((Transpose(perm=(0, 2, 3, 1)),), reshape(0, -1, 3)),  # it moves more than an axis of one
        (reshape(0, 3, -1), (Add(), np.ones(3, np.float32).reshape(3, 1)), reshape(0, 3, 10)),
    ],
)
def test_what_changes_the_order_or_differs_along_an_axis_stays(steps: tuple[Step, ...]) -> None:
    graph = arranged(*steps, shape=("N", 3, 5, 2))(Draw(dyadic=True))
    assert not Pipeline([ComposeReshapes()]).run(graph)[1].applications


def test_axes_that_are_turned_twice_are_left_to_another() -> None:
    turned = (Transpose(perm=(0, 2, 1, 3)),)
    graph = arranged(turned, turned, shape=("N", 3, 1, 2))(Draw(dyadic=True))
    assert not Pipeline([ComposeReshapes()]).run(graph)[1].applications
