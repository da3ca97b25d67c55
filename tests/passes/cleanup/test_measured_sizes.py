"""What is read off a model about the numbers it calculates, and that reading it takes no time or memory."""

import time

import numpy as np
import onnx
import pytest

from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.ops import Add, Concat, Expand, Mul, Opaque
from convgraph.ir.tensor import DataType, TensorType
from convgraph.passes.cleanup.measured_sizes import Place, Sizes, measured_places, measured_sizes


def told(body: str) -> Sizes | None:
    """What is known of y, calculated from x, of open batch, height and width; ONNX's own text form."""
    text = f"""<ir_version: 8, opset_import: ["" : 18]> g (float[N, 6, H, W] x, int64[1] v) => (y) {{
        s = Shape(x) two = Constant <value = int64[1] {{2}}> () zero = Constant <value = int64[1] {{0}}> ()
        {body} }}"""
    graph = from_onnx(onnx.parser.parse_model(text))
    return measured_sizes(graph, graph.outputs[0])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("y = Identity(s)", ("N", 6, "H", "W")),
        ("y = Shape <start = 1, end = -1> (x)", (6, "H")),
        ("y = Mul(s, two)", ("N*2", 12, "H*2", "W*2")),
        ("y = Div(s, two)", ("N//2", 3, "H//2", "W//2")),
        ("y = Add(s, v)", (None, None, None, None)),
        ("y = Concat <axis = 0> (v, s)", (None, "N", 6, "H", "W")),
        ("f = Cast <to = 1> (s) y = Cast <to = 6> (f)", ("N", 6, "H", "W")),
        ("y = Cast <to = 9> (s)", (None, None, None, None)),
        ("q = Gather(s, two) y = Squeeze(q)", ("H",)),
        ("p = Constant <value = int64[3] {1, 2, 1}> () y, b, c = Split(s, p)", ("N",)),
        ("p = Constant <value = int64[3] {1, 2, 1}> () a, y, c = Split(s, p)", (6, "H")),
        ("p = Slice(s, zero, two) y = ReduceProd(p)", ("N*6",)),
        ("y = Size(x)", (None,)),
        ("h = Constant <value_float = 0.3> () f = Cast <to = 1> (two) m = Mul(f, h) y = Floor(m)", (0.0,)),
        ("h = Constant <value = int64[1] {3}> () q = Gather(two, zero) y = Expand(q, h)", (2, 2, 2)),
        ("r = Unsqueeze(s, zero) y = Neg(r)", None),
    ],
)  # fmt: skip
def test_elements(body: str, expected: Sizes | None) -> None:
    assert told(body) == expected


def test_a_product_of_floats_is_rounded_as_the_model_rounds_it() -> None:
    """Of seven times a seventh, float32 makes one."""
    numbers = "a = Constant <value = float[1] {7}> () b = Constant <value = float[1] {0.14285715}> ()"
    (found,) = told(f"{numbers} m = Mul(a, b) y = Floor(m)") or (None,)
    assert found == float(np.floor(np.float32(7) * np.float32(0.14285715)))


def test_places_are_those_that_nothing_is_calculated_from() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]> g (float[N, 6, H, W] x) => (int64[K] y) {
        s = Shape <start = 1> (x) two = Constant <value = int64[1] {2}> () d = Mul(s, two)
        y = Concat <axis = 0> (s, two, d) }"""
    graph = from_onnx(onnx.parser.parse_model(text))
    x = graph.inputs[0]
    found = measured_places(graph, graph.outputs[0])
    assert found == (Place(x, 1), Place(x, 2), Place(x, 3), 2, None, None, None)


def test_vectors_that_double_on_and_on_are_not_written_out() -> None:
    b = GraphBuilder("g", opset=18)
    x = b.input("x", shape=("N", 3))
    unknown = [TensorType(DataType.INT64, shape=(None,))]
    (v,) = b.add_all(Opaque(op_type="Shape", arity=1), x, types=unknown)
    for _ in range(60):
        v = b.add(Concat(axis=0), v, v)
    b.output(v)
    start = time.perf_counter()
    assert measured_sizes(b.build(), v) is None
    assert time.perf_counter() - start < 1


def test_a_number_repeated_on_and_on_is_not_written_out() -> None:
    b = GraphBuilder("g", opset=18)
    v = b.add(Expand(), b.constant(np.array([2])), b.constant(np.array([1 << 60])))
    b.output(v)
    assert measured_sizes(b.build(), v) is None


def test_of_a_long_chain_only_the_end_is_read() -> None:
    b = GraphBuilder("g", opset=18)
    v = b.input("v", shape=(2,), dtype=DataType.INT64)
    for _ in range(5000):
        v = b.add(Add(), v, b.add(Mul(), v, v))
    b.output(v)
    start = time.perf_counter()
    assert measured_sizes(b.build(), v) == (None, None)
    assert time.perf_counter() - start < 10
