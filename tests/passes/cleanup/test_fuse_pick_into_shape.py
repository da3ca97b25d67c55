"""Tables for fuse-pick-into-shape."""

from collections.abc import Callable

import onnx
import pytest
from laws.draw import Draw

from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.graph import Graph
from convgraph.passes import Pipeline
from convgraph.passes.cleanup.fuse_pick_into_shape import FusePickIntoShape


def constant(name: str, *numbers: int, scalar: bool = False) -> str:
    """Whole numbers in ONNX's text form."""
    kind = "int64" if scalar else f"int64[{len(numbers)}]"
    return f"{name} = Constant <value = {kind} {{{', '.join(map(str, numbers))}}}> () "


def model(body: str, *, x: str = "N, 4, H, W", opset: int = 17, result: str = "K") -> Callable[[Draw], Graph]:
    """A graph from ONNX's own text form, from x to sizes y."""
    text = (
        f'<ir_version: 8, opset_import: ["" : {opset}]> g (float[{x}] x) => (int64[{result}] y) '
        f"{{ {constant('z', 0)} s = Shape(x) {body} }}"
    )
    return lambda _: from_onnx(onnx.parser.parse_model(text))


TWO = (
    constant("i", 2, scalar=True)
    + constant("j", -1, scalar=True)
    + "a = Gather(s, i) b = Gather(s, j) h = Unsqueeze(a, z) w = Unsqueeze(b, z) "
)
SLICED = constant("a", 2) + constant("b", 99) + "p = Slice(s, a, b) y = Neg(p)"

EXAMPLES = {
    "one size": model(constant("i", 2, scalar=True) + "a = Gather(s, i) h = Unsqueeze(a, z) y = Neg(h)"),
    "one size, as a vector": model(constant("i", -2) + "h = Gather(s, i) y = Neg(h)"),
    "neighbours": model(constant("i", 1, 2, 3) + "h = Gather(s, i) y = Neg(h)"),
    "a slice": model(SLICED),
    "joined": model(f"{TWO} p = Concat <axis = 0> (h, w) y = Neg(p)"),
    "joined with others": model(f"{TWO} k = Shape <end = 2> (x) p = Concat <axis = 0> (k, h, w) y = Neg(p)"),
    "read apart too": model(f"{TWO} p = Concat <axis = 0> (h, w) q = Mul(h, a) y = Mul(p, q)"),
    "beside others": model(f"{TWO} {constant('c', 7)} p = Concat <axis = 0> (w, c, h) y = Neg(p)"),
    "of part of a shape": model("k = Shape <start = 1> (x) i = Gather(k, z) y = Neg(i)"),
    "all of it": model(constant("i", 0, 1, 2, 3) + "h = Gather(s, i) y = Neg(h)"),
    "arranged": model(
        constant("i", 3, scalar=True) + constant("m", -1) + "a = Gather(s, i) w = Reshape(a, m) y = Neg(w)"
    ),
}

NEAR_MISSES = {"the_opset_has_parts_of_shapes": [model(SLICED, opset=14)]}


@pytest.mark.parametrize(
    "body",
    [
        constant("i", 3, 2) + "p = Gather(s, i) y = Neg(p)",
        constant("i", 0, 2) + "p = Gather(s, i) y = Neg(p)",
        constant("i", 2) + "p = Slice(s, i, i) y = Neg(p)",
        "k = Neg(x) t = Shape(k) p = Concat <axis = 0> (t, s) y = Neg(p)",
        constant("i", 2) + "t = Mul(s, i) p = Gather(t, i) y = Neg(p)",
    ],
    ids=["backwards", "not neighbours", "none", "of two values", "calculated"],
)
def test_what_no_shape_has_in_a_row_is_left(body: str) -> None:
    _, trace = Pipeline([FusePickIntoShape()]).run(model(body)(Draw(dyadic=True)))
    assert not trace.applications


def test_of_an_unknown_rank_nothing_is_said() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float x, int64[R] r) => (int64[1] y) {
        v = Reshape(x, r) s = Shape(v) i = Constant <value = int64[1] {0}> () y = Gather(s, i) }"""
    _, trace = Pipeline([FusePickIntoShape()]).run(from_onnx(onnx.parser.parse_model(text)))
    assert not trace.applications
