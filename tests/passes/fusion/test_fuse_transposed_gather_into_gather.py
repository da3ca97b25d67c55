"""Tables for fuse-transposed-gather-into-gather."""

from collections.abc import Callable, Sequence

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.encoded import encode
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Abs, Gather, Op, Opaque, Transpose
from convgraph.ir.tensor import DataType, Dim, TensorType
from convgraph.passes import FuseTransposedGatherIntoGather, Pipeline

ORDER = (3, 0, 2)


def gathered(
    op: Op,
    indices: Sequence[object] = ORDER,
    *,
    there: tuple[int, ...] | None = (1, 0, 2, 3),
    back: tuple[int, ...] | None = (1, 0, 2, 3),
    sizes: tuple[Dim, ...] = ("N", 4, "H", "W"),
    dtype: type = np.float32,
    given: bool = False,
    read: str = "",
) -> Callable[[Draw], Graph]:
    """x, its axes in another order, gathered from and brought back.

    ``given`` makes the indices an initializer that a caller may override; ``read`` names a value that is read
    elsewhere too.
    """

    def build(_: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=sizes, dtype=DataType.of(np.dtype(dtype)))
        moved = b.add(Transpose(perm=there), x)
        array = np.asarray(indices, np.int64)
        numbers = b.overridable("indices", array) if given else b.constant(array, name="indices")
        left = b.type(moved).shape or ()
        taken = TensorType(b.type(x).dtype, shape=(*array.shape[:-1], *left[array.shape[-1] :]))
        y = b.add_all(op, moved, numbers, types=[taken] if isinstance(op, Opaque) else None)[0]
        b.output(b.add(Transpose(perm=back), y), name="y")
        if read:
            b.output(b.add(Abs(), {"moved": moved, "gathered": y}[read]), name="z")
        return b.build()

    return build


def gather_nd(**attributes: int) -> Opaque:
    return opaque("GatherND", **attributes)


def opaque(op_type: str, **attributes: int) -> Opaque:
    return Opaque(op_type=op_type, arity=2, encoded={n: encode(n, v) for n, v in attributes.items()})


ROWS = [[number] for number in ORDER]

EXAMPLES = {
    "GatherND": gathered(gather_nd(), ROWS),
    "GatherND, batches said to be none": gathered(gather_nd(batch_dims=0), ROWS),
    "from the end": gathered(gather_nd(), [[-1], [2], [-4]]),
    "Gather": gathered(Gather(axis=0)),
    "Gather on the last axis": gathered(Gather(axis=-1), there=(0, 2, 3, 1), back=(0, 3, 1, 2)),
    "one index": gathered(Gather(axis=0), [2]),
    "columns": gathered(gather_nd(), ROWS, there=(2, 0, 1), back=(1, 2, 0), sizes=("N", 3, 6)),
    "double": gathered(gather_nd(), ROWS, dtype=np.float64),
    "read before as well": gathered(gather_nd(), ROWS, read="moved"),
}

NEAR_MISSES = {
    "the_axes_come_back": [
        gathered(Gather(axis=0), back=(0, 1, 2, 3)),
        gathered(gather_nd(), ROWS, back=(1, 0, 3, 2)),
        gathered(gather_nd(), ROWS, there=(1, 2, 0, 3), back=(1, 2, 0, 3)),
    ],
    "it_gathers_along_one_axis": [
        gathered(gather_nd(), [[[3, 1]], [[0, 0]], [[2, 1]]], there=(1, 0), back=(1, 0), sizes=(2, 4)),
        gathered(gather_nd(), ROWS, given=True),
    ],
    "nothing_else_reads_what_is_gathered": [gathered(gather_nd(), ROWS, read="gathered")],
}


def test_axes_turned_round_by_default_are_left() -> None:
    graph = gathered(Gather(axis=0), there=None, back=None, sizes=("N", 4, "H", 5))(Draw(dyadic=True))
    assert not Pipeline([FuseTransposedGatherIntoGather()]).run(graph)[1].applications


def test_what_takes_elements_one_by_one_is_left() -> None:
    op, turned = opaque("GatherElements", axis=0), (1, 0)
    graph = gathered(op, [[0], [3], [1]], there=turned, back=turned, sizes=(1, 4))
    assert not Pipeline([FuseTransposedGatherIntoGather()]).run(graph(Draw(dyadic=True)))[1].applications
