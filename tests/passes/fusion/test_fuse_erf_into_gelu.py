"""Tables for fuse-erf-into-gelu, and what becomes of Gelus in a file."""

import numpy as np
import pytest
from laws.draw import Draw
from laws.gelus import BOUND, OUTER, of_erf
from laws.pointwise import made_of

from convgraph.compiler.optimize import optimize
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.ops import Conv
from convgraph.passes import FuseErfIntoGelu, Pipeline

__all__ = ["BOUND"]

NEWEST = 20

EXAMPLES = {
    **{f"{outer}": made_of(of_erf(outer=outer), opset=NEWEST) for outer in OUTER},
    **{f"{outer}, old": made_of(of_erf(outer=outer, divided=False)) for outer in OUTER},
    "numbers left": made_of(of_erf(divided=False, left=True), opset=NEWEST),
    "numbers left, old": made_of(of_erf(divided=False, left=True)),
    "divided, old": made_of(of_erf(outer="x·(c·h)")),
    "the multiple is returned": made_of(of_erf(), opset=NEWEST, returned=0),
    "half": made_of(of_erf(divided=False, left=True), dtype=np.float16, opset=NEWEST),
    "1-D": made_of(of_erf(divided=False), shape=("N", 4, "L")),
}

NEAR_MISSES = {
    "the_numbers_are_those_of_a_gelu": [
        made_of(of_erf(half=0.25), opset=NEWEST),
        made_of(of_erf(wide=2.0), opset=NEWEST),
        made_of(of_erf(wide=2.0, divided=False, outer="x·(h+h·g)")),
    ],
    "nothing_else_reads_the_steps": [made_of(of_erf(divided=False), returned=0)],
}

OTHERS = {
    "spelled as runtimes know it": made_of(of_erf(), opset=NEWEST - 1),
    "the curve is returned": made_of(of_erf(), opset=NEWEST, returned=1),
    "double": made_of(of_erf(), dtype=np.float64, opset=NEWEST),
}


@pytest.mark.parametrize("other", OTHERS)
def test_anything_else_is_left_alone(other: str) -> None:
    _, trace = Pipeline([FuseErfIntoGelu()]).run(OTHERS[other](Draw(dyadic=False)))
    assert not trace.applications


@pytest.mark.parametrize("outer", OUTER)
@pytest.mark.parametrize(
    ("opset", "expected"), [(20, ["Conv", "Gelu"]), (17, ["Conv", "Div", "Erf", "Mul", "Add", "Mul"])]
)
def test_a_gelu_after_a_convolution_leaves_as_runtimes_know_it(
    opset: int, expected: list[str], outer: str
) -> None:
    b, draw = GraphBuilder("g", opset=opset), Draw(dyadic=False)
    x = b.add(Conv.of(2), b.input("x", shape=(2, 4, 9, 7)), draw.weight(6, 4, 3, 2))
    b.output(of_erf(outer=outer, divided=False)(b, x)[-1], name="y")
    result = optimize(to_onnx(b.build()))
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    assert sorted(node.op_type for node in result.proto.graph.node) == sorted(expected)
    assert not optimize(result.proto, verify=False).changed
