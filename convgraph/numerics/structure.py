"""What a ``ModelProto`` says of itself that a check needs: inputs, outputs, defaults, lengths of sums.

Reads protos as they are, symbolic dimensions included; nothing is imported or changed.
"""

import operator
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx
from google.protobuf.message import DecodeError
from onnx import helper, shape_inference

from convgraph.errors import InvalidModel
from convgraph.ir.tensor import DataType, Dim, TensorType
from convgraph.numerics.placed import Placed
from convgraph.numerics.tolerance import Step, added_variance, length_in

if TYPE_CHECKING:  # whoever only looks at a message needs no runtime
    from convgraph.numerics.session import ModelSource

_INFERENCE_LIMIT = 500_000_000  # bytes: shape inference copies the model
_DEFAULTS_SINCE = 4  # the IR version from which an initializer may be an input that need not be fed
_MEASURES = ("Shape", "Size")
_CHOOSES = ("Gather", "GatherElements")
_REARRANGES = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
_WEIGHTED = (
    "Conv",
    "ConvTranspose",
    "Gemm",
    "MatMul",
    "BatchNormalization",
    "InstanceNormalization",
    "PRelu",
)
_CHANNELS = {"Conv": 1, "ConvTranspose": 0}  # the axis of a weight that meets the input's channels


def read(source: "ModelSource", *, weights: bool = False) -> onnx.ModelProto:
    """The model as a proto, its external data left on disk unless ``weights``.

    Raises InvalidModel for bytes or a file that is no ONNX model.
    """
    if isinstance(source, onnx.ModelProto):
        return source
    if isinstance(source, Placed):
        source = source.data
    at = "model" if isinstance(source, bytes) else os.fspath(source)
    try:
        if isinstance(source, bytes):
            return onnx.load_model_from_string(source)
        return onnx.load_model(at, load_external_data=weights)
    except (DecodeError, OSError) as error:
        raise InvalidModel(at, found=str(error), expected="an ONNX model") from error


