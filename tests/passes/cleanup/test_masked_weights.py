"""However a graph builds the mask of a masked convolution, only the convolution is left, dead taps gone."""

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from convgraph.compiler.optimize import optimize
from convgraph.ir.tensor import Array

K = 5
ROWS, COLUMNS = np.mgrid[:K, :K]
MASK = (ROWS < K // 2) | ((ROWS == K // 2) & (COLUMNS <= K // 2))  # type B: what was drawn before, and itself

Nodes = tuple[list[NodeProto], dict[str, Array]]
node = helper.make_node


def stored(dtype: type) -> Callable[[], Nodes]:
    """The mask is an initializer of some element type."""
    return lambda: ([node("Cast", ["m"], ["mask"], to=TensorProto.FLOAT)], {"m": MASK.astype(dtype)})


def where() -> Nodes:
    """The weight where the mask holds, else zero."""
    return [node("Where", ["m", "w", "zero"], ["kernel"])], {"m": MASK, "zero": np.float32(0)}


def joined() -> Nodes:
    """Rows of ones, a row of ones and zeros, and rows of zeros."""
    rows = {
        "above": np.ones((2, K), np.float32),
        "this": MASK[2:3].astype(np.float32),
        "below": np.zeros((2, K), np.float32),
    }
    return [node("Concat", list(rows), ["mask"], axis=0)], rows


def counted() -> Nodes:
    """Rasters: the pixel's number against the centre's."""
    numbers = {
        "first": np.int64(0),
        "last": np.int64(K * K),
        "step": np.int64(1),
        "centre": np.int64(K * K // 2),
        "shape": np.array([K, K], np.int64),
    }
    return [
        node("Range", ["first", "last", "step"], ["raster"]),
        node("LessOrEqual", ["raster", "centre"], ["seen"]),
        node("Reshape", ["seen", "shape"], ["square"]),
        node("Cast", ["square"], ["mask"], to=TensorProto.FLOAT),
    ], numbers


def triangular() -> Nodes:
    """A lower triangle of a long row times a long column, read off at the centre's row."""
    numbers = {
        "whole": np.array([K * K, K * K], np.int64),
        "centre": np.array(K * K // 2, np.int64),
        "shape": np.array([K, K], np.int64),
    }
    one = numpy_helper.from_array(np.ones(1, np.float32))
    return [
        node("ConstantOfShape", ["whole"], ["ones"], value=one),
        node("Trilu", ["ones"], ["lower"], upper=0),
        node("Gather", ["lower", "centre"], ["row"], axis=0),
        node("Reshape", ["row", "shape"], ["mask"]),
    ], numbers


def scattered() -> Nodes:
    """Ones with zeros written over the pixels that come after."""
    later = np.argwhere(~MASK)
    return [node("ScatterND", ["ones", "later", "zeros"], ["mask"])], {
        "ones": np.ones((K, K), np.float32),
        "later": later.astype(np.int64),
        "zeros": np.zeros(len(later), np.float32),
    }


MASKS: dict[str, Callable[[], Nodes]] = {
    "float": stored(np.float32),
    "double": stored(np.float64),
    "bool": stored(np.bool_),
    "int64": stored(np.int64),
    "Where": where,
    "Concat": joined,
    "Range": counted,
    "Trilu": triangular,
    "ScatterND": scattered,
}


def masked(nodes: Sequence[NodeProto], constants: dict[str, Array]) -> onnx.ModelProto:
    """A 5×5 convolution of x whose weight the nodes mask."""
    rng = np.random.default_rng(4)
    made = {name for each in nodes for name in each.output}
    product = [] if "kernel" in made else [node("Mul", ["w", "mask"], ["kernel"])]
    last = node("Conv", ["x", "kernel", "b"], ["y"], pads=[2] * 4)
    tensors = {
        "w": rng.normal(size=(6, 4, K, K)).astype(np.float32),
        "b": rng.normal(size=6).astype(np.float32),
        **constants,
    }
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4, 9, 7])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    initializers = [numpy_helper.from_array(np.asarray(array), name) for name, array in tensors.items()]
    graph = helper.make_graph([*nodes, *product, last], "g", [x], [y], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("mask", MASKS)
def test_the_mask_is_gone_and_so_are_the_rows_below(mask: str) -> None:
    result = optimize(masked(*MASKS[mask]()))
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    (left,) = result.proto.graph.node
    attributes = {a.name: list(a.ints) for a in left.attribute}
    assert (left.op_type, attributes["kernel_shape"]) == ("Conv", [3, 5])
    assert attributes["pads"] == [2, 2, 0, 2]
    assert sum(len(tensor.raw_data) for tensor in result.proto.graph.initializer) == 4 * (6 * 4 * 3 * 5 + 6)
