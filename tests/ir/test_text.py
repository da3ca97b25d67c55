"""The text form: what is printed can be parsed, and prints the same again."""

import struct
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convgraph.errors import InvalidModel
from convgraph.ir.build import GraphBuilder
from convgraph.ir.encoded import Plain, decode, encode
from convgraph.ir.graph import Graph, Header, NodeInfo, ValueInfo
from convgraph.ir.ops import Cast, Clip, Conv, Dropout, LeakyRelu, MaxPool, Mul, Pad, Relu, Reshape, Split
from convgraph.ir.ops.constant import Input
from convgraph.ir.ops.opaque import Opaque
from convgraph.ir.tensor import DataType, TensorType
from convgraph.ir.text import large_tensors, parse_graph, print_graph
from convgraph.ir.wellformed import check

GOLDEN = """\
model ir 8 opset {"": 17}
graph "net" (%x) -> (%y) {
  %x : float32[N, 3, 8, "(H-1)//2+1"]! = input
  %w : float32[4, 3, 3, 3] = constant sha256 "a80a91a3c1b32d9b"
  %low : float32[] = constant [0.1]
  %y : float32[N, 4, 6, "(H-1)//2-1"]! = Conv(%x, %w, _, %low) {strides=(1, 1), pads=(0, 0, 0, 0), \
dilations=(1, 1), activation=Clip} @ "a \\"conv\\""
}
"""


def convolution() -> Graph:
    b = GraphBuilder("net", opset=17, ir_version=8)
    x = b.input("x", shape=("N", 3, 8, "(H-1)//2+1"))
    w = b.constant(np.arange(108, dtype=np.float32).reshape(4, 3, 3, 3), name="w")
    low = b.constant(np.array(0.1, dtype=np.float32), name="low")
    fused = replace(Conv.of(2), activation=Clip())
    b.output(b.add(fused, x, w, None, low, node='a "conv"'), name="y")
    return b.build()


def many() -> Graph:
    """Attributes, element types, results and names of every kind."""
    b = GraphBuilder("odd name {}", opset=21)
    x = b.input("x:0", shape=(2, None, 8, "some size"))
    b.input("no rank", shape=None, dtype=DataType.STRING)
    b.overridable("scale", np.array([1.5, -0.0, np.inf], dtype=np.float32))
    b.overridable("big scale", np.arange(40.0))
    p, index = b.add_all(MaxPool.of((2, 3), pads=1), x, names=("pooled", "where"))
    left, right = b.add_all(Split(axis=1, num_outputs=2), p, names=("left", "right"))
    kept, _ = b.add_all(Dropout(seed=7), left, np.array(0.25, np.float32), names=("kept", "mask"))
    b.output(b.add(Cast(to=DataType.BFLOAT16), b.add(LeakyRelu(alpha=0.1), kept)), name="half precision")
    b.output(b.add(Reshape(allowzero=1), right, np.array([0, -1])[:1]), name="flat")
    b.output(b.add(Pad(mode="edge"), x, np.zeros(8, np.int64), None, np.array([0, 1, 2, 3])))
    b.output(b.add(Mul(), x, x))
    b.output(index)
    for number, array in enumerate(CONSTANTS):
        b.constant(array, name=f"c{number}")
    return b.build()


CONSTANTS: list[Any] = [
    np.array([True, False]),
    np.array(["a", "ü\n\"'", ""], dtype=object),
    np.array([[2**63 - 1], [-(2**63)]]),
    np.array([2**64 - 1], dtype=np.uint64),
    np.array([0.1, 1e-45, -1e38], dtype=np.float32),
    np.array([0.1, 5e-324]),
    np.array([np.nan, -np.inf], dtype=np.float16),
    np.frombuffer(struct.pack("<I", 0x7FC12345), dtype=np.float32),
    np.array([1.5, -3.25], dtype=ml_dtypes.bfloat16),
    np.array([1 + 2j], dtype=np.complex64),
    np.array([-8, 7], dtype=ml_dtypes.int4),
    np.zeros((0, 3), dtype=np.float32),
]


def control_flow() -> Graph:
    """An If whose branch captures a value, with attributes of every kind."""
    body = Graph(Header(name="branch"))
    (inside,) = body.insert(Input(), (), results=[ValueInfo(name="r", type=FLOATS)], info=NodeInfo())
    (out,) = body.insert(
        Relu(), (inside,), results=[ValueInfo(name="o", type=FLOATS)], info=NodeInfo(name="n")
    )
    body.captures, body.outputs = (inside,), (out,)
    encoded = {
        "axis": encode("axis", -1),
        "odd key!": encode("odd key!", [0.5]),
        "blob": b"\x01\xff",
        "": b"\x00",
    }
    op = Opaque(
        domain="custom.domain",
        op_type="If",
        overload="v2",
        arity=3,
        encoded=MappingProxyType(encoded),
        subgraphs=MappingProxyType({"then_branch": body}),
    )
    b = GraphBuilder("outer")
    c, x = b.input("c", shape=(), dtype=DataType.BOOL), b.input("r", shape=(2, "N"))
    b.output(b.add_all(op, c, None, None, x, names=("y",), types=(FLOATS,))[0])
    graph = b.build()
    value = graph.value("y")
    graph.set_value_info(value, replace(graph.value_info(value), foreign=b"sequence", recorded=True))
    return graph


