"""Tables for fold-static-shape."""

from collections.abc import Callable

import onnx
from laws.draw import Draw

from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.graph import Graph
from convgraph.passes import Pipeline
from convgraph.passes.cleanup.fold_static_shape import FoldStaticShape


def model(body: str, *, shape: str = "2, 3, 5, 4") -> Callable[[Draw], Graph]:
    """A graph from ONNX's own text form: x of a shape to integers y."""
    text = f'<ir_version: 8, opset_import: ["" : 17]> g (float[{shape}] x) => (int64[K] y) {{ {body} }}'
    return lambda _: from_onnx(onnx.parser.parse_model(text))


EXAMPLES = {
    "shape": model("s = Shape(x) y = Neg(s)"),
    "part of a shape": model("s = Shape <start = 1, end = -1> (x) y = Neg(s)"),
    "static part of a dynamic shape": model("s = Shape <start = 2> (x) y = Neg(s)", shape="N, 3, 5, 4"),
    "size": model("a = Constant <value = int64[1] {0}> () s = Size(x) t = Unsqueeze(s, a) y = Neg(t)"),
    "of a computed value": model("r = Relu(x) s = Shape(r) y = Neg(s)"),
    "to the output": model("y = Shape(x)"),
}

NEAR_MISSES = {
    "the_sizes_are_numbers": [
        model("s = Shape(x) y = Neg(s)", shape="N, 3, H, W"),
        model("s = Shape <start = 1> (x) y = Neg(s)", shape="2, 3, H, 4"),
    ],
}


def test_what_measures_nothing_is_left_to_others() -> None:
    """A fill of known size is a constant, too."""
    fill = "s = Constant <value = int64[1] {2}> () f = ConstantOfShape <value = int64[1] {3}> (s) y = Neg(f)"
    _, trace = Pipeline([FoldStaticShape()]).run(model(fill)(Draw(dyadic=True)))
    assert not trace.applications
    assert not trace.refusals
