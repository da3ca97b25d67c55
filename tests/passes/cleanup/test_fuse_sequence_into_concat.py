"""Tables for fuse-sequence-into-concat."""

from collections.abc import Callable

import onnx
from laws.draw import Draw

from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.graph import Graph
from convgraph.passes import Pipeline
from convgraph.passes.cleanup.fuse_sequence_into_concat import FuseSequenceIntoConcat


def model(how: str, *, elements: str = "a, b, x", shape: str = "A, B, C") -> Callable[[Draw], Graph]:
    """Values made from x in a list that is joined; ONNX's own text form."""
    text = f"""<ir_version: 8, opset_import: ["" : 17]> g (float[N, 3, 5] x) => (float[{shape}] y) {{
        a = Neg(x) b = Abs(x) s = SequenceConstruct({elements}) j = ConcatFromSequence <{how}> (s)
        y = Relu(j) }}"""
    return lambda _: from_onnx(onnx.parser.parse_model(text))


EXAMPLES = {
    "the channels": model("axis = 1"),
    "the last axis": model("axis = -1, new_axis = 0", elements="x, a, x"),
    "the first axis": model("axis = 0", elements="b, a"),
    "a single value": model("axis = 1", elements="b"),
}

NEAR_MISSES = {
    "it_joins_along_an_axis_they_have": [
        model("axis = 1, new_axis = 1", shape="A, B, C, D"),
    ],
}


def test_a_list_that_has_grown_is_left() -> None:
    grown = """<ir_version: 8, opset_import: ["" : 17]> g (float[N, 3, 5] x) => (float[A, B, C] y) {
        s = SequenceConstruct(x) t = SequenceInsert(s, x) y = ConcatFromSequence <axis = 1> (t) }"""
    graph = from_onnx(onnx.parser.parse_model(grown))
    assert not Pipeline([FuseSequenceIntoConcat()]).run(graph)[1].applications
