"""Tables for fold-affine-into-norm, and layer norms as frameworks spell them, in a file."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from laws.draw import Draw
from laws.normalised import BOUND, spelled

from convgraph.compiler.optimize import optimize
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import (
    Add,
    Div,
    InstanceNormalization,
    LayerNormalization,
    Mul,
    Op,
    Relu,
    RMSNormalization,
    Sub,
    Transpose,
)
from convgraph.ir.tensor import Array, DataType, Dim

__all__ = ["BOUND"]

IMAGE: Sequence[Dim] = ("N", 4, "H", "W")
SEQUENCE: Sequence[Dim] = ("N", "L", 6)
INSTANCE, LAYER, RMS = InstanceNormalization(), LayerNormalization(), RMSNormalization()


def normed(
    norm: Op,
    op: Op,
    *shape: int,
    left: bool = False,
    x: Sequence[Dim] = SEQUENCE,
    parameters: Sequence[Sequence[int]] = ((6,), (6,)),
    dtype: type = np.float32,
    constant: float | None = None,
    overridable: bool = False,
    returned: bool = False,
    also: bool = False,
    perm: Sequence[int] | None = None,
) -> Callable[[Draw], Graph]:
    """A normalisation with ``parameters`` of these shapes, combined with a constant of another shape."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=23 if isinstance(norm, RMSNormalization) else 17)
        data = b.input("x", shape=x, dtype=DataType.of(np.dtype(dtype)))
        drawn: list[Array] = [draw.factor(*sizes, dtype=dtype) for sizes in parameters]
        last = b.overridable("p", drawn.pop()) if overridable else b.constant(drawn.pop())
        y = b.add(norm, data, *drawn, last, name="normed")
        before = y
        if perm is not None:
            y = b.add(Transpose(perm=tuple(perm)), y, name="moved")
        c = b.constant(draw.factor(*shape, dtype=dtype) if constant is None else np.array(constant, dtype))
        b.output(b.add(op, *((c, y) if left else (y, c))), name="y")
        if returned:
            b.output(before, name="normed")
        if also:
            b.output(b.add(Relu(), y), name="z")
        return b.build()

    return build


def instance(op: Op, *shape: int, x: Sequence[Dim] = IMAGE, left: bool = False) -> Callable[[Draw], Graph]:
    """An InstanceNormalization of 4 channels, combined with a constant."""
    return normed(INSTANCE, op, *shape, left=left, x=x, parameters=((4,), (4,)))


EXAMPLES = {
    "instances scaled": instance(Mul(), 4, 1, 1),
    "instances shifted": instance(Add(), 1, 4, 1, 1, left=True),
    "instances less": instance(Sub(), 4, 1, 1),
    "less instances": instance(Sub(), 4, 1, 1, left=True),
    "instances divided": instance(Div(), 4, 1, 1),
    "a number": instance(Mul()),
    "a sequence": instance(Mul(), 4, 1, x=("N", 4, "L")),
    "layer scaled": normed(LAYER, Mul(), 6),
    "layer shifted": normed(LAYER, Add(), 1, 1, 6),
    "layer without a bias scaled": normed(LAYER, Div(), 6, parameters=((6,),)),
    "layer without a bias shifted": normed(LAYER, Add(), 6, left=True, parameters=((6,),)),
    "less layer without a bias": normed(LAYER, Sub(), 6, left=True, parameters=((6,),)),
    "layer shifted by a number": normed(LAYER, Sub(), 1),
    "two axes": normed(LayerNormalization(axis=1), Mul(), 6, x=("N", 5, 6), parameters=((5, 6), (5, 6))),
    "two axes, one of the constant": normed(
        LayerNormalization(axis=-2), Add(), 5, 1, x=("N", 5, 6), parameters=((5, 6),)
    ),
    "a scale that is one number": normed(LAYER, Mul(), 6, parameters=((1,), (6,))),
    "mean square scaled": normed(RMS, Mul(), 6, parameters=((6,),)),
    "channels moved": normed(LAYER, Mul(), 6, 1, perm=(0, 2, 1)),
    "channels moved, image": normed(LAYER, Add(), 6, 1, 1, x=("N", "H", "W", 6), perm=(0, 3, 1, 2)),
    "instances moved": normed(
        INSTANCE, Sub(), 4, x=IMAGE, parameters=((4,), (4,)), perm=(2, 0, 3, 1), left=True
    ),
    "half": normed(LAYER, Mul(), 6, dtype=np.float16),
}

