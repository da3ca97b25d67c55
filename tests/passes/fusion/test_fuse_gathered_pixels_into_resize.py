"""Tables for fuse-gathered-pixels-into-resize."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.encoded import encode
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Abs, Opaque, Transpose
from convgraph.ir.tensor import Array, DataType, Dim, TensorType
from convgraph.passes import Pipeline
from convgraph.passes.fusion.fuse_gathered_pixels_into_resize import FuseGatheredPixelsIntoResize

FRONT = (2, 3, 0, 1)


def grid(*ranges: Array) -> Array:
    return np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1)


def pixels(
    indices: Array,
    *,
    there: tuple[int, ...] = FRONT,
    back: tuple[int, ...] = FRONT,
    size: Sequence[Dim] = ("N", 4, 5, 3),
    dtype: type = np.float32,
    given: bool = False,
    returned: bool = False,
    **attributes: int,
) -> Callable[[Draw], Graph]:
    """X with its axes in another order, gathered from by a GatherND and brought back.

    ``given`` lets a caller override the indices; ``returned`` makes what is gathered an output.
    """

    def build(_: Draw) -> Graph:
        b = GraphBuilder("g", opset=18)
        x = b.input("x", shape=size, dtype=DataType.of(np.dtype(dtype)))
        moved = b.add(Transpose(perm=there), x)
        numbers = b.overridable("indices", indices) if given else b.constant(indices)
        left = (b.type(moved).shape or ())[attributes.get("batch_dims", 0) + indices.shape[-1] :]
        taken = TensorType(b.type(x).dtype, shape=(*indices.shape[:-1], *left))
        encoded = {name: encode(name, value) for name, value in attributes.items()}
        op = Opaque(op_type="GatherND", arity=2, encoded=encoded)
        (y,) = b.add_all(op, moved, numbers, types=[taken])
        b.output(b.add(Transpose(perm=back), y), name="y")
        if returned:
            b.output(b.add(Abs(), y), name="z")
        return b.build()

    return build


TWICE = grid(np.arange(5).repeat(2), np.arange(3).repeat(2))
PIXELS = np.arange(5), np.arange(3)

EXAMPLES = {
    "twice": pixels(TWICE),
    "batches said to be none": pixels(TWICE, batch_dims=0),
    "thrice one way": pixels(grid(PIXELS[0], np.arange(3).repeat(3))),
    "columns first": pixels(
        grid(np.arange(3).repeat(2), np.arange(5).repeat(4)), there=(3, 2, 0, 1), back=(2, 3, 1, 0)
    ),
    "3-D": pixels(
        grid(np.arange(2).repeat(2), *PIXELS),
        there=(2, 3, 4, 0, 1),
        back=(3, 4, 0, 1, 2),
        size=(1, 4, 2, 5, 3),
    ),
}

NEAR_MISSES = {
    "the_axes_come_back": [
        pixels(TWICE, back=(3, 2, 0, 1)),
        pixels(TWICE, back=(2, 3, 1, 0)),
    ],
    "each_pixel_is_repeated_as_often": [
        pixels(TWICE[::-1].copy()),
        pixels(TWICE[:-1].copy()),
        pixels(grid(np.tile(PIXELS[0], 2), np.arange(3).repeat(2))),
        pixels(grid(np.array([0, 0, 1, 2, 2, 3, 3, 4, 4, 4]), np.arange(3).repeat(2))),
        pixels(TWICE, size=("N", 4, "H", 3)),
        pixels(TWICE, given=True),
    ],
    "nothing_else_reads_what_is_gathered": [pixels(TWICE, returned=True)],
}


@pytest.mark.parametrize("other", [pixels(TWICE, dtype=np.float64), pixels(TWICE, dtype=np.int32)])
def test_elements_that_runtimes_do_not_resize_are_left(other: Callable[[Draw], Graph]) -> None:
    assert not Pipeline([FuseGatheredPixelsIntoResize()]).run(other(Draw(dyadic=True)))[1].applications


def test_rows_that_are_gathered_alone_are_left() -> None:
    rows = pixels(np.arange(5).repeat(2)[:, None], there=(2, 0, 1, 3), back=(1, 2, 0, 3))
    assert not Pipeline([FuseGatheredPixelsIntoResize()]).run(rows(Draw(dyadic=True)))[1].applications
