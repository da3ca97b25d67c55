"""Tables for fuse-clip-into-hard-sigmoid, and the hard swish of a network in a file.

Slopes of one over a power of two are dyadic; one sixth, which networks use, is not: it has its own test.
"""

from collections.abc import Sequence

import numpy as np
import pytest
from laws.pointwise import Steps, made_of

from convgraph.compiler.optimize import optimize
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Value
from convgraph.ir.ops import Add, Clip, Conv, Div, Max, Min, Mul, Op, Relu


def hard(
    *,
    shift: float | None = 2.0,
    low: float = 0.0,
    high: float = 4.0,
    scale: Op = Div(),  # noqa: B008 - operations never change
    number: float | None = None,
    left: bool = False,
    gated: str = "",
) -> Steps:
    """Add, Clip, product, and the scale by ``number``, the upper bound or one over it unless given.

    ``gated`` says what the Clip is multiplied with: "x", on the left, or "other", on the right.
    """

    def steps(b: GraphBuilder, x: Value) -> Sequence[Value]:
        shifted = x if shift is None else b.add(Add(), x, shift)
        clip = b.add(Clip(), shifted, low, high, name="clip")
        made = [shifted, clip]
        if gated:
            made.append(b.add(Mul(), x, clip) if gated == "x" else b.add(Mul(), clip, b.add(Relu(), x)))
        factor = number if number is not None else high if isinstance(scale, Div) else 1 / high
        c = b.constant(np.array(factor, b.type(x).dtype.numpy), name="c")
        return [*made, b.add(scale, *((c, made[-1]) if left else (made[-1], c)))]

    return steps


EXAMPLES = {
    "quotient": made_of(hard()),
    "product": made_of(hard(scale=Mul(), left=True)),
    "no shift": made_of(hard(shift=None)),
    "a shift that something else reads": made_of(hard(), returned=0),
    "hard swish": made_of(hard(gated="x")),
    "gates another": made_of(hard(scale=Mul(), gated="other")),
    "a negative shift": made_of(hard(shift=-1.0, high=2.0)),
    "half": made_of(hard(gated="x"), dtype=np.float16),
    "1-D": made_of(hard(), shape=("N", 4, "L")),
}

NEAR_MISSES = {
    "it_clips_at_zero": [made_of(hard(low=-1.0)), made_of(hard(low=1.0, gated="x"))],
    "the_scale_undoes_the_upper_bound": [
        made_of(hard(number=8.0)),
        made_of(hard(scale=Mul(), number=4.0, gated="x")),
    ],
    "nothing_else_reads_the_steps": [
        made_of(hard(shift=None), returned=1),
        made_of(hard(shift=None, gated="x"), returned=2),
    ],
}


@pytest.mark.parametrize("opset", [9, 13, 17])
@pytest.mark.parametrize("early", [False, True], ids=["x·(clip/6)", "(x·clip)/6"])
@pytest.mark.parametrize("compared", [False, True], ids=["Clip", "Max and Min"])
def test_a_hard_swish_becomes_two_nodes(compared: bool, early: bool, opset: int) -> None:
    b, rng = GraphBuilder("g", opset=opset), np.random.default_rng(2)
    x = b.input("x", shape=(2, 4, 9, 7))
    x = b.add(Conv.of(2), x, rng.normal(size=(6, 4, 3, 2)).astype(np.float32))
    y = b.add(Add(), x, 3.0)
    y = b.add(Min(), b.add(Max(), y, 0.0), 6.0) if compared else b.add(Clip(), y, 0.0, 6.0)
    y = b.add(Div(), b.add(Mul(), x, y), 6.0) if early else b.add(Mul(), x, b.add(Div(), y, 6.0))
    b.output(y, name="y")
    result = optimize(to_onnx(b.build()))
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    assert [node.op_type for node in result.proto.graph.node] == ["Conv", "HardSigmoid", "Mul"]
    assert not optimize(result.proto, verify=False).changed


def test_a_shift_that_went_into_the_convolution_is_not_missed() -> None:
    b, rng = GraphBuilder("g", opset=17), np.random.default_rng(2)
    x = b.input("x", shape=(2, 4, 9, 7))
    x = b.add(Conv.of(2), x, rng.normal(size=(6, 4, 3, 2)).astype(np.float32))
    b.output(b.add(Div(), b.add(Clip(), b.add(Add(), x, 3.0), 0.0, 6.0), 6.0), name="y")
    result = optimize(to_onnx(b.build()))
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    assert [node.op_type for node in result.proto.graph.node] == ["Conv", "HardSigmoid"]
