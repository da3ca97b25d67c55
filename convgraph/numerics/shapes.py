"""The types of the values inside a model when it is run on certain feeds, as far as inference knows."""

import math

import onnx
from onnx import helper, shape_inference

from convgraph.ir.tensor import DataType, TensorType
from convgraph.numerics.feeds import Feeds
from convgraph.numerics.structure import known_types

_SMALL = 64  # elements: a tensor that may say how long something is


def types_on(model: onnx.ModelProto, feeds: Feeds) -> dict[str, TensorType]:
    """The types of the values a model computes from these feeds; of some, or none, where inference fails.

    Weights are looked at no further than their shapes.
    """
    try:
        inferred = shape_inference.infer_shapes(_sketch(model, feeds), data_prop=True)
    except shape_inference.InferenceError:
        return {}
    return dict(known_types(inferred))


def _sketch(model: onnx.ModelProto, feeds: Feeds) -> onnx.ModelProto:
    """The model with the sizes of its feeds, and without the data of its weights."""
    graph = onnx.GraphProto(name="sketch", node=model.graph.node)
    for tensor in model.graph.initializer:
        if tensor.name in feeds:
            continue
        if math.prod(tensor.dims) <= _SMALL:
            graph.initializer.append(tensor)
        else:
            info = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            graph.input.append(info)
    for name, array in feeds.items():
        info = helper.make_tensor_value_info(name, int(DataType.of(array.dtype)), array.shape)
        graph.input.append(info)
    graph.output.extend(onnx.ValueInfoProto(name=output.name) for output in model.graph.output)
    return onnx.ModelProto(
        graph=graph, opset_import=model.opset_import, functions=model.functions, ir_version=model.ir_version
    )
