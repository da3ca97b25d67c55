"""Tables for drop-unread-values."""

from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Abs, Conv, Relu


def branch(draw: Draw) -> Graph:
    """A branch of several operations, with its constants, leads nowhere."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", 3, "H", "W"))
    b.add(Relu(), b.add(Conv.of(2, pads=1), x, draw.weight(4, 3, 3, 3)))
    b.output(b.add(Abs(), x), name="y")
    return b.build()


def constant(draw: Draw) -> Graph:
    """A constant that nothing reads."""
    b = GraphBuilder("g", opset=17)
    b.constant(draw.weight(3, 4), name="unread")
    b.output(b.add(Abs(), b.input("x", shape=(2, "W"))), name="y")
    return b.build()


def unused_input(draw: Draw) -> Graph:
    """A graph input that nothing reads."""
    del draw
    b = GraphBuilder("g", opset=17)
    b.input("unused", shape=(3, "H"))
    b.output(b.add(Abs(), b.input("x", shape=(2, "W"))), name="y")
    return b.build()


def unused_default(draw: Draw) -> Graph:
    """An overridable initializer that nothing reads."""
    b = GraphBuilder("g", opset=17)
    b.overridable("unused", draw.weight(3))
    b.output(b.add(Abs(), b.input("x", shape=(2, "W"))), name="y")
    return b.build()


EXAMPLES = {"branch": branch, "constant": constant}
NEAR_MISSES = {"it_is_no_graph_input": [unused_input, unused_default]}
