"""Tables for fuse-slices-into-space-to-depth."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Concat, Conv, Relu, Slice
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import DEFAULT, Pipeline
from convgraph.passes.algebra.fuse_slices_into_space_to_depth import FuseSlicesIntoSpaceToDepth

FAR = 2**63 - 1
FOCUS = ((0, 0), (1, 0), (0, 1), (1, 1))


def cut(b: GraphBuilder, x: Value, axes: Sequence[int], starts: Sequence[int], step: int, end: int) -> Value:
    """X from ``starts`` on with a step, on some axes."""
    count = len(axes)
    return b.add(Slice(), x, *(np.array(n) for n in (starts, [end] * count, axes, [step] * count)))


def focus(
    phases: Sequence[tuple[int, int]] = FOCUS,
    *,
    step: int = 2,
    at_once: bool = False,
    axes: tuple[int, int] = (2, 3),
    spatial: tuple[Dim, Dim] = (8, 6),
    ends: int = FAR,
    axis: int = 1,
    dtype: type = np.float32,
    also_relu: bool = False,
    convolved: bool = False,
) -> Callable[[Draw], Graph]:
    """The slices of x (N, 3, …) that begin at ``phases``, joined; ``at_once``: one Slice for both axes."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=("N", 3, *spatial), dtype=DataType.of(np.dtype(dtype)))
        pieces = []
        for row, column in phases:
            if at_once:
                pieces.append(cut(b, x, axes, (row, column), step, ends))
            else:
                rows = cut(b, x, axes[:1], (row,), step, ends)
                pieces.append(cut(b, rows, axes[1:], (column,), step, ends))
        for piece in pieces if also_relu else ():
            b.output(b.add(Relu(), piece))
        y = b.add(Concat(axis=axis), *pieces, name="joined")
        if convolved:
            y = b.add(Conv.of(2, pads=1), y, draw.weight(5, 12, 3, 3), draw.weight(5), name="convolved")
        b.output(b.add(Relu(), y), name="y")
        return b.build()

    return build


EXAMPLES = {
    "focus": focus(),
    "row by row": focus(((0, 0), (0, 1), (1, 0), (1, 1))),
    "one slice each": focus(at_once=True),
    "columns first": focus(tuple((j, i) for i, j in FOCUS), axes=(3, 2)),
    "axes from the end": focus(axes=(-2, -1), axis=-3),
    "blocks of three": focus([(i, j) for j in (2, 0, 1) for i in (1, 2, 0)], step=3, spatial=(6, 9)),
    "ends at the sizes": focus(ends=8, spatial=(8, 6)),
    "double": focus(dtype=np.float64),
}

NEAR_MISSES = {
    "each_pixel_of_a_block_is_taken_once": [
        focus(((0, 0),) * 4, spatial=(7, 5)),
        focus(((0, 0), (0, 0), (1, 0), (1, 0)), spatial=(8, 5)),
    ],
    "it_is_cheaper_on_the_target": [focus(also_relu=True)],
}


@pytest.mark.parametrize(
    "graph",
    [
        focus(step=3, spatial=(6, 9)),  # four of nine
        focus(ends=6, spatial=(8, 6)),
        focus(axis=2),
        focus(dtype=np.float16),
    ],
)
def test_what_is_no_space_to_depth_is_left(graph: Callable[[Draw], Graph]) -> None:
    assert not Pipeline([FuseSlicesIntoSpaceToDepth()]).run(graph(Draw(dyadic=True)))[1].applications


@pytest.mark.parametrize("size", [8, "H"])
def test_a_convolution_takes_it_all_over(size: Dim) -> None:
    graph = focus(convolved=True, spatial=(size, 6))(Draw(dyadic=True))
    result, trace = Pipeline(DEFAULT).run(graph)
    assert [result.op(node).label for node in result.compute_nodes()] == ["Conv"]
    assert "fold-channel-order-into-next-conv" in {done.rewrite for done in trace.applications}