FLOATS = TensorType(DataType.FLOAT, shape=(2, "N"))
GRAPHS = {"convolution": convolution, "many": many, "control flow": control_flow}


@pytest.mark.parametrize("name", GRAPHS)
def test_what_is_printed_parses_and_prints_the_same(name: str) -> None:
    graph = GRAPHS[name]()
    text = print_graph(graph)
    again = parse_graph(text, tensors=large_tensors(graph))
    assert print_graph(again) == text
    check(again)
    for node, twin in zip(graph.nodes(), again.nodes(), strict=True):
        if not isinstance(graph.op(node), Opaque):
            assert type(graph.op(node)) is type(again.op(twin))
        left, right = graph.constant(graph.results(node)[0]), again.constant(again.results(twin)[0])
        assert (left is None) == (right is None)
        if left is not None and right is not None:
            assert left.digest() == right.digest()


def test_the_text_of_a_convolution() -> None:
    assert print_graph(convolution()) == GOLDEN


def test_an_opaque_node_is_readable_where_its_attributes_are_plain() -> None:
    text = print_graph(control_flow())
    head = 'opaque "If" of "custom.domain" overload "v2" (%c, _, _) captures (%r) '
    assert (
        head + '{axis=-1, "odd key!"=[0.5], blob=base64 "Af8=", ""=base64 "AA==", then_branch=graph' in text
    )
    again = parse_graph(text)
    (node,) = again.compute_nodes()
    op = again.op(node)
    assert isinstance(op, Opaque)
    assert op.encoded["blob"] == b"\x01\xff"
    assert again.has_name("o")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: 'the end'; 'model'"),
        ('model ir 8 opset {}\ngraph "g" () -> (%y) {\n}\n', "y: a value nobody makes; a result above"),
        ('model ir 8 opset {}\ngraph "g" () -> () {\n  %y : float99[2] = input\n}', "line 3: 'float99'"),
        (
            'model ir 8 opset {}\ngraph "g" () -> () {\n  %y : float32[2] = Frob()\n}',
            "line 3: 'Frob'; an operation",
        ),
        (
            'model ir 8 opset {}\ngraph "g" () -> () {\n  %y : float32[2] = Relu(%x)\n}',
            "x: a value nobody makes",
        ),
        ('model ir 8 opset {}\ngraph "g" () -> () {\n  %y : int64[2] = constant [1]\n}', "y: 1 elements"),
        (
            'model ir 8 opset {}\ngraph "g" () -> () {\n  %y : int64[2] = constant sha256 "00"\n}',
            "y: no tensor",
        ),
        (
            'model ir 8 opset {}\ngraph "g" () -> () {\n  %y : int64[2] = Relu() {slope=1}\n}',
            "an attribute of Relu",
        ),
        ('model ir 8 opset {}\ngraph "g" () -> () {}\n;', "line 3: ';'; a token"),
        ('model ir 8 opset {}\ngraph "g" () -> () {} more', "line 2: 'more'; the end"),
    ],
)
def test_a_text_that_is_none_is_refused_by_line_or_name(text: str, message: str) -> None:
    with pytest.raises(InvalidModel) as caught:
        parse_graph(text)
    assert message in str(caught.value)


def test_another_tensor_of_the_same_name_is_refused() -> None:
    graph = convolution()
    other = large_tensors(many())["big scale"]
    with pytest.raises(InvalidModel, match="w: no tensor with digest"):
        parse_graph(print_graph(graph), tensors={"w": other})


floats32 = st.floats(width=32, allow_nan=False)
int64s = st.integers(-(2**63), 2**63 - 1)
plain: st.SearchStrategy[Plain] = st.one_of(
    int64s,
    floats32,
    st.text(),
    st.lists(int64s, min_size=1),
    st.lists(floats32, min_size=1),
    st.lists(st.text(), min_size=1),
)


@given(name=st.text(min_size=1), value=plain)
def test_encoded_attributes_decode_to_themselves(name: str, value: Plain) -> None:
    assert decode(name, encode(name, value)) == value


@given(st.binary(max_size=40))
def test_any_bytes_decode_exactly_or_not_at_all(data: bytes) -> None:
    value = decode("a", data)
    assert value is None or encode("a", value) == data
