"""Tables for remove-identity."""

from collections.abc import Callable

from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Abs, Cast, Concat, Identity, Max, Mean, Min, Op, Sum, Transpose
from convgraph.ir.tensor import DataType


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


EXAMPLES = {
    "Identity": between(Identity()),
    "Cast to the same type": between(Cast(to=DataType.FLOAT)),
    "Concat of one": between(Concat(axis=1)),
    "Sum of one": between(Sum()),
    "Max of one": between(Max()),
    "Min of one": between(Min()),
    "Mean of one": between(Mean()),
    "Transpose that keeps the order": between(Transpose(perm=(0, 1, 2, 3))),
    "from the input": from_the_input,
    "to the output": to_the_output,
    "a constant to the output": constant_to_output,
}

NEAR_MISSES = {"the_names_of_the_interface_stay": [input_to_output, output_to_output]}