NEAR_MISSES = {
    "the_constant_goes_with_the_parameters": [
        instance(Mul(), 5, x=("N", 4, "H", 5)),
        instance(Mul(), 4, x=("N", 4, "H", 4)),
        instance(Mul(), 4, 1, 1, 1, x=(4, 4, "H", "W")),
        instance(Add(), 1, 1, 1, 1, 1),
        normed(LAYER, Mul(), 5, 1, x=("N", 5, 6)),
        normed(LAYER, Add(), 1, 1, 1, 1),
        normed(LAYER, Add(), 6, x=("N", "L", 1), parameters=((1,), (1,))),
        normed(LAYER, Mul(), 6, x=("N", 6, 6), perm=(0, 2, 1)),
    ],
    "there_is_a_bias_to_fold_into": [normed(RMS, Add(), 6, parameters=((6,),))],
    "the_parameters_are_constant": [
        normed(LAYER, Mul(), 6, overridable=True),
        normed(RMS, Mul(), 6, parameters=((6,),), overridable=True),
    ],
    "the_folded_parameters_are_finite": [normed(LAYER, Div(), constant=1e-5, dtype=np.float16)],
    "nothing_else_reads_the_normalised_value": [
        normed(LAYER, Mul(), 6, returned=True),
        normed(LAYER, Add(), 6, also=True),
        normed(LAYER, Mul(), 6, 1, perm=(0, 2, 1), returned=True),
        normed(LAYER, Mul(), 6, 1, perm=(0, 2, 1), also=True),
    ],
}


@pytest.mark.parametrize("inverse", ["", "reciprocal", "quotient", "power"])
@pytest.mark.parametrize("square", ["mul", "pow"])
def test_a_layer_norm_that_is_spelled_out_becomes_one_node(square: str, inverse: str) -> None:
    b, draw = GraphBuilder("g", opset=17), Draw(dyadic=False)
    x = b.input("x", shape=("N", 9, 6))
    *_, y = spelled(2, square=square, inverse=inverse)(b, x)
    b.output(b.add(Add(), b.add(Mul(), y, draw.factor(6)), draw.weight(6)), name="y")
    result = optimize(to_onnx(b.build()))
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    assert [node.op_type for node in result.proto.graph.node] == ["LayerNormalization"]
    assert not optimize(result.proto, verify=False).changed


def test_a_layer_norm_along_channels_becomes_one_between_transposes() -> None:
    b, draw = GraphBuilder("g", opset=17), Draw(dyadic=False)
    *_, y = spelled(1)(b, b.input("x", shape=("N", 16, "H", "W")))
    scaled = b.add(Mul(), b.constant(draw.factor(16, 1, 1)), y)
    b.output(b.add(Add(), scaled, draw.weight(1, 16, 1, 1)), name="y")
    result = optimize(to_onnx(b.build()))
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    assert [n.op_type for n in result.proto.graph.node] == ["Transpose", "LayerNormalization", "Transpose"]
    assert not optimize(result.proto, verify=False).changed


def test_an_instance_norm_that_is_spelled_out_becomes_one_node() -> None:
    b, draw = GraphBuilder("g", opset=11), Draw(dyadic=False)
    x = b.input("x", shape=("N", 3, "H", "W"))
    *_, y = spelled(2, 3)(b, x)
    b.output(
        b.add(Sub(), b.add(Mul(), b.constant(draw.factor(3, 1, 1)), y), draw.weight(1, 3, 1, 1)), name="y"
    )
    result = optimize(to_onnx(b.build()))
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    assert [node.op_type for node in result.proto.graph.node] == ["InstanceNormalization"]
    assert not optimize(result.proto, verify=False).changed
