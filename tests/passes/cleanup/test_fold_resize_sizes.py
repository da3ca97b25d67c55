"""Tables for fold-resize-sizes."""

from collections.abc import Callable

import onnx
from laws.draw import Draw

from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.graph import Graph
from convgraph.passes import Pipeline
from convgraph.passes.cleanup.fold_resize_sizes import FoldResizeSizes

LINEAR = '<mode = "linear">'
ASYMMETRIC = '<mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">'

DOUBLED = "e = Constant <value = int64[1] {4}> () p = Slice(s, t, e)"
JOINED = "i = Concat <axis = 0> (d, o) y = Resize HOW (x, , , i)"
TWICE = "u = Resize HOW (x, , , sizes) w = Relu(x) k = Resize HOW (w, , , sizes) y = Add(u, k)"


def resized(
    *numbers: int,
    how: str = LINEAR,
    shape: str = "N, 4, 3, 5",
    source: str = "x",
    end: int = 2,
    tail: str = "y = Resize HOW (x, , , sizes)",
) -> Callable[[Draw], Graph]:
    """X resized to ``end`` of the sizes of ``source``, and numbers; ONNX's own text form."""
    constants = {"z": [0], "t": [end], "c": list(numbers)}
    lines = [
        f"{name} = Constant <value = int64[{len(values)}] {{{', '.join(map(str, values))}}}> ()"
        for name, values in constants.items()
    ]
    lines += [f"s = Shape({source})", "d = Slice(s, z, t)", "sizes = Concat <axis = 0> (d, c)"]
    body = " ".join([*lines, tail.replace("HOW", how)])
    text = (
        f'<ir_version: 8, opset_import: ["" : 18]> g (float[{shape}] x, float[N, 4, H, W] v) => '
        f"(float[A, B, C, D] y) {{ {body} }}"
    )
    return lambda _: from_onnx(onnx.parser.parse_model(text))


EXAMPLES = {
    "open batch": resized(6, 10),
    "one axis": resized(3, 15, how=ASYMMETRIC),
    "one pixel": resized(7, 5, shape="N, 4, 1, 1"),
    "an open height that stays": resized(10, end=3, shape="N, 4, H, 5"),
    "two of one size": resized(6, 10, tail=TWICE),
    "an open height and width, twice": resized(
        2, shape="N, 4, H, W", tail=f"{DOUBLED} o = Mul(p, c) {JOINED}"
    ),
    "an open height and width, by floats": resized(
        0,
        shape="N, 4, H, W",
        tail=f"{DOUBLED} f = Cast <to = 1> (p) k = Constant <value = float[2] {{2.0, 3.0}}> () g = Mul(f, k) "
        f"h = Floor(g) o = Cast <to = 7> (h) {JOINED}",
    ),
    "to the size of what is as large": resized(
        0,
        shape="N, 4, H, W",
        tail="r = Constant <value = float[4] {1.0, 1.0, 2.0, 2.0}> () b = Resize HOW (x, , r) "
        "i = Shape(b) h = Abs(x) u = Resize HOW (h, , , i) y = Add(u, b)",
    ),
}

NEAR_MISSES = {
    "the_sizes_are_taken_as_they_are": [
        resized(6, 15, how='<mode = "linear", keep_aspect_ratio_policy = "not_larger">', shape="2, 4, 3, 5"),
    ],
    "each_size_is_a_multiple": [
        resized(7, 10),
        resized(2, 5),
        resized(10, end=3, source="v"),
        resized(  # of three pixels, four
            0,
            shape="N, 4, H, W",
            tail=f"{DOUBLED} f = Cast <to = 1> (p) k = Constant <value = float {{1.5}}> () g = Mul(f, k) "
            f"h = Floor(g) o = Cast <to = 7> (h) {JOINED}",
        ),
    ],
}


def test_constant_sizes_stay() -> None:
    graph = resized(2, 4, 6, 10, tail="y = Resize HOW (x, , , c)", shape="2, 4, 3, 5")(Draw(dyadic=True))
    _, trace = Pipeline([FoldResizeSizes()]).run(graph)
    assert not trace.applications
