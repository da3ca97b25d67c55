"""Tables for fuse-sequence-into-slice."""

from collections.abc import Callable

import onnx
from laws.draw import Draw

from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.graph import Graph
from convgraph.passes import Pipeline
from convgraph.passes.cleanup.fuse_sequence_into_slice import FuseSequenceIntoSlice


def cut(
    length: str, *places: int, axis: str = "<axis = 1>", shape: str = "N, 6, 5", result: str = "A, B, C"
) -> Callable[[Draw], Graph]:
    """Pieces of x, each negated, the pieces numbered ``places`` of a sequence, added up by a Concat."""
    taken = " ".join(
        f"i{n} = Constant <value = int64 {{{place}}}> () p{n} = SequenceAt(s, i{n}) q{n} = Neg(p{n})"
        for n, place in enumerate(places)
    )
    joined = ", ".join(f"q{n}" for n in range(len(places)))
    body = (
        f"k = Constant <value = {length}> () s = SplitToSequence {axis} (x, k) {taken} "
        f"y = Concat <axis = 1> ({joined})"
    )
    text = (
        f'<ir_version: 8, opset_import: ["" : 17]> g (float[{shape}] x) => (float[{result}] y) {{ {body} }}'
    )
    return lambda _: from_onnx(onnx.parser.parse_model(text))


EXAMPLES = {
    "halves": cut("int64 {3}", 0, 1),
    "the last piece is shorter": cut("int64 {4}", 1, 0),
    "one of three": cut("int64 {2}", 1),
    "the first axis": cut("int64 {1}", 0, axis="", shape="N, 6, 5"),
    "axis from the end, open size": cut("int64 {2}", 1, axis="<axis = -1>", shape="N, 6, H"),
}

NEAR_MISSES = {"it_counts_from_the_front": [cut("int64 {4}", -1)]}


def test_pieces_of_lengths_of_their_own_are_left() -> None:
    graph = cut("int64[2] {2, 4}", 0, 1)(Draw(dyadic=True))
    assert not Pipeline([FuseSequenceIntoSlice()]).run(graph)[1].applications


def test_a_sequence_that_has_lost_a_piece_is_left() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float[N, 6, 5] x) => (float[A, B, C] y) {
        k = Constant <value = int64 {2}> () i = Constant <value = int64 {1}> ()
        s = SplitToSequence <axis = 1> (x, k) e = SequenceErase(s, i) y = SequenceAt(e, i)
    }"""
    _, trace = Pipeline([FuseSequenceIntoSlice()]).run(from_onnx(onnx.parser.parse_model(text)))
    assert not trace.applications


def test_a_piece_whose_number_is_given_is_left() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float[N, 6, 5] x, int64 i) => (float[A, B, C] y) {
        k = Constant <value = int64 {2}> () s = SplitToSequence <axis = 1> (x, k) y = SequenceAt(s, i)
    }"""
    _, trace = Pipeline([FuseSequenceIntoSlice()]).run(from_onnx(onnx.parser.parse_model(text)))
    assert not trace.applications
