"""Tables for fuse-transposed-scatters-into-concat."""

from collections.abc import Callable, Sequence

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.encoded import encode
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Abs, Expand, Opaque, Transpose
from convgraph.ir.tensor import DataType, Dim, TensorType
from convgraph.passes import FuseTransposedScattersIntoConcat, Pipeline

SWAP = (1, 0, 2, 3)


def written(
    *rows: Sequence[object],
    there: tuple[int, ...] = SWAP,
    back: tuple[int, ...] = SWAP,
    count: int = 5,
    sizes: tuple[Dim, ...] = (2, 3, 4),
    pairs: bool = False,
    expanded: bool = False,
    wider: bool = False,
    given: bool = False,
    read: bool = False,
    reduction: str = "",
    op_type: str = "ScatterND",
    opset: int = 18,
) -> Callable[[Draw], Graph]:
    """Zeros (count, *sizes), then pieces (sizes[0], rows, …) written into the rows, one after the other.

    ``pairs``: back and there again between the writes; ``expanded``: an Expand of each piece, which makes it
    ``wider`` or does nothing; ``given``: a caller may override the first row numbers; ``read``: what is
    written last is read elsewhere too.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=opset)
        whole = TensorType(DataType.FLOAT, shape=(count, *sizes))
        value: Value = b.constant(draw.weight(count, *(d for d in sizes if isinstance(d, int))))
        op = Opaque(op_type=op_type, arity=3, encoded=_encoded(reduction))
        for number, numbers in enumerate(rows):
            array = np.asarray(numbers, np.int64)
            shape = list(b.type(value).shape or ())
            shape[: array.shape[-1]] = array.shape[:-1]
            if wider:
                shape[-1] = 1
            moved = [shape[there.index(axis)] for axis in range(len(there))]
            piece = b.add(Transpose(perm=there), b.input(f"x{number}", shape=moved))
            if expanded:
                piece = b.add(Expand(), piece, np.asarray([len(array), *sizes]))
            places = b.overridable("rows", array) if given and not number else b.constant(array)
            if pairs and number:
                value = b.add(Transpose(perm=SWAP), b.add(Transpose(perm=SWAP), value))
            (value,) = b.add_all(op, value, places, piece, types=[whole])
        b.output(b.add(Transpose(perm=back), value), name="y")
        if read:
            b.output(b.add(Abs(), value), name="z")
        return b.build()

    return build


def _encoded(reduction: str) -> dict[str, bytes]:
    return {"reduction": encode("reduction", reduction)} if reduction else {}


EVEN, ODD = [[0], [2], [4]], [[1], [3]]

EXAMPLES = {
    "two halves": written(EVEN, ODD),
    "there and back between, expanded": written(EVEN, ODD, pairs=True, expanded=True),
    "three pieces": written([[4], [0]], [[1]], [[3], [2]]),
    "all at once": written([[2], [0], [4], [1], [3]]),
    "written twice": written(EVEN, [[1], [2], [3]]),
    "from the end": written([[-1], [0], [-3]], ODD),
    "the last axis": written(EVEN, ODD, there=(3, 0, 1, 2), back=(1, 2, 3, 0)),
    "an axis of a matrix": written(EVEN, ODD, there=(1, 0), back=(1, 0), sizes=(3,)),
}

NEAR_MISSES = {
    "the_axes_come_back": [
        written(EVEN, ODD, back=(0, 1, 2, 3)),
        written(EVEN, ODD, there=(3, 0, 1, 2), back=(3, 0, 1, 2), sizes=(5, 5, 5)),
    ],
    "every_row_is_written": [
        written(EVEN, [[1]]),
        written(EVEN, ODD, given=True),
        written([[[0, 0], [0, 1]], [[1, 0], [1, 1]]], there=(1, 0, 2), back=(1, 0, 2), count=2, sizes=(2, 3)),
    ],
    "nothing_else_reads_what_lies_between": [written(EVEN, ODD, read=True)],
}


def test_what_scatters_otherwise_is_left() -> None:
    graph = written(EVEN, ODD, op_type="ScatterElements")(Draw(dyadic=True))
    assert not Pipeline([FuseTransposedScattersIntoConcat()]).run(graph)[1].applications
