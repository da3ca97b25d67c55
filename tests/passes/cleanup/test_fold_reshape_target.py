"""Tables for fold-reshape-target."""

from collections.abc import Callable

import onnx
from laws.draw import Draw

from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.graph import Graph
from convgraph.passes import Pipeline
from convgraph.passes.cleanup.fold_reshape_target import FoldReshapeTarget

PARTS = "a = Constant <value = int64[1] {0}> () p = Constant <value = int64[1] {3}> () s = Shape(x) "
BATCH = PARTS + "n = Gather(s, a) "


def model(body: str, *, shape: str = "N, 6, 7, 5", result: str = "A, B, C") -> Callable[[Draw], Graph]:
    """A graph from ONNX's own text form: x to y."""
    text = (
        f'<ir_version: 8, opset_import: ["" : 17]> g (float[{shape}] x) => (float[{result}] y) {{ {body} }}'
    )
    return lambda _: from_onnx(onnx.parser.parse_model(text))


def constant(name: str, *numbers: int) -> str:
    """A vector of integers in ONNX's text form."""
    return f"{name} = Constant <value = int64[{len(numbers)}] {{{', '.join(map(str, numbers))}}}> () "


EXAMPLES = {
    "open batch": model(BATCH + constant("c", 2, 105) + "t = Concat <axis = 0> (n, c) y = Reshape(x, t)"),
    "between others": model(
        BATCH + constant("b", 105) + constant("c", 2) + "t = Concat <axis = 0> (b, n, c) y = Reshape(x, t)"
    ),
    "a product of sizes": model(
        BATCH + constant("c", 5, 6) + "d = Mul(n, p) t = Concat <axis = -1> (c, d) u = Reshape(x, t) "
        "y = Relu(u)",
        shape="N, 6, 3, 5",
    ),
    "a copied size": model(
        BATCH + constant("c", 3, 0) + "t = Concat <axis = 0> (n, c) y = Reshape(x, t)", shape="N, 3, 7"
    ),
    "two of one target": model(
        BATCH + constant("c", 2, 105) + "t = Concat <axis = 0> (n, c) u = Reshape(x, t) v = Relu(x) "
        "w = Reshape(v, t) y = Add(u, w)"
    ),
    "the rest is open already": model(
        BATCH + constant("c", -1, 35) + "t = Concat <axis = 0> (n, c) y = Reshape(x, t)"
    ),
    "zeros would be sizes of their own": model(
        BATCH + constant("c", 2, 105) + "t = Concat <axis = 0> (n, c) y = Reshape <allowzero = 1> (x, t)"
    ),
    "two sizes that stay": model(
        BATCH
        + constant("b", 2)
        + "d = Slice(s, a, b) "
        + constant("c", -1, 5)
        + "t = Concat <axis = 0> (d, c) "
        "y = Reshape(x, t)",
        shape="N, H, 6, 5",
    ),
    "one that stays, one that moved": model(
        BATCH + "w = Gather(s, p)" + constant("c", 42) + "t = Concat <axis = 0> (n, c, w) y = Reshape(x, t)",
        shape="N, 6, 7, W",
    ),
    "a size that is multiplied and divided": model(
        BATCH
        + "w = Gather(s, p)"
        + constant("b", 2, 3)
        + constant("c", 42)
        + "m = Mul(n, b) d = Div(m, b) e = Gather(d, a) t = Concat <axis = 0> (e, c, w) "
        "y = Reshape(x, t)",
        shape="N, 6, 7, W",
    ),
    "through floats": model(
        BATCH
        + constant("c", -1, 7)
        + "f = Cast <to = 1> (n) k = Constant <value = float[1] {2.0}> () g = Mul(f, k) i = Div(g, k) "
        "h = Floor(i) m = Cast <to = 7> (h) w = Gather(s, p) t = Concat <axis = 0> (m, c, w) "
        "y = Reshape(x, t)",
        shape="N, 6, 7, W",
        result="A, B, C, D",
    ),
    "chosen, as what is not to be expanded": model(
        "s = Shape(x)"
        + constant("m", -1, -1, -1, -1)
        + constant("o", 1, 1, 1, 1)
        + "q = Equal(s, m) t = Where(q, o, s) y = Reshape(x, t)",
        shape="N, 6, H, W",
        result="A, B, C, D",
    ),
    "a piece of the shape": model(
        PARTS
        + constant("c", 42)
        + constant("q", 1, 2, 1)
        + "n, m, w = Split <axis = 0> (s, q) t = Concat <axis = 0> (n, c, w) y = Reshape(x, t)",
        shape="N, 6, 7, W",
    ),
    "a product": model(
        BATCH
        + constant("b", 1, 2)
        + "d = Gather(s, b) w = Gather(s, p) m = ReduceProd <keepdims = 1> (d) "
        + "t = Concat <axis = 0> (n, m, w) y = Reshape(x, t)",
        shape="N, 6, 7, W",
    ),
    "only that size": model(
        constant("o", 1) + "q = Size(x) r = Reshape(q, o) t = Concat <axis = 0> (r) y = Reshape(x, t)",
        result="A",
    ),
}

NEAR_MISSES = {
    "one_size_at_most_is_open": [
        model(
            BATCH
            + "w = Gather(s, p)"
            + constant("c", 42)
            + "t = Concat <axis = 0> (w, c, n) y = Reshape(x, t)",
            shape="N, 6, 7, W",
        ),
        model(BATCH + constant("c", -1, 2) + "t = Concat <axis = 0> (c, n) y = Reshape(x, t)"),
        model(
            BATCH + constant("b", 3, 0) + constant("c", 42) + "d = Gather(s, b) t = Concat <axis = 0> (d, c) "
            "y = Reshape(x, t)",
            shape="N, 6, 7, W",
        ),
        model(  # equal numbers, but which size it is is not known
            BATCH + constant("b", 999) + "m = Min(n, b)" + constant("c", -1) + "t = Concat <axis = 0> (m, c) "
            "y = Reshape(x, t)",
        ),
    ],
}


def test_a_zero_that_copies_nothing_is_left() -> None:
    body = BATCH + constant("c", 0, 7) + "t = Concat <axis = 0> (n, c) y = Reshape <allowzero = 1> (x, t)"
    graph = model(body, shape="N, 0, 5")(Draw(dyadic=True))
    assert not Pipeline([FoldReshapeTarget()]).run(graph)[1].applications


def test_sizes_that_no_reshape_takes_are_left() -> None:
    body = BATCH + constant("c", -2, 105) + "t = Concat <axis = 0> (n, c) y = Reshape(x, t)"
    _, trace = Pipeline([FoldReshapeTarget()]).run(model(body)(Draw(dyadic=True)))
    assert not trace.applications
