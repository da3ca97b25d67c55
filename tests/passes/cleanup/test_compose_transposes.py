"""Tables for compose-transposes."""

from collections.abc import Callable

import onnx
from laws.draw import Draw

from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Abs, Relu, Transpose
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import ComposeTransposes, Pipeline

LAST, FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
SIZES: tuple[Dim, ...] = ("N", 3, "H", "W")


def transposed(
    *perms: tuple[int, ...] | None,
    shape: tuple[Dim, ...] = SIZES,
    dtype: DataType = DataType.FLOAT,
    returned: bool = False,
    also_read: bool = False,
    from_input: bool = False,
    to_output: bool = False,
) -> Callable[[Draw], Graph]:
    """Transposes in a row, between two operations unless the first reads the input, or the last is returned.

    ``returned`` makes the first one's result a graph output too, ``also_read`` something else read it.
    """

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=shape, dtype=dtype)
        y = x if from_input else b.add(Abs(), x)
        for number, perm in enumerate(perms):
            y = b.add(Transpose(perm=perm), y, name=f"turned{number}")
            if number == 0 and returned:
                b.output(y)
            if number == 0 and also_read:
                b.output(b.add(Relu(), y), name="other")
        b.output(y if to_output else b.add(Abs(), y), name="y")
        return b.build()

    return build


EXAMPLES = {
    "there and back": transposed(LAST, FIRST),
    "there and on": transposed(LAST, LAST),
    "three in a row": transposed(LAST, (0, 2, 1, 3), (3, 0, 1, 2)),
    "reversed, by default": transposed(None, (1, 0, 2), shape=("N", 3, "L")),
    "twice reversed": transposed(None, None, shape=("H", "W")),
    "whole numbers": transposed(LAST, FIRST, dtype=DataType.INT64),
    "five axes": transposed((0, 2, 3, 4, 1), (0, 3, 4, 1, 2), shape=("N", 3, "H", "W", 2)),
    "from the input": transposed(LAST, FIRST, from_input=True),
    "to the output": transposed(LAST, LAST, to_output=True),
    "from the input to the output": transposed(LAST, FIRST, from_input=True, to_output=True),
    "the first is also returned": transposed(LAST, FIRST, returned=True),
    "the first is read elsewhere": transposed(LAST, FIRST, also_read=True),
}

NEAR_MISSES = {
    "one_of_them_goes": [
        transposed(LAST, LAST, returned=True),
        transposed(LAST, LAST, also_read=True),
        transposed(LAST, FIRST, also_read=True, from_input=True, to_output=True),
    ],
}


def test_axes_of_unknown_number_are_left_alone() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]> g (int64[N] s, float[A, B, C] x) => (float y) {
        r = Reshape(x, s) t = Transpose(r) y = Transpose(t) }"""
    model = onnx.parser.parse_model(text)
    _, trace = Pipeline([ComposeTransposes()]).run(from_onnx(model))
    assert not trace.applications
