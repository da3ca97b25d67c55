"""Models for the numerics tests, written in ONNX's own text form."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from convgraph.ir.tensor import Array

MakeProto = Callable[..., onnx.ModelProto]


@pytest.fixture
def proto() -> MakeProto:
    """``proto("(float[1,2] x) => (float[1,2] y) { y = Relu(x) }", w=array)``: a model of opset 17."""

    def make(text: str, *, opset: int = 17, ir_version: int = 8, **initializers: Array) -> onnx.ModelProto:
        header = f'<ir_version: {ir_version}, opset_import: ["" : {opset}, "no.such" : 1]>'
        model = parser.parse_model(f"{header} g {text}")
        for name, array in initializers.items():
            model.graph.initializer.append(numpy_helper.from_array(array, name))
        return model

    return make


@pytest.fixture
def region(proto: MakeProto) -> onnx.ModelProto:
    """Two convolutions with everything a rewrite could get wrong; N, C, H, W, M all different."""
    draw = np.random.default_rng(7)

    def weight(*shape: int) -> Array:
        return (draw.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    return proto(
        """(float[2,3,11,7] x) => (float[2,5,11,7] y, float[2,5,11,7] z) {
            i = Identity(x)
            a = Conv <pads = [1,1,1,1]> (i, w, b)
            r = Relu(a)
            y = Conv <pads = [1,1,1,1]> (r, v, c)
            z = Sub(a, y)
        }""",
        w=weight(5, 3, 3, 3),
        b=weight(5),
        v=weight(5, 5, 3, 3),
        c=weight(5),
    )