def nodes_within(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """The nodes and those of their bodies, at any depth."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for body in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from nodes_within(body.node)


def tensors_in(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """The initializers of a graph and the tensors in attributes of its nodes, its bodies' included."""
    yield from graph.initializer
    for node in graph.node:
        yield from tensors_of(node)


def tensors_of(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    """The tensors in the attributes of a node, its bodies' included."""
    for attribute in node.attribute:
        yield from ([attribute.t] if attribute.HasField("t") else attribute.tensors)
        for body in [attribute.g] if attribute.HasField("g") else attribute.graphs:
            yield from tensors_in(body)


def named_tensors(model: onnx.ModelProto) -> Iterator[tuple[onnx.TensorProto, str]]:
    """Every tensor of a model, and the value it is; "" for what is inside a node."""
    yield from ((tensor, tensor.name) for tensor in model.graph.initializer)
    for node in model.graph.node:
        name = node.output[0] if node.op_type == "Constant" and node.output else ""
        yield from ((tensor, name) for tensor in tensors_of(node))


def convolved_from_nothing(model: onnx.ModelProto) -> str | None:
    """What the first convolution makes whose weight has no input channels; None where each has some.

    onnxruntime 1.31 leaves such a result as it finds it in memory, and on some shapes never ends.
    """
    shapes = {name: tensor.dims for tensor, name in named_tensors(model)}
    for node in nodes_within(model.graph.node):
        if node.op_type in _CHANNELS and node.domain in ("", "ai.onnx"):
            dims = [dim for name in node.input[1:2] for dim in shapes.get(name, ())]
            if 0 in dims[_CHANNELS[node.op_type] :][:1]:
                return "".join(node.output[:1]) or node.name
    return None


def weight_bytes(model: onnx.ModelProto) -> int:
    """What the tensors of a model take in memory."""
    types = (TensorType(DataType(t.data_type), shape=tuple(t.dims)) for t, _ in named_tensors(model))
    return sum(type_.nbytes or 0 for type_ in types)


def tensor_type(info: onnx.ValueInfoProto) -> TensorType | None:
    """The declared type; None for a value that is not a dense tensor."""
    if info.type.WhichOneof("value") != "tensor_type":
        return None
    declared = info.type.tensor_type
    shape = None
    if declared.HasField("shape"):
        shape = tuple(_dim(d) for d in declared.shape.dim)
    return TensorType(DataType(declared.elem_type), shape=shape)


def _dim(dim: onnx.TensorShapeProto.Dimension) -> Dim:
    if dim.HasField("dim_value"):
        return dim.dim_value if dim.dim_value >= 0 else None
    return dim.dim_param or None


def accepts(asked: TensorType, given: TensorType) -> bool:
    """Whether an input of one declared type takes every tensor of another."""
    if not asked.admits(given):
        return False
    pairs = zip(asked.shape or (), given.shape or (), strict=False)
    return not any(isinstance(a, int) and not isinstance(g, int) for a, g in pairs)


def required_inputs(model: onnx.ModelProto) -> dict[str, TensorType | None]:
    """The inputs a caller has to feed, in order; None for one that is not a dense tensor."""
    fixed = _initializer_names(model)
    return {i.name: tensor_type(i) for i in model.graph.input if i.name not in fixed}


def overridable_inputs(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """The initializers a caller may override, by name."""
    if model.ir_version < _DEFAULTS_SINCE:
        return {}
    inputs = {i.name for i in model.graph.input}
    return {t.name: t for t in model.graph.initializer if t.name in inputs}


def computed(model: onnx.ModelProto) -> set[str]:
    """The values computed from the elements of an input, not from its shape."""
    data = set(required_inputs(model))
    for node in model.graph.node:
        if node.op_type not in _MEASURES and data.intersection(node.input):
            data.update(node.output)
    return data


def index_bounds(model: onnx.ModelProto) -> dict[str, int]:
    """For each input that chooses from a constant table, how many entries that has; the least of several."""
    sizes = {name: tuple(tensor.dims) for tensor, name in named_tensors(model)}
    origins = {name: name for name in required_inputs(model)}
    bounds: dict[str, int] = {}
    for node in model.graph.node:
        if node.op_type in _REARRANGES and node.input[0] in origins:
            origins[node.output[0]] = origins[node.input[0]]
        if node.op_type in _CHOOSES and (origin := origins.get(node.input[1])) is not None:
            axis, shape = _attributes(node).get("axis", 0), sizes.get(node.input[0], ())
            if isinstance(axis, int) and -len(shape) <= axis < len(shape) and shape[axis] > 0:
                bounds[origin] = min(shape[axis], bounds.get(origin, shape[axis]))
    return bounds


def _initializer_names(model: onnx.ModelProto) -> set[str]:
    sparse = {t.values.name for t in model.graph.sparse_initializer}
    return {t.name for t in model.graph.initializer} | sparse


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """What the operations that read an input say about it: its rank, and the length of its axis 1."""

    rank: int | None = None
    channels: int | None = None


def readers(model: onnx.ModelProto) -> dict[str, Reader]:
    """Rank and channel count that weights ask of the values they meet, by value name."""
    shapes = {t.name: tuple(t.dims) for t in model.graph.initializer}
    found: dict[str, Reader] = {}
    for node in model.graph.node:
        weight = shapes.get(node.input[1], ()) if len(node.input) > 1 else ()
        if weight and node.op_type in _WEIGHTED and node.input[0] not in found:
            found[node.input[0]] = _reader(node, weight)
    return found


def _reader(node: onnx.NodeProto, weight: tuple[int, ...]) -> Reader:
    attributes = _attributes(node)
    if node.op_type == "Conv":
        group = attributes.get("group", 1)
        return Reader(rank=len(weight), channels=weight[1] * (group if isinstance(group, int) else 1))
    if node.op_type == "ConvTranspose":
        return Reader(rank=len(weight), channels=weight[0])
    if node.op_type == "Gemm":
        return Reader(rank=2, channels=weight[1 if attributes.get("transB") else 0])
    if node.op_type == "MatMul":
        return Reader(channels=weight[-2] if len(weight) == 2 else None)
    return Reader(channels=weight[0] if len(weight) == 1 else None)


def _attributes(node: onnx.NodeProto) -> dict[str, object]:
    """The attributes that are neither tensors nor graphs."""
    heavy = (onnx.AttributeProto.TENSOR, onnx.AttributeProto.GRAPH, onnx.AttributeProto.SPARSE_TENSOR)
    plain = [a for a in node.attribute if a.type not in heavy and not a.ref_attr_name]
    values = {a.name: helper.get_attribute_value(a) for a in plain}
    return {name: v.decode("latin-1") if isinstance(v, bytes) else v for name, v in values.items()}


def model_lengths(
    model: onnx.ModelProto,
    *,
    combine: Callable[[float, float], float] = operator.add,
    types: Mapping[str, TensorType] | None = None,
    names: Iterable[str] | None = None,
) -> dict[str, float]:
    """``tolerance.accumulated_length`` read off a proto, for a caller who has no Graph.

    With ``max`` for ``combine``, the length of the longest single sum on the way to each output. ``types``
    are those of the values, inferred when None; ``names`` are values to look at instead of the outputs.
    """
    types = value_types(model) if types is None else types
    variance: dict[str, float] = {}
    for node in model.graph.node:
        operands = [n for n in node.input if n]
        if any(a.HasField("g") for a in node.attribute):
            operands = list(variance)  # a body may read any value made so far
        incoming = max((variance.get(n, 0.0) for n in operands), default=0.0)
        outgoing = combine(incoming, added_variance(_step(node, types)))
        variance.update((n, outgoing) for n in node.output if n)
    ends = [output.name for output in model.graph.output] if names is None else names
    return {name: length_in(variance.get(name, 0.0), dtype=types.get(name, _FLOAT).dtype) for name in ends}


_FLOAT = TensorType(DataType.FLOAT)


def _step(node: onnx.NodeProto, types: Mapping[str, TensorType]) -> Step:
    return Step(
        op_type=node.op_type,
        operands=[types.get(n) if n else None for n in node.input],
        results=[types[n] for n in node.output if n in types],
        attributes=_attributes(node),
    )


def value_types(model: onnx.ModelProto) -> dict[str, TensorType]:
    """The types a model states and those that ONNX infers from them."""
    inferred = model
    if model.ByteSize() < _INFERENCE_LIMIT:
        try:
            inferred = shape_inference.infer_shapes(model)
        except shape_inference.InferenceError:
            inferred = model  # what is not known counts generously
    return dict(known_types(inferred))


def known_types(model: onnx.ModelProto) -> Iterator[tuple[str, TensorType]]:
    """The types a model states: of its values, inputs, outputs and initializers."""
    graph = model.graph
    for info in (*graph.value_info, *graph.input, *graph.output):
        if (found := tensor_type(info)) is not None:
            yield info.name, found
    for tensor in graph.initializer:
        yield tensor.name, TensorType(DataType(tensor.data_type), shape=tuple(tensor.dims))
