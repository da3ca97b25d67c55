"""Elements of small tensors, against onnx's own reference implementation."""

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from convgraph.analysis.elements import known_elements
from convgraph.importers.onnx_model import load
from convgraph.ir.ops import Add, Div, Floor, Opaque
from convgraph.ir.tensor import DataType, Known, Tensor, TensorType

VECTORS = np.array([7, -3, 5]), np.array([2, 2, -2])


def followed(op_type: str, *operands: np.ndarray, **attributes: Any) -> tuple[Known | None, np.ndarray]:
    """What is known of a node's result from its operands' types, and what onnx computes."""
    names = [f"x{index}" for index in range(len(operands))]
    node = helper.make_node(op_type, names, ["y"], **attributes)
    types = [helper.np_dtype_to_tensor_dtype(operand.dtype) for operand in operands]
    inputs = [
        helper.make_tensor_value_info(name, kind, operand.shape)
        for name, kind, operand in zip(names, types, operands, strict=True)
    ]
    result = helper.make_tensor_value_info("y", TensorProto.UNDEFINED, None)
    model = helper.make_model(
        helper.make_graph([node], "one", inputs, [result]), opset_imports=[helper.make_opsetid("", 18)]
    )
    (expected,) = ReferenceEvaluator(model).run(None, dict(zip(names, operands, strict=True)))
    expected = np.asarray(expected)
    result.CopyFrom(
        helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(expected.dtype), expected.shape)
    )
    model.graph.output[0].CopyFrom(result)
    graph = load(model)
    op = graph.producer(graph.outputs[0])
    given = tuple(Tensor(operand).type for operand in operands)
    return known_elements(op, given, TensorType(DataType.INT64, shape=expected.shape)), expected


@pytest.mark.parametrize(
    ("op_type", "operands", "attributes"),
    [
        ("Shape", (np.zeros((2, 3, 5, 7), np.float32),), {}),
        ("Shape", (np.zeros((2, 3, 5, 7), np.float32),), {"start": 2}),
        ("Shape", (np.zeros((2, 3, 5, 7), np.float32),), {"start": -3, "end": -1}),
        ("Size", (np.zeros((2, 3, 5, 7), np.float32),), {}),
        ("ConstantOfShape", (np.array([3]),), {}),
        (
            "ConstantOfShape",
            (np.array([2]),),
            {"value": helper.make_tensor("v", TensorProto.INT64, [1], [7])},
        ),
        ("Add", VECTORS, {}),
        ("Sub", VECTORS, {}),
        ("Mul", VECTORS, {}),
        ("Div", VECTORS, {}),
        ("Div", (np.array([-7]), np.array([2, 3, -4])), {}),
        ("Div", (np.array([7.0, -3.0]), np.array([2.0, 2.0])), {}),
        ("Max", (*VECTORS, np.array([6, 6, 6])), {}),
        ("Min", VECTORS, {}),
        ("Max", VECTORS[:1], {}),
        ("Equal", VECTORS, {}),
        ("Where", (np.array([True, False, True]), *VECTORS), {}),
        ("Expand", (np.array([9]), np.array([4])), {}),
        ("Floor", (np.array([1.5, -1.5]),), {}),
        ("Ceil", (np.array([1.5, -1.5]),), {}),
        ("Cast", (np.array([1.5, -1.5]),), {"to": TensorProto.INT64}),
        ("Cast", (np.array([3, 4]),), {"to": TensorProto.FLOAT}),
    ],
)
def test_elements_are_what_onnx_computes(
    op_type: str, operands: tuple[np.ndarray, ...], attributes: dict[str, Any]
) -> None:
    known, expected = followed(op_type, *operands, **attributes)
    assert known == tuple(expected.reshape(-1).tolist())


def vector(*elements: float, known: bool = True) -> TensorType:
    return TensorType(DataType.INT64, shape=(len(elements),), known=elements if known else None)


@pytest.mark.parametrize(
    ("op", "operands", "result"),
    [
        (Add(), (vector(1, 2), vector(1, 2, known=False)), vector(0, 0)),
        (Div(), (vector(1, 2), vector(1, 0)), vector(0, 0)),
        (Floor(), (vector(float("inf")),), vector(0)),
        (Add(), (vector(1, 2), vector(3, 4)), TensorType(DataType.INT64, shape=(None,))),
        (Opaque(op_type="Shape", arity=1), (TensorType(DataType.FLOAT, shape=("N", 3)),), vector(0, 0)),
        (Opaque(op_type="Shape", domain="other", arity=1), (vector(1),), vector(0)),
        (Opaque(op_type="Mystery", arity=1), (vector(1),), vector(0)),
        (Opaque(op_type="Mystery", arity=0), (), vector(0)),
    ],
)
def test_what_does_not_follow_is_not_claimed(
    op: Add | Opaque, operands: tuple[TensorType, ...], result: TensorType
) -> None:
    assert known_elements(op, operands, result) is None


def test_long_tensors_are_data() -> None:
    long = vector(*range(65))
    assert known_elements(Add(), (long, long), long) is None
