"""A Pad of zeros that comes to stand alone before a pool: the result loads, and is right as deployed."""

import numpy as np
import onnx
import pytest

from convgraph.compiler.duel import Outcome, settled
from convgraph.compiler.optimize import optimize
from convgraph.exporters.staged import serialised
from convgraph.importers.onnx_model import from_onnx

IN = "(float[N, 4, 9, 7] x) => (float[N, 4, A, B] y)"

MODELS = {
    # A convolution takes the Pad over; the pool, whose pads would be as large as its window, keeps it.
    "an average that a convolution leaves behind": """opset_import: ["" : 13]> g IN <
        int64[8] pads = {0, 0, 0, 1, 0, 0, 2, 1}, float[4, 1, 3, 3] w = {WEIGHTS}> {
        wide = Pad (x, pads)
        c = Conv <group = 4, pads = [1, 1, 1, 1]> (wide, w)
        p = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1], count_include_pad = 1> (wide)
        y = Add (c, p)
    }""",
    "a maximum that a convolution leaves behind": """opset_import: ["" : 17]> g IN <
        int64[8] pads = {0, 0, 1, 2, 0, 0, 2, 1}, float[4, 1, 3, 3] w = {WEIGHTS}> {
        wide = Pad (x, pads)
        c = Conv <group = 4, pads = [1, 1, 1, 1]> (wide, w)
        p = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (wide)
        y = Add (c, p)
    }""",
    # What else read the Pad was read by nobody.
    "an average beside what is unread": """opset_import: ["" : 18]> g IN <
        int64[8] pads = {0, 0, 2, 0, 0, 0, 1, 2}> {
        wide = Pad (x, pads)
        unread = Mul (wide, wide)
        p = AveragePool <kernel_shape = [1, 1], strides = [3, 3]> (wide)
        y = Relu (p)
    }""",
    # The pool takes a Pad of the lowest number over, and meets the zeros behind that.
    "a maximum of zeros and the lowest number": """opset_import: ["" : 15]> g IN <
        int64[8] pads = {0, 0, 2, 1, 0, 0, 1, 0}, int64[8] more = {0, 0, 0, 0, 0, 0, 2, 2},
        float zero = {0}, float low = {-inf}> {
        wide = Pad (x, pads, zero)
        wider = Pad (wide, more, low)
        p = MaxPool <kernel_shape = [3, 3], strides = [2, 2]> (wider)
        y = Neg (p)
    }""",
    "the same, where a Pad can name its axes": """opset_import: ["" : 18]> g IN <
        int64[8] pads = {0, 0, 2, 1, 0, 0, 1, 0}, int64[8] more = {0, 0, 0, 0, 0, 0, 2, 2},
        float zero = {0}, float low = {-inf}> {
        wide = Pad (x, pads, zero)
        wider = Pad (wide, more, low)
        p = MaxPool <kernel_shape = [3, 3], strides = [2, 2]> (wider)
        y = Neg (p)
    }""",
    # The zeros came to the pool when what lay between went behind it.
    "a maximum of a function of zeros": """opset_import: ["" : 17]> g IN <
        int64[8] pads = {0, 0, 1, 2, 0, 0, 2, 1}> {
        wide = Pad (x, pads)
        small = LeakyRelu <alpha = 0.25> (wide)
        y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (small)
    }""",
    # At some sizes there is nothing to wrap around.
    "a border of copies of what may be empty": """opset_import: ["" : 21]> g
        (float[2, 4, H, W] x) => (float[2, 4, A, B] y) <
        float[4, 1, 1, 10] w = {WIDE}, int64[1] zero = {0}, int64[1] one = {1}, int64[1] three = {3}> {
        c = Conv <group = 4> (x, w)
        first = Slice (c, zero, one, three)
        y = Concat <axis = 3> (c, first)
    }""",
}


def model(name: str) -> onnx.ModelProto:
    numbers = ", ".join(str(number % 5 - 2) for number in range(4, 40))
    many = ", ".join(str(number % 5 - 2) for number in range(4, 44))
    body = MODELS[name].replace("IN", IN).replace("WEIGHTS", numbers).replace("WIDE", many)
    return onnx.parser.parse_model(f"<ir_version: 8, {body}")


@pytest.mark.parametrize("name", MODELS)
def test_nothing_is_at_fault(name: str) -> None:
    result = optimize(model(name))
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    assert not result.culprits
    again = optimize(result.proto, verify=False)
    assert serialised(again.proto) == serialised(result.proto)


def test_a_proof_is_of_sizes_at_which_something_is_there() -> None:
    result = optimize(model("a border of copies of what may be empty"))
    assert result.proof is not None
    assert result.proof.proven == result.proof.applications == 1


def test_what_has_nothing_to_copy_is_no_fault_and_no_proof() -> None:
    before = model("a border of copies of what may be empty")
    after = optimize(before, verify=False).proto
    assert "Pad" in {node.op_type for node in after.graph.node}
    feeds = {"x": np.ones((2, 4, 3, 9), np.float32)}
    assert settled(from_onnx(before), from_onnx(after), [feeds]) is Outcome.UNTOLD
