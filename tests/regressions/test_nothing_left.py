"""Values without elements: legal in ONNX, and no window fits in them."""

import numpy as np

from convgraph.analysis.target import OnnxruntimeCpu
from convgraph.compiler.optimize import optimize
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Add, Concat, Conv, ConvTranspose, Relu, Split, Transpose
from convgraph.numerics.evaluate import evaluate
from convgraph.passes import ALL, Pipeline


def cropped_away() -> Graph:
    """Transposed convolutions whose padding takes everything away, of strides 1 and 2, beside one of x."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=(1, 4, 1, 1))
    for stride, pads in ((1, (2, 2, 1, 1)), (2, (2, 0, 1, 1))):
        weight = np.ones((4, 1, 3, 4), np.float32)
        empty = b.add(ConvTranspose.of(2, strides=stride, pads=pads, group=4), x, weight)
        b.output(b.add(Relu(), empty), name=f"empty{stride}")
    b.output(b.add(Relu(), x), name="y")
    return b.build()


def no_channels() -> Graph:
    """A sum with a piece of no channels."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=(2, 3, 5, 7))
    conv = b.add(Conv.of(2), x, np.ones((4, 3, 1, 1), np.float32))
    all_, none = b.add_all(Split(axis=1), conv, np.array([4, 0]), names=("", ""))
    b.output(b.add(Concat(axis=1), all_, b.add(Add(), none, np.ones((1, 1, 5, 7), np.float32))), name="y")
    return b.build()


def test_no_rewrite_fails_where_padding_takes_everything_away() -> None:
    graph = cropped_away()
    for rewrite in ALL:
        if rewrite.exact:
            _same(graph, Pipeline([rewrite]).run(graph)[0])


def test_no_rewrite_fails_where_there_are_no_channels() -> None:
    graph = no_channels()
    for rewrite in ALL:
        if rewrite.exact:
            _same(graph, Pipeline([rewrite]).run(graph)[0])


def test_optimizing_what_is_partly_empty() -> None:
    result = optimize(no_channels(), target="generic")
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason


def _same(before: Graph, after: Graph) -> None:
    draw = np.random.default_rng(0)
    (x,) = before.inputs
    feeds = {"x": draw.normal(size=before.type(x).static_shape).astype(np.float32)}
    expected, found = evaluate(before, feeds), evaluate(after, feeds)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, strict=True)


def test_nothing_in_another_order_has_a_price() -> None:
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=(2, 0, 5, 0))
    b.output(b.add(Transpose(perm=(2, 0, 1, 3)), x), name="y")
    assert all(np.isfinite(price).all() for price in OnnxruntimeCpu().prices(b.build()).values())
