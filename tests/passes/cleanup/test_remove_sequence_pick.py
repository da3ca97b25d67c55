"""Tables for remove-sequence-pick."""

from collections.abc import Callable

import onnx
from laws.draw import Draw

from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.graph import Graph
from convgraph.passes import Pipeline
from convgraph.passes.cleanup.remove_sequence_pick import RemoveSequencePick


def model(
    body: str, *places: int, elements: str = "a, b, x", outputs: str = "float[N, 3, 5] y", more: str = ""
) -> Callable[[Draw], Graph]:
    """A list of values made from x, and places in it, i0, i1 and so on; ONNX's own text form."""
    numbers = " ".join(f"i{n} = Constant <value = int64 {{{place}}}> ()" for n, place in enumerate(places))
    text = f"""<ir_version: 8, opset_import: ["" : 17]> g (float[N, 3, 5] x{more}) => ({outputs}) {{
        a = Neg(x) b = Abs(x) {numbers} s = SequenceConstruct({elements}) {body} }}"""
    return lambda _: from_onnx(onnx.parser.parse_model(text))


EXAMPLES = {
    "two of three": model("p = SequenceAt(s, i0) q = SequenceAt(s, i1) y = Sub(p, q)", 0, 1),
    "from the end": model("p = SequenceAt(s, i0) y = Relu(p)", -2),
    "an input": model("p = SequenceAt(s, i0) y = Relu(p)", 2),
    "a graph output": model("y = SequenceAt(s, i0)", 1),
    "an input that is a graph output": model("y = SequenceAt(s, i0)", 2),
    "another graph output": model("y = SequenceAt(s, i0)", 0, outputs="float[N, 3, 5] y, float[N, 3, 5] a"),
}

NEAR_MISSES = {
    "there_is_such_an_element": [
        model("p = SequenceAt(s, i0) y = Relu(p)", 3),
        model("p = SequenceAt(s, i0) y = Relu(p)", -4),
    ],
}


def test_a_place_that_a_caller_chooses_is_left() -> None:
    graph = model("y = SequenceAt(s, i)", more=", int64 i")(Draw(dyadic=True))
    assert not Pipeline([RemoveSequencePick()]).run(graph)[1].applications


def test_a_list_that_has_grown_is_left() -> None:
    graph = model("t = SequenceInsert(s, x, i0) y = SequenceAt(t, i0)", 0)(Draw(dyadic=True))
    assert not Pipeline([RemoveSequencePick()]).run(graph)[1].applications
