"""Tables for remove-identity."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Abs, Cast, Concat, Identity, Max, Mean, Min, Op, Pad, Slice, Sum, Transpose
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes.cleanup.remove_identity import RemoveIdentity
from convgraph.passes.pipeline import Pipeline


def between(op: Op) -> Callable[[Draw], Graph]:
    """An operation between two others."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=("N", 3, "H", "W"))
        b.output(b.add(Abs(), b.add(op, b.add(Abs(), x, name="before"))), name="y")
        return b.build()

    return build


def from_the_input(draw: Draw) -> Graph:
    """The source is a graph input, the result is read by an operation."""
    del draw
    b = GraphBuilder("g", opset=17)
    b.output(b.add(Abs(), b.add(Identity(), b.input("x", shape=(2, "W")))), name="y")
    return b.build()


def to_the_output(draw: Draw) -> Graph:
    """The result is a graph output, the source is computed and read elsewhere too."""
    del draw
    b = GraphBuilder("g", opset=17)
    source = b.add(Abs(), b.input("x", shape=(2, "W")))
    b.output(b.add(Identity(), source), name="y")
    b.output(b.add(Cast(to=DataType.DOUBLE), source), name="z")
    return b.build()


def input_to_output(draw: Draw) -> Graph:
    """The graph returns its input under another name."""
    del draw
    b = GraphBuilder("g", opset=17)
    b.output(b.add(Identity(), b.input("x", shape=(2, "W"))), name="y")
    return b.build()


def constant_to_output(draw: Draw) -> Graph:
    """The graph returns a constant under another name."""
    b = GraphBuilder("g", opset=17)
    b.output(b.add(Abs(), b.input("x", shape=(2, "W"))), name="y")
    b.output(b.add(Identity(), draw.weight(2, 3)), name="z")
    return b.build()


def output_to_output(draw: Draw) -> Graph:
    """The graph returns one value under two names."""
    del draw
    b = GraphBuilder("g", opset=17)
    source = b.add(Abs(), b.input("x", shape=(2, "W")))
    b.output(source, name="y")
    b.output(b.add(Identity(), source), name="z")
    return b.build()


def numbered(
    op: Op, *numbers: Sequence[int], shape: Sequence[Dim] = ("N", 3, "H", "W")
) -> Callable[[Draw], Graph]:
    """An operation with lists of numbers for operands, between two others."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=17)
        before = b.add(Abs(), b.input("x", shape=shape), name="before")
        b.output(b.add(Abs(), b.add(op, before, *(np.array(n, np.int64) for n in numbers))), name="y")
        return b.build()

    return build


FAR = 2**63 - 1

EXAMPLES = {
    "Identity": between(Identity()),
    "Cast to the same type": between(Cast(to=DataType.FLOAT)),
    "Concat of one": between(Concat(axis=1)),
    "Sum of one": between(Sum()),
    "Max of one": between(Max()),
    "Min of one": between(Min()),
    "Mean of one": between(Mean()),
    "Transpose that keeps the order": between(Transpose(perm=(0, 1, 2, 3))),
    "Slice of everything": numbered(Slice(), [0, 0], [FAR, FAR], [0, -1]),
    "Slice up to the size": numbered(Slice(), [0], [3], [1], [1]),
    "Slice beyond both ends": numbered(Slice(), [-9, -3], [9, 99], [2, 1], shape=("N", 3, 5, 7)),
    "Pad with nothing": numbered(Pad(mode="reflect"), [0] * 8),
    "from the input": from_the_input,
    "to the output": to_the_output,
    "a constant to the output": constant_to_output,
}

NEAR_MISSES = {"the_names_of_the_interface_stay": [input_to_output, output_to_output]}


@pytest.mark.parametrize(
    ("op", "numbers"),
    [
        (Slice(), [[0], [FAR], [2], [2]]),
        (Slice(), [[FAR], [-FAR], [2], [-1]]),
        (Slice(), [[-1], [-FAR], [1], [-1]]),
        (Slice(), [[0], [7], [2]]),  # as many as H may be
        (Slice(), [[-7], [FAR], [2]]),
        (Slice(), [[0, 0], [FAR, -1], [0, 3]]),
        (Slice(), [[0], [2], [1]]),
        (Pad(), [[0, 0, 1, 0, 0, 0, -1, 0]]),
        (Transpose(perm=(0, 1, 3, 2)), []),
    ],
)
def test_what_changes_something_stays(op: Op, numbers: Sequence[Sequence[int]]) -> None:
    graph = numbered(op, *numbers)(Draw(dyadic=True))
    _, trace = Pipeline([RemoveIdentity()]).run(graph)
    assert not trace.applications
