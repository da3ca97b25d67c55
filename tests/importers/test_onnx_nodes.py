"""Which nodes are typed and which are carried as they are: the table of what each opset means."""

from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.graph import Graph
from convgraph.ir.ops import (
    AveragePool,
    BatchNormalization,
    Cast,
    Clip,
    Conv,
    ConvTranspose,
    Dropout,
    MaxPool,
    Op,
    Resize,
    Softmax,
    Split,
)
from convgraph.ir.ops.opaque import Opaque
from convgraph.ir.tensor import DataType


def node(op_type: str, inputs: str = "x", outputs: str = "y", **attributes: Any) -> NodeProto:
    names = ["" if name == "_" else name for name in inputs.split()]
    return helper.make_node(op_type, names, outputs.split(), **attributes)


def imported(
    written: NodeProto, *, opset: int, shape: tuple[int | str, ...] | None = (2, 6, 10, 8), **constants: Any
) -> Graph:
    info = helper.make_tensor_value_info
    outputs = [info(name, TensorProto.UNDEFINED, None) for name in written.output if name]
    tensors = [numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()]
    graph = helper.make_graph([written], "g", [info("x", 1, shape)], outputs, tensors)
    return from_onnx(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8))


def only_op(graph: Graph) -> Op:
    (found,) = graph.compute_nodes()
    return graph.op(found)


def operand_values(graph: Graph) -> list[Any]:
    """The constant operands of the only node; None where there is none or it is computed."""
    (found,) = graph.compute_nodes()
    tensors = [graph.constant(v) for v in graph.operands(found)]
    return [None if t is None else t.numpy().tolist() for t in tensors]


STATS = {name: np.float32([1, 2, 3, 4, 5, 6]) for name in "sbmv"}

OPAQUE: dict[str, tuple[int, NodeProto, dict[str, Any]]] = {
    "opset 5": (5, node("Relu"), {}),
    "broadcasting add of opset 6": (6, node("Add", "x w", axis=1, broadcast=1), {"w": np.float32([1] * 6)}),
    "softmax 11 over two axes": (11, node("Softmax", axis=1), {}),
    "log softmax 9 by default": (9, node("LogSoftmax"), {}),
    "statistics over every element": (7, node("BatchNormalization", "x s b m v", spatial=0), STATS),
    "old training form": (9, node("BatchNormalization", "x s b m v", "y a c d e"), STATS),
    "training of opset 6": (6, node("BatchNormalization", "x s b m v"), STATS),
    "dropout mask of opset 7": (7, node("Dropout", outputs="y k"), {}),
    "a shrinking nearest upsample": (9, node("Upsample", "x k"), {"k": np.float32([1, 1, 0.5, 2])}),
    "a mode that is gone": (
        11,
        node("Resize", "x r k", mode="nearest", coordinate_transformation_mode="tf_half_pixel_for_nn"),
        {"r": np.float32([]), "k": np.float32([1, 1, 2, 2])},
    ),
    "an attribute nobody knows": (17, node("Relu", gain=2.0), {}),
    "an operator of a later opset": (17, node("Gelu"), {}),
    "an operator that is gone": (13, node("Upsample", "x k"), {"k": np.float32([1, 1, 2, 2])}),
    "a rounding mode": (25, node("Cast", to=TensorProto.FLOAT8E8M0, round_mode="down"), {}),
}


@pytest.mark.parametrize("case", OPAQUE)
def test_what_is_not_fully_understood_stays_opaque(case: str) -> None:
    opset, written, constants = OPAQUE[case]
    op = only_op(imported(written, opset=opset, **constants))
    assert isinstance(op, Opaque)
    assert op.op_type == written.op_type
    assert sorted(op.encoded) == sorted(a.name for a in written.attribute)


