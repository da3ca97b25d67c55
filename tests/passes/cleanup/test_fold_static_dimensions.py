"""Tables for fold-static-dimensions."""

from collections.abc import Callable

import onnx
from laws.draw import Draw

from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.graph import Graph
from convgraph.passes import Pipeline
from convgraph.passes.cleanup.fold_static_dimensions import FoldStaticDimensions


def model(body: str, *, shape: str = "N, 3, 5, W", more: str = "") -> Callable[[Draw], Graph]:
    """A graph from ONNX's own text form: x of a shape to integers y."""
    text = f'<ir_version: 8, opset_import: ["" : 17]> g (float[{shape}] x{more}) => (int64[K] y) {{ {body} }}'
    return lambda _: from_onnx(onnx.parser.parse_model(text))


def picked(places: str, *, shape: str = "N, 3, 5, W", of: str = "Shape(x)") -> Callable[[Draw], Graph]:
    """Elements of a shape, by a Gather."""
    return model(f"p = Constant <value = {places}> () s = {of} z = Gather(s, p) y = Neg(z)", shape=shape)


def cut(start: int, end: int, step: int = 1, *, shape: str = "N, 3, 5, W") -> Callable[[Draw], Graph]:
    """Elements of a shape, by a Slice."""
    numbers = " ".join(
        f"{name} = Constant <value = int64[1] {{{number}}}> ()"
        for name, number in (("b", start), ("e", end), ("a", 0), ("t", step))
    )
    return model(f"{numbers} s = Shape(x) z = Slice(s, b, e, a, t) y = Neg(z)", shape=shape)


EXAMPLES = {
    "two sizes": picked("int64[2] {1, 2}"),
    "counted from the end": picked("int64[1] {-2}"),
    "one size": model(
        "p = Constant <value = int64 {1}> () a = Constant <value = int64[1] {0}> () "
        "s = Shape(x) z = Gather(s, p) y = Unsqueeze(z, a)"
    ),
    "of part of a shape": picked("int64[2] {1, 0}", of="Shape <start = 1> (x)"),
    "of a computed value": picked("int64[1] {1}", of="Shape(x)", shape="N, 3"),
    "slice": cut(1, 3),
    "slice backwards": cut(-2, 0, -1),
    "slice to the end": cut(2, 2**63 - 1, shape="N, H, 5, 4"),
    "a size by itself": model(
        "s = Shape(x) c = Constant <value = int64[4] {6, 2, 2, 4}> () t = Mul(s, c) z = Div(t, s) y = Neg(z)",
        shape="N, 3, 5, W",
    ),
    "what is left of a size": model("s = Shape(x) z = Sub(s, s) y = Neg(z)"),
    "no size is negative": model(
        "s = Shape(x) m = Constant <value = int64 {-1}> () e = Equal(s, m) z = Cast <to = 7> (e) y = Neg(z)"
    ),
    "by floats": model(
        "s = Shape(x) f = Cast <to = 1> (s) k = Constant <value = float {1.5}> () g = Mul(f, f) "
        "h = Add(f, f) q = Div(h, f) o = Mul(q, k) z = Cast <to = 7> (o) y = Neg(z)"
    ),
}

NEAR_MISSES = {
    "the_sizes_are_numbers": [
        picked("int64[2] {0, 1}"),
        picked("int64[1] {-1}"),
        cut(2, 4),
        model("s = Shape(x) c = Constant <value = int64 {2}> () z = Div(s, c) y = Neg(z)"),
        model(
            "s = Shape(x) c = Constant <value = int64 {5}> () e = Equal(s, c) z = Cast <to = 7> (e) "
            "y = Neg(z)"
        ),
    ],
}


def test_places_that_are_computed_are_left() -> None:
    graph = model("s = Shape(x) z = Gather(s, i) y = Neg(z)", more=", int64[1] i")(Draw(dyadic=True))
    assert not Pipeline([FoldStaticDimensions()]).run(graph)[1].applications
