"""Wrong rewrites that other tools have shipped: one comparison with its defaults sees each of them."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

import convgraph as cg
from convgraph.ir.tensor import Array

_DRAW = np.random.default_rng(11)


def _weight(*shape: int) -> Array:
    return (_DRAW.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


WEIGHTS = {
    "w1": _weight(6, 3, 3, 3),
    "b1": _weight(6),
    "along": _weight(1, 1, 1, 6),  # as many as there are channels
    "w2": _weight(8, 6, 3, 3),
    "w3": _weight(8, 8, 3, 3),
    "w4": _weight(5, 8, 1, 1),
    "around": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    "zero": np.float32(0),
}
NET = {
    "first": "c1 = Conv <pads = [1,1,1,1], strides = [2,2]> (x, w1, b1)",
    "scaled": "m1 = Mul (c1, along)",
    "padded": "d1 = Pad (m1, around, zero)",
    "pooled": "p1 = MaxPool <kernel_shape = [3,3], strides = [2,2]> (d1)",
    "second": "c2 = Conv <pads = [1,1,1,1]> (p1, w2)",
    "active": "r2 = Relu (c2)",
    "third": "c3 = Conv <pads = [1,1,1,1]> (r2, w3)",
    "joined": "s3 = Add (c3, r2)",
    "last": "y = Conv (s3, w4)",
}


def net(
    *, changed: dict[str, str] | None = None, weights: dict[str, Array] | None = None, batch: str
) -> onnx.ModelProto:
    """Four convolutions with all that the faults need; ``batch`` is a number or a symbol."""
    body = "\n".join({**NET, **(changed or {})}.values())
    model = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        net (float[{batch},3,18,12] x) => (float[{batch},5,5,3] y) {{ {body} }}"""
    )
    data = {**WEIGHTS, **(weights or {})}
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in data.items())
    return model


def _swapped(weight: Array) -> Array:
    return np.asarray(weight[[0, 2, 1, *range(3, len(weight))]])


WRONG = {
    "Relu swapped for Identity": {"changed": {"active": "r2 = Identity (c2)"}},
    "zero Pad folded into MaxPool": {
        "changed": {
            "padded": "d1 = Identity (m1)",
            "pooled": "p1 = MaxPool <kernel_shape = [3,3], strides = [2,2], pads = [1,1,1,1]> (d1)",
        }
    },
    "width-wise Mul folded channel-wise": {
        "changed": {"scaled": "m1 = Identity (c1)"},
        "weights": {
            "w1": WEIGHTS["w1"] * WEIGHTS["along"].reshape(6, 1, 1, 1),
            "b1": WEIGHTS["b1"] * WEIGHTS["along"].reshape(6),
        },
    },
    "dropped border row": {"changed": {"third": "c3 = Conv <pads = [0,1,2,1]> (r2, w3)"}},
    "two swapped channels": {"weights": {"w2": _swapped(WEIGHTS["w2"])}},
}


@pytest.mark.parametrize("batch", ["1", "2", "N"])
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_rewrite_is_seen(wrong: dict[str, dict[str, object]], batch: str) -> None:
    verdict = cg.verify(net(batch=batch), net(batch=batch, **wrong))  # type: ignore[arg-type]  # a table's values
    assert verdict.status == "different"
    assert "off at" in verdict.reason


@pytest.mark.parametrize("batch", ["1", "2", "N"])
def test_the_optimized_network_is_not(batch: str) -> None:
    before = net(batch=batch)
    verification = cg.optimize(before).verification
    assert verification is not None
    assert verification.equal
    assert cg.verify(before, before).equal
