"""Tables for fold-fill-into-broadcast."""

from collections.abc import Callable

import onnx
from laws.draw import Draw

from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.graph import Graph
from convgraph.passes import FoldFillIntoBroadcast, Pipeline

HALF = "<value = float[1] {0.5}>"
LARGE = "t = Constant <value = int64[3] {70, 30, 50}> ()"


def filled(
    body: str,
    *,
    sizes: str = "t = Shape(x)",
    fill: str = HALF,
    x: str = "N, 3, W",
    out: str = "float[A, B, C] y",
) -> Callable[[Draw], Graph]:
    """A value ``z`` of sizes ``t``, filled; ONNX's own text form."""
    text = f"""<ir_version: 8, opset_import: ["" : 17]> g (float[{x}] x) => ({out}) {{
        {sizes} z = ConstantOfShape {fill} (t) {body} }}"""
    return lambda _: from_onnx(onnx.parser.parse_model(text))


EXAMPLES = {
    "a sum": filled("y = Add(x, z)"),
    "zeros by default, on the left": filled("y = Sub(z, x)", fill=""),
    "several readers": filled("p = Mul(x, z) q = Max(z, x, p) y = Add(q, p)"),
    "a choice": filled("n = Neg(x) y = Where(z, x, n)", fill="<value = bool[1] {1}>"),
    "whole numbers": filled(
        "i = Cast <to = 7> (x) s = Add(i, z) y = Cast <to = 1> (s)", fill="<value = int64[1] {3}>"
    ),
    "fewer axes": filled("y = Add(x, z)", sizes="t = Shape <start = 1> (x)"),
    "too large to be folded": filled("y = Add(x, z)", sizes=LARGE, x="70, 30, 50"),
    "sizes that are calculated": filled(
        "y = Add(x, z)",
        sizes="s = Shape(x) k = Constant <value = int64 {2}> () d = Mul(s, k) t = Div(d, k)",
    ),
    "in the shape of its like": filled("a = Abs(x) y = Mul(a, z)"),
}

NEAR_MISSES = {
    "all_that_reads_it_broadcasts": [
        filled("y = Concat <axis = 1> (x, z)"),
        filled("y = Add(x, z)", out="float[A, B, C] y, float[D, E, F] z"),
        filled("n = Neg(z) y = Add(x, n)"),
    ],
    "the_results_are_as_large_without": [
        filled("y = Add(x, z)", sizes="t = Constant <value = int64[3] {4, 3, 5}> ()", x="1, 3, 5"),
        filled(
            "y = Add(x, z)", sizes="t = Constant <value = int64[2] {3, 5}> ()", x="5", out="float[A, B] y"
        ),
        filled("y = Add(z, z)"),
    ],
}


def test_a_fill_that_nothing_reads_is_left_to_be_dropped() -> None:
    _, trace = Pipeline([FoldFillIntoBroadcast()]).run(filled("y = Neg(x)")(Draw(dyadic=True)))
    assert not trace.applications
