"""Tables for merge-concats."""

from collections.abc import Callable, Sequence

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Concat, Neg, Relu
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import Pipeline
from convgraph.passes.cleanup.merge_concats import MergeConcats

FUNCTIONS = (Relu(), Neg())


def joined(
    axes: tuple[int, int] = (1, 1),
    *,
    size: Sequence[Dim] = ("N", 4, "H", "W"),
    order: str = "in, x",
    dtype: type = np.float32,
    returned: bool = False,
    also_read: bool = False,
) -> Callable[[Draw], Graph]:
    """A Concat of a Concat of functions of x, and of x.

    ``order`` are words for what the outer one joins: the "in"ner one, "x", or "nothing": no element of x.
    """

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=size, dtype=DataType.of(np.dtype(dtype)))
        functions = [b.add(op, x) for op in FUNCTIONS]
        inner = b.add(Concat(axis=axes[0]), *functions, name="inner")
        shape = tuple(0 if axis == axes[1] % len(size) else 1 for axis in range(len(size)))
        sizes = tuple(0 if zero == 0 else s for zero, s in zip(shape, size, strict=True))
        nothing = b.constant(np.zeros([s if isinstance(s, int) else 1 for s in sizes], dtype))
        words = {"in": inner, "x": x, "nothing": nothing}
        b.output(b.add(Concat(axis=axes[1]), *(words[word] for word in order.split(", "))), name="y")
        if returned:
            b.output(inner)
        if also_read:
            b.output(b.add(Relu(), inner), name="z")
        return b.build()

    return build


EXAMPLES = {
    "channels": joined(),
    "one counted from the end": joined((1, -3)),
    "columns, behind": joined((-1, 3), order="x, in"),
    "in between": joined(order="x, in, x"),
    "samples, double": joined((0, 0), dtype=np.float64),
    "1-D": joined((2, 2), size=("N", 3, "L")),
    "3-D, half": joined((4, 4), size=("N", 3, 2, 4, 5), dtype=np.float16),
    "nothing": joined((2, 1), size=(1, 4, 5, 7), order="x, nothing, x"),
    "nothing but that": joined((2, 1), size=(1, 4, 5, 7), order="nothing, nothing"),
    "nothing, and joined before": joined(size=(1, 4, 5, 7), order="nothing, in"),
}

NEAR_MISSES = {
    "only_this_one_reads_the_inner_ones": [joined(returned=True), joined(also_read=True)],
}


def test_many_in_a_row_become_one_at_once() -> None:
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", 4, "L"))
    y = x
    for _ in range(30):
        y = b.add(Concat(axis=1), y, b.add(Relu(), x))
    b.output(y, name="y")
    result, trace = Pipeline([MergeConcats()]).run(b.build())
    assert len(trace.applications) == 1
    assert len(result.operands(result.value("y").node)) == 31


def test_other_axes_are_left() -> None:
    for graph in (joined((1, 2), order="in, in"), joined((2, 1), size=(1, 4, 5, 7), order="x, x")):
        assert not Pipeline([MergeConcats()]).run(graph(Draw(dyadic=True)))[1].applications
