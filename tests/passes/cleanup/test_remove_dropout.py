"""Tables for remove-dropout."""

from collections.abc import Callable

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Abs, Dropout, Not
from convgraph.ir.tensor import DataType

Mode = Callable[[GraphBuilder], Value | None]


def no_mode(b: GraphBuilder) -> Value | None:
    """training_mode is left out."""
    del b


def constant(mode: bool) -> Mode:
    """training_mode is a constant."""
    return lambda b: b.constant(np.array(mode), name="mode")


def dropout(mode: Mode = no_mode, *, mask: str = "", opset: int = 17) -> Callable[[Draw], Graph]:
    """A Dropout of one half; ``mask`` says whether its mask is "read" or "returned"."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=opset)
        x = b.add(Abs(), b.input("x", shape=("N", 3, "H", "W")))
        names = ("dropped", "mask")[: 2 if mask else 1]
        op = Dropout() if opset < 12 else Dropout(seed=7)
        y, *masks = b.add_all(op, x, np.float32(0.5) * np.ones(()), mode(b), names=names)
        b.output(b.add(Abs(), y), name="y")
        if mask == "read":
            b.output(b.add(Not(), masks[0]), name="z")
        elif mask:
            b.output(masks[0], name="z")
        return b.build()

    return build


def at_both_ends(draw: Draw) -> Graph:
    """From a graph input straight to a graph output."""
    del draw
    b = GraphBuilder("g", opset=17)
    b.output(b.add(Dropout(), b.input("x", shape=(2, "W"))), name="y")
    return b.build()


EXAMPLES = {
    "no mode": dropout(),
    "constant false": dropout(constant(mode=False)),
    "ratio attribute": dropout(opset=10),
}

NEAR_MISSES = {
    "it_runs_in_inference_mode": [
        dropout(constant(mode=True)),
        dropout(lambda b: b.input("mode", shape=(), dtype=DataType.BOOL)),
        dropout(lambda b: b.overridable("mode", np.array(False))),
    ],
    "its_mask_is_unread": [dropout(mask="read"), dropout(mask="returned")],
    "the_names_of_the_interface_stay": [at_both_ends],
}
