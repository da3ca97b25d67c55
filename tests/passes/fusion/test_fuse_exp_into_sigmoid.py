"""Tables for fuse-exp-into-sigmoid, and a Swish that a convolution takes over."""

from collections.abc import Sequence

import numpy as np
import pytest
from laws.draw import Draw
from laws.pointwise import Steps, made_of

from convgraph.compiler.optimize import optimize
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Value
from convgraph.ir.ops import Add, Conv, Div, Exp, Mul, Neg, Op, Reciprocal, Relu, Sub
from convgraph.passes import FuseExpIntoSigmoid, Pipeline

BOUND = 1e-6
"""Exponentials round on dyadic numbers too."""


def logistic(
    dividend: float | str = 1.0,
    *,
    negated: float | None = None,
    left: bool = False,
    one: float = 1.0,
    turns: Op | None = None,
    joins: Op | None = None,
) -> Steps:
    """A number, "x" or "other" over, or "" the reciprocal of, one plus the exponential of an opposite.

    ``turns`` takes the place of the product with ``negated``, ``joins`` that of the sum.

    Made are, in order, the opposite, the exponential, the sum and the result.
    """

    def steps(b: GraphBuilder, x: Value) -> Sequence[Value]:
        def beside(value: Value, number: float) -> tuple[Value, Value]:
            c = b.constant(np.array(number, b.type(x).dtype.numpy), name="c")
            return (c, value) if left else (value, c)

        opposite = b.add(Neg(), x) if negated is None else b.add(turns or Mul(), *beside(x, negated))
        exponential = b.add(Exp(), opposite)
        total = b.add(joins or Add(), *beside(exponential, one))
        made = (opposite, exponential, total)
        if dividend == "":
            return *made, b.add(Reciprocal(), total)
        if isinstance(dividend, float):
            above = b.constant(np.array(dividend, b.type(x).dtype.numpy))
        else:
            above = x if dividend == "x" else b.add(Relu(), x)
        return *made, b.add(Div(), above, total)

    return steps


EXAMPLES = {
    "quotient": made_of(logistic()),
    "reciprocal": made_of(logistic("")),
    "another number": made_of(logistic(-2.0)),
    "swish": made_of(logistic("x")),
    "gates another": made_of(logistic("other")),
    "times minus one, numbers left": made_of(logistic(negated=-1.0, left=True)),
    "the opposite is returned": made_of(logistic(), returned=0),
    "half": made_of(logistic(), dtype=np.float16),
    "double": made_of(logistic("x"), dtype=np.float64),
    "1-D": made_of(logistic(), shape=("N", 4, "L")),
}

NEAR_MISSES = {
    "nothing_else_reads_the_steps": [
        made_of(logistic(), returned=2),
        made_of(logistic("x"), returned=1),
        made_of(logistic("other"), returned=2),
    ]
}

OTHERS = {
    "two and an exponential": made_of(logistic(one=2.0)),
    "another multiple": made_of(logistic(negated=-2.0)),
    "one less an exponential": made_of(logistic(joins=Sub(), left=True)),
    "the exponential of one less": made_of(logistic(negated=-1.0, turns=Add())),
}


@pytest.mark.parametrize("other", OTHERS)
def test_anything_else_is_left_alone(other: str) -> None:
    _, trace = Pipeline([FuseExpIntoSigmoid()]).run(OTHERS[other](Draw(dyadic=False)))
    assert not trace.applications


def test_a_swish_that_is_a_quotient_is_one_activation() -> None:
    b, draw = GraphBuilder("g", opset=17), Draw(dyadic=False)
    x = b.add(Conv.of(2), b.input("x", shape=(2, 4, 9, 7)), draw.weight(6, 4, 3, 2))
    b.output(logistic("x")(b, x)[-1], name="y")
    result = optimize(to_onnx(b.build()))
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    assert [node.op_type for node in result.proto.graph.node] == ["Conv", "Sigmoid", "Mul"]
    assert [result.graph.op(node).label for node in result.graph.compute_nodes()] == ["Conv"]
    assert not optimize(result.proto, verify=False).changed


@pytest.mark.parametrize("left", [False, True])
def test_one_over_it_is_the_curve_alone(left: bool) -> None:
    graph = made_of(logistic(left=left))(Draw(dyadic=False))
    result, _ = Pipeline([FuseExpIntoSigmoid()]).run(graph)
    assert [result.op(node).label for node in result.compute_nodes()].count("Mul") == 0