TYPED: dict[str, tuple[int, NodeProto, dict[str, Any], Op, list[Any]]] = {
    "clip 6": (6, node("Clip", min=0.0, max=6.0), {}, Clip(), [None, 0.0, 6.0]),
    "clip 6 with the largest float": (
        9,
        node("Clip", min=-1.0, max=3.4028234663852886e38),
        {},
        Clip(),
        [None, -1.0],
    ),
    "dropout 7": (7, node("Dropout", ratio=0.25), {}, Dropout(), [None, 0.25]),
    "upsample 7": (
        7,
        node("Upsample", scales=[1.0, 1.0, 2.0, 3.0]),
        {},
        Resize(coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        [None, None, [1, 1, 2, 3]],
    ),
    "resize 10 linear, shrinking": (
        10,
        node("Resize", "x k", mode="linear"),
        {"k": np.float32([1, 1, 0.5, 2])},
        Resize(mode="linear", coordinate_transformation_mode="asymmetric"),
        [None, None, [1, 1, 0.5, 2]],
    ),
    "softmax 11 over the last axis": (11, node("Softmax", axis=3), {}, Softmax(axis=3), [None]),
    "softmax 11 of a negative axis": (11, node("Softmax", axis=-1), {}, Softmax(axis=-1), [None]),
    "split in equal parts": (
        13,
        node("Split", outputs="y z", axis=1),
        {},
        Split(axis=1, num_outputs=2),
        [None],
    ),
    "split 11 by sizes": (
        11,
        node("Split", outputs="y z", axis=1, split=[2, 4]),
        {},
        Split(axis=1),
        [None, [2, 4]],
    ),
    "a default rounding mode": (
        25,
        node("Cast", to=10, round_mode="up"),
        {},
        Cast(to=DataType.FLOAT16),
        [None],
    ),
    "a redundant broadcast": (
        6,
        node("BatchNormalization", "x s b m v", is_test=1),
        STATS,
        BatchNormalization(),
        [None] + [[1, 2, 3, 4, 5, 6]] * 4,
    ),
    "an epsilon in single precision": (
        15,
        node("BatchNormalization", "x s b m v", epsilon=1e-5, momentum=0.9),
        STATS,
        BatchNormalization(),
        [None] + [[1, 2, 3, 4, 5, 6]] * 4,
    ),
}


@pytest.mark.parametrize("case", TYPED)
def test_old_forms_become_the_newest(case: str) -> None:
    opset, written, constants, expected, operands = TYPED[case]
    graph = imported(written, opset=opset, **constants)
    assert only_op(graph) == expected
    assert operand_values(graph) == operands


@pytest.mark.parametrize(
    ("written", "shape", "pads"),
    [
        (node("Conv", "x w", auto_pad="SAME_UPPER", strides=[2, 3]), (2, 6, 10, 8), (1, 0, 1, 1)),
        (node("Conv", "x w", auto_pad="SAME_LOWER", strides=[2, 3]), (2, 6, 10, 8), (1, 1, 1, 0)),
        (node("Conv", "x w", auto_pad="VALID"), (2, 6, "H", "W"), (0, 0, 0, 0)),
        (node("Conv", "x w", auto_pad="SAME_UPPER", strides=[2, 3]), ("N", 6, "H", "W"), None),
        (node("ConvTranspose", "x v", auto_pad="SAME_UPPER", strides=[2, 2]), (2, 6, 10, 8), (1, 0, 1, 1)),
        (node("ConvTranspose", "x v", output_shape=[20, 17], strides=[2, 2]), (2, 6, 10, 8), (1, 0, 1, 0)),
        (node("ConvTranspose", "x v", output_shape=[20, 17], strides=[2, 2]), (2, 6, "H", 8), None),
        (
            node("MaxPool", auto_pad="SAME_UPPER", kernel_shape=[4, 2], strides=[2, 3]),
            (2, 6, 10, 8),
            (1, 0, 1, 0),
        ),
        (
            node("AveragePool", auto_pad="SAME_UPPER", kernel_shape=[4, 2], strides=[2, 3]),
            (2, 6, "H", 8),
            None,
        ),
    ],
)
def test_automatic_padding_becomes_explicit_when_sizes_are_known(
    written: NodeProto, shape: tuple[int | str, ...], pads: tuple[int, ...] | None
) -> None:
    used = {
        "Conv": {"w": np.ones((4, 6, 4, 3), np.float32)},
        "ConvTranspose": {"v": np.ones((6, 4, 4, 3), np.float32)},
    }
    op = only_op(imported(written, opset=13, shape=shape, **used.get(written.op_type, {})))
    assert isinstance(op, (Conv, ConvTranspose, MaxPool, AveragePool))
    if pads is None:
        assert op.auto_pad != "NOTSET" or (isinstance(op, ConvTranspose) and op.output_shape == (20, 17))
    else:
        assert (op.auto_pad, op.pads) == ("NOTSET", pads)
        assert getattr(op, "output_shape", None) is None


def test_the_spatial_rank_of_a_plain_convolution_is_the_weights() -> None:
    for rank in (1, 2, 3):
        graph = imported(
            node("Conv", "x w"),
            opset=11,
            shape=("N", 6, *(9,) * rank),
            w=np.ones((4, 6, *(2,) * rank), np.float32),
        )
        assert only_op(graph) == Conv.of(rank)


def test_a_convolution_of_unknown_rank_is_opaque() -> None:
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node("Conv", "x w")], "g", [info("x", 1, None), info("w", 1, None)], [info("y", 1, None)]
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert isinstance(only_op(from_onnx(proto)), Opaque)


@pytest.mark.parametrize("read", [False, True])
def test_an_old_dropout_with_a_mask_is_typed_only_when_nobody_reads_the_mask(read: bool) -> None:
    node = helper.make_node("Dropout", ["x"], ["y", "mask"], ratio=0.5)
    types = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in ("x", "y", "mask")]
    graph = helper.make_graph([node], "g", types[:1], types[1:] if read else types[1:2], value_info=types[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 7)], ir_version=4)
    imported = from_onnx(model)
    (found,) = (imported.op(n) for n in imported.compute_nodes())
    assert isinstance(found, Opaque if read else Dropout)
