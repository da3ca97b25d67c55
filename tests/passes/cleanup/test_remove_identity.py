"""Tables for remove-identity."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import (
    Abs,
    Cast,
    Concat,
    Expand,
    Flatten,
    Identity,
    Max,
    Mean,
    Min,
    Op,
    Opaque,
    Pad,
    Reshape,
    Slice,
    Squeeze,
    Sum,
    Transpose,
    Unsqueeze,
)
from convgraph.ir.tensor import DataType, Dim, TensorType
from convgraph.passes.cleanup.remove_identity import RemoveIdentity
from convgraph.passes.pipeline import Pipeline


def between(op: Op, *, shape: Sequence[Dim] = ("N", 3, "H", "W")) -> Callable[[Draw], Graph]:
    """An operation between two others."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=shape)
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
    "Reshape to the shape there is": numbered(Reshape(), [2, 3, 5, 7], shape=(2, 3, 5, 7)),
    "Reshape that copies all sizes but one": numbered(Reshape(), [0, 0, 0, -1]),
    "Flatten of a matrix": numbered(Flatten(), shape=("N", 3)),
    "Squeeze of what there is not": between(Squeeze(), shape=(4, 3)),
    "Unsqueeze of no axis": numbered(Unsqueeze(), [], shape=("N", 3)),
    "Transpose of axes of one": numbered(Transpose(perm=(0, 2, 1)), shape=("N", 1, 1)),
    "Expand to ones": numbered(Expand(), [1, 1]),
    "Expand to the shape there is": numbered(Expand(), [2, 1, 5], shape=(3, 2, 4, 5)),
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
        (Reshape(), [[0, 3, -1, 1]]),
        (Flatten(), []),
        (Unsqueeze(), [[1]]),
        (Squeeze(), [[]]),  # of all axes of one, say some runtimes
        (Expand(), [[2, 1, 1, 1]]),  # N may be 1
    ],
)
def test_what_changes_something_stays(op: Op, numbers: Sequence[Sequence[int]]) -> None:
    graph = numbered(op, *numbers)(Draw(dyadic=True))
    _, trace = Pipeline([RemoveIdentity()]).run(graph)
    assert not trace.applications


def test_one_size_that_nobody_knows_stays() -> None:
    graph = numbered(Reshape(), [0, -1, 4], shape=("N", None, 4))(Draw(dyadic=True))
    assert len(Pipeline([RemoveIdentity()]).run(graph)[1].applications) == 1
    graph = numbered(Reshape(), [0, -1, 4], shape=(None, None, 4))(Draw(dyadic=True))
    assert not Pipeline([RemoveIdentity()]).run(graph)[1].applications


def test_an_expand_to_sizes_that_are_not_known_stays() -> None:
    """It may turn out not to run."""
    b = GraphBuilder("g", opset=17)
    sizes = b.input("sizes", shape=(1,), dtype=DataType.INT64)
    b.output(b.add(Abs(), b.add(Expand(), b.add(Abs(), b.input("x", shape=(2, 3))), sizes)), name="y")
    assert not Pipeline([RemoveIdentity()]).run(b.build())[1].applications


def test_an_expand_to_sizes_that_were_measured_goes() -> None:
    """Whatever sizes those are, they are its own."""
    b = GraphBuilder("g", opset=17)
    x = b.add(Abs(), b.input("x", shape=("N", 3, "H")))
    (sizes,) = b.add_all(Opaque(op_type="Shape", arity=1), x, types=[TensorType(DataType.INT64, shape=(3,))])
    b.output(b.add(Abs(), b.add(Expand(), x, sizes)), name="y")
    result, trace = Pipeline([RemoveIdentity()]).run(b.build())
    assert len(trace.applications) == 1
    assert [result.op(node).label for node in result.compute_nodes()] == ["Abs", "Abs"]
