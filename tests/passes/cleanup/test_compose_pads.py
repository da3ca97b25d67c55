"""Tables for compose-pads."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Pad, Slice
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import ComposePads, Pipeline

ROWS, COLUMNS = (0, 0, 1, 0, 0, 0, 2, 0), (0, 0, 0, 3, 0, 0, 0, 1)
BOTH = (0, 0, 1, 2, 0, 0, 2, 1)
FAR = 2**63 - 1


def padded(
    first: Sequence[int],
    second: Sequence[int] = (),
    *,
    cut: Sequence[tuple[int, int, int]] = (),
    size: Sequence[Dim] = ("N", 3, 4, 6),
    modes: tuple[str, str] = ("constant", "constant"),
    fills: tuple[float | None, float | None] = (None, None),
    axes: Sequence[int] | None = None,
    dtype: type = np.float32,
    given: str = "",
    returned: bool = False,
) -> Callable[[Draw], Graph]:
    """A Pad of a Pad; ``axes`` are the second's. In its place a Slice may ``cut``: (axis, start, end).

    ``given`` lets a caller override the first's "amounts" or its "fill"; ``returned`` makes the first's
    result a graph output too.
    """

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=19)
        y = b.input("x", shape=size, dtype=DataType.of(np.dtype(dtype)))
        both = (first, second) if second else (first,)
        for number, (pads, mode, fill) in enumerate(zip(both, modes, fills, strict=False)):
            amounts: Operand = np.array(pads, np.int64)
            value: Operand = None if fill is None else np.asarray(fill, dtype)
            if given == "amounts" and number == 0:
                amounts = b.overridable("amounts", np.array(pads, np.int64))
            if given == "fill" and number == 0:
                value = b.overridable("fill", np.asarray(fill, dtype))
            named = None if axes is None or number == 0 else np.array(axes, np.int64)
            y = b.add(Pad(mode=mode), y, amounts, value, named)
            if returned and number == 0:
                b.output(y, name="first")
        if cut:
            axes_of, starts, ends = (np.array(numbers) for numbers in zip(*cut, strict=True))
            y = b.add(Slice(), y, starts, ends, axes_of)
        b.output(y, name="y")
        return b.build()

    return build


EXAMPLES = {
    "zeros": padded(ROWS, COLUMNS),
    "zeros, one of them stated": padded(BOTH, COLUMNS, fills=(None, 0.0)),
    "a constant, the same axes": padded(BOTH, BOTH, fills=(0.5, 0.5)),
    "a channel": padded((0, 1, 0, 0, 0, 0, 0, 0), BOTH),
    "whole numbers": padded(BOTH, COLUMNS, fills=(2, 2), dtype=np.int64),
    "edge, the same axes": padded(BOTH, BOTH, modes=("edge", "edge")),
    "reflections": padded(ROWS, COLUMNS, modes=("reflect", "reflect")),
    "a torus": padded(ROWS, COLUMNS, modes=("wrap", "wrap")),
    "a part cut off again": padded(BOTH, (0, 0, -1, -1, 0, 0, 0, 0)),
    "a part cut off, more added": padded(BOTH, (0, 0, 1, 0, 0, 0, -2, 3), fills=(0.5, 0.5)),
    "copies cut off": padded(BOTH, (0, 0, -1, 0, 0, 0, -1, 0), modes=("edge", "constant")),
    "cut off twice": padded((0, 0, -1, 0, 0, 0, 0, -2), (0, 0, -1, -1, 0, 0, 0, 0)),
    "cut off, then reflected": padded(
        (0, 0, -1, 0, 0, 0, 0, 0), (0, 0, 0, 2, 0, 0, 0, 1), modes=("edge", "reflect")
    ),
    "sliced": padded(BOTH, cut=[(2, 1, -1), (3, 0, FAR)], size=("N", 3, "H", "W")),
    "sliced to what was there": padded(BOTH, cut=[(2, 1, -2), (3, 2, -1)], modes=("wrap", "")),
    "sliced, of known size": padded(BOTH, cut=[(2, 0, 6)], modes=("reflect", ""), fills=(None, None)),
    "axes stated": padded(ROWS, (3, 1), modes=("wrap", "wrap"), axes=(-1,)),
}

NEAR_MISSES = {
    "the_amounts_are_constant": [padded(ROWS, COLUMNS, given="amounts")],
    "no_more_is_cut_off_than_was_added": [
        padded((0, 0, -1, 0, 0, 0, 0, 0), ROWS),
        padded(BOTH, (0, 0, -7, 0, 0, 0, 4, 0), fills=(0.5, 0.5)),
        padded(ROWS, cut=[(2, 6, FAR)], size=("N", 3, "H", 6)),
    ],
    "they_add_the_same": [
        padded(ROWS, COLUMNS, fills=(None, 1.0)),
        padded(ROWS, COLUMNS, fills=(0.0, 0.0), given="fill"),
        padded(ROWS, BOTH, modes=("reflect", "reflect")),
        padded(ROWS, BOTH, modes=("wrap", "wrap")),
        padded(ROWS, (0, 0, -1, 0, 0, 0, 1, 0), modes=("reflect", "reflect")),
    ],
    "something_is_left_to_take_from": [
        padded(BOTH, cut=[(1, 1, -2), (3, 2, -1)], modes=("wrap", "")),
    ],
    "nothing_else_reads_the_inner_one": [padded(ROWS, COLUMNS, returned=True)],
}


@pytest.mark.parametrize(
    "other",
    [
        padded(ROWS, COLUMNS, modes=("edge", "reflect")),
        padded(ROWS, cut=[(2, 1, 3)], size=("N", 3, "H", 6)),
    ],
)
def test_other_pads_and_slices_are_left(other: Callable[[Draw], Graph]) -> None:
    assert not Pipeline([ComposePads()]).run(other(Draw(dyadic=True)))[1].applications
