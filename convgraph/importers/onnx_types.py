"""ONNX's types as TensorTypes, and what ONNX's own shape inference says about a model.

Inference runs on a copy without the weights: constants above 4 KiB become typed inputs, so no weight is ever
copied.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto

from convgraph.errors import InvalidModel
from convgraph.importers.onnx_apart import inferred_apart
from convgraph.importers.onnx_order import bodies
from convgraph.importers.onnx_tensors import read_tensor
from convgraph.ir.tensor import UNKNOWN, DataType, Dim, TensorType

_FAILURES = (
    onnx.checker.ValidationError,
    onnx.defs.SchemaError,
    onnx.shape_inference.InferenceError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
)  # everything onnx raises over a model whose types do not fit together

_BY_CODE = {int(dtype): dtype for dtype in DataType}
_LONGEST = 1 << 12  # elements of a vector of sizes or axes: shapes have a handful
_SMALL = 4096  # bytes: what shape inference may want to see the elements of
_SIZES_FROM = {
    **dict.fromkeys(("BlackmanWindow", "ConstantOfShape", "HammingWindow", "HannWindow", "Range"), 0),
    **dict.fromkeys(("AffineGrid", "CenterCropPad", "Col2Im", "DFT", "Expand", "OneHot", "Pad"), 1),
    **dict.fromkeys(("MelWeightMatrix", "Reshape", "Resize", "Slice", "Split", "SplitToSequence"), 1),
    **dict.fromkeys(("Squeeze", "STFT", "Tile", "TopK", "Unsqueeze", "Upsample"), 1),
    **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax"), 1),
    **dict.fromkeys(("ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"), 1),
    "MaxUnpool": 2,
}
"""From which operand on they are sizes or axes: the result's shape depends on their elements."""


def element_type(code: int, *, at: str) -> DataType:
    """The element type with an ONNX code. Raises InvalidModel for a code ONNX does not have."""
    if code not in _BY_CODE:
        raise InvalidModel(at, found=f"element type {code}", expected="an element type that ONNX has")
    return _BY_CODE[code]


def is_dense(proto: TypeProto) -> bool:
    """Whether a type is a plain tensor's, or not stated at all."""
    return proto.WhichOneof("value") in (None, "tensor_type")


def tensor_type(proto: TypeProto, *, at: str) -> TensorType:
    """The TensorType of a dense tensor's TypeProto; UNKNOWN for anything else.

    Raises InvalidModel, naming ``at``, for an unknown element type.
    """
    if not proto.HasField("tensor_type"):
        return UNKNOWN
    tensor = proto.tensor_type
    shape = tuple(_dim(dim) for dim in tensor.shape.dim) if tensor.HasField("shape") else None
    return TensorType(element_type(tensor.elem_type, at=at), shape=shape)


def denotations(proto: TypeProto) -> tuple[str, ...]:
    """What a tensor and each of its axes stand for; empty where nothing is said, or it is no dense tensor."""
    said = (proto.denotation, *(dim.denotation for dim in proto.tensor_type.shape.dim))
    return said if is_dense(proto) and any(said) else ()


def _dim(dim: onnx.TensorShapeProto.Dimension) -> Dim:
    if dim.HasField("dim_value"):
        return dim.dim_value if dim.dim_value >= 0 else None
    # Some exporters write "?" for every size they do not know: these are not equal to each other.
    return dim.dim_param if dim.dim_param not in ("", "?") else None


def type_proto(type: TensorType) -> TypeProto:  # noqa: A002 - what it is
    """The TypeProto of a dense tensor."""
    proto = TypeProto()
    tensor = proto.tensor_type
    tensor.elem_type = int(type.dtype)
    if type.shape is not None:
        tensor.shape.SetInParent()
        for size in type.shape:
            dim = tensor.shape.dim.add()
            if isinstance(size, int):
                dim.dim_value = size
            elif size is not None:
                dim.dim_param = size
    return proto


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Types by value name; the same for bodies, by a node's first named result and the attribute's name."""

    types: Mapping[str, TypeProto] = field(default_factory=dict)
    bodies: Mapping[tuple[str, str], "_Found"] = field(default_factory=dict)


class Inferred:
    """What ONNX's shape inference says of one graph; it is run when that is first asked for.

    What the operations infer themselves is nearly always enough.
    """

    def __init__(self, find: Callable[[], _Found] = _Found) -> None:
        self._find = find

    @cached_property
    def _found(self) -> _Found:
        return self._find()

    @property
    def types(self) -> Mapping[str, TypeProto]:
        """Types by value name."""
        return self._found.types

    def body(self, node: NodeProto, attribute: str) -> "Inferred":
        """What is said of one body of a control-flow node; nothing when inference does not see it."""
        return Inferred(lambda: self._found.bodies.get((_key(node), attribute), _Found()))


def _key(node: NodeProto) -> str:
    return next((name for name in node.output if name), "")


def infer_types(model: ModelProto, nodes: Sequence[NodeProto], *, base_dir: Path | None) -> Inferred:
    """ONNX's shape inference, run at most once, over the model's sorted ``nodes``; failures find nothing.

    Symbols that inference makes up ("unk__3") are dropped: only names that the model states mean something.
    """

    def find() -> _Found:
        bare = _stripped(model, nodes, base_dir=base_dir)
        full = inferred_apart(bare) if bare.functions or computes_shapes(bare.graph) else _inferred(bare)
        return _Found() if full is None else _gathered(full.graph, symbols=_symbols(bare.graph))

    return Inferred(find)


def _inferred(bare: ModelProto) -> ModelProto | None:
    try:
        return onnx.shape_inference.infer_shapes(bare)
    except _FAILURES:
        return None


def computes_shapes(graph: GraphProto, *, outer: frozenset[str] = frozenset()) -> bool:
    """Whether an operator takes sizes or axes from a vector that is no constant and no short input.

    ``outer`` names such constants and inputs around the graph. Only the elements of a computed one are worth
    following, and only a computed or long one (or a Split that counts wrong) can make inference write a long
    vector out.
    """
    short = outer | {tensor.name for tensor in graph.initializer} | {""}
    short |= {value.name for value in graph.input if not _is_long(value)}
    short |= {name for node in graph.node if node.op_type == "Constant" for name in node.output}
    return any(
        not short.issuperset(_sizes(node))
        or any(a.name == "num_outputs" and a.i > len(node.output) for a in node.attribute)
        or any(computes_shapes(body, outer=frozenset(short)) for body in bodies(node))
        for node in graph.node
    )


def _sizes(node: NodeProto) -> Sequence[str]:
    first = _SIZES_FROM.get(node.op_type)
    return () if first is None else node.input[first:]


def _is_long(value: ValueInfoProto) -> bool:
    size = 1
    for dim in value.type.tensor_type.shape.dim:
        size *= max(1, dim.dim_value)
    return size > _LONGEST


def _stripped(model: ModelProto, nodes: Iterable[NodeProto], *, base_dir: Path | None) -> ModelProto:
    bare = ModelProto(ir_version=max(4, model.ir_version), opset_import=model.opset_import)
    bare.functions.extend(model.functions)
    graph, source = bare.graph, model.graph
    graph.name = source.name or "graph"
    graph.input.extend(source.input)
    graph.output.extend(source.output)
    graph.value_info.extend(source.value_info)
    stated = {value.name for value in source.input}
    for tensor in source.initializer:
        if _is_small(tensor) and (base_dir or tensor.data_location != TensorProto.EXTERNAL):
            graph.initializer.append(_embedded(tensor, base_dir=base_dir))
        elif tensor.name not in stated:
            graph.input.append(_typed_input(tensor, name=tensor.name))
    for node in nodes:
        if node.op_type == "Constant" and (big := _large_value(node)):
            graph.input.append(_typed_input(big, name=node.output[0]))
        else:
            graph.node.append(node)
    return bare


def _large_value(node: NodeProto) -> TensorProto | None:
    return next((a.t for a in node.attribute if a.name == "value" and not _is_small(a.t)), None)


def _is_small(tensor: TensorProto) -> bool:
    size = 1
    for dim in tensor.dims:
        size *= dim
    return size * 8 <= _SMALL


def _embedded(tensor: TensorProto, *, base_dir: Path | None) -> TensorProto:
    if tensor.data_location != TensorProto.EXTERNAL:
        return tensor
    return onnx.numpy_helper.from_array(read_tensor(tensor, base_dir=base_dir).numpy(), tensor.name)


def _typed_input(tensor: TensorProto, *, name: str) -> ValueInfoProto:
    kind = TensorType(element_type(tensor.data_type, at=name), shape=tuple(tensor.dims))
    return ValueInfoProto(name=name, type=type_proto(kind))


def _symbols(graph: GraphProto) -> frozenset[str]:
    """Every dimension name the model states, bodies included."""
    found = {
        dim.dim_param
        for value in (*graph.input, *graph.output, *graph.value_info)
        for dim in value.type.tensor_type.shape.dim
    }
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                found |= _symbols(attribute.g)
    return frozenset(found - {""})


def _gathered(graph: GraphProto, *, symbols: frozenset[str]) -> _Found:
    types = {value.name: value.type for value in (*graph.value_info, *graph.output)}
    for proto in types.values():
        for dim in proto.tensor_type.shape.dim if proto.HasField("tensor_type") else ():
            if dim.dim_param and dim.dim_param not in symbols:
                dim.Clear()
    bodies = {
        (_key(node), attribute.name): _gathered(attribute.g, symbols=symbols)
        for node in graph.node
        for attribute in node.attribute
        if attribute.type == onnx.AttributeProto.GRAPH
    }
    return _Found(types=types, bodies=bodies)


def infer_node(
    node: NodeProto, types: Iterable[tuple[str, TensorType]], *, known: Mapping[str, TensorProto], opset: int
) -> dict[str, TypeProto]:
    """The types of one node's results by ONNX's rules for its operator; nothing when it has none.

    ``types`` are the operands' names and types, ``known`` the small constants among them.
    """
    if node.domain or any(a.type == onnx.AttributeProto.GRAPH for a in node.attribute):
        return {}
    given = {name: type_proto(type_) for name, type_ in types}
    if any(name in given and _is_long(ValueInfoProto(type=given[name])) for name in _sizes(node)):
        return {}
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, "")
        return onnx.shape_inference.infer_node_outputs(schema, node, given, dict(known))
    except _FAILURES:
        return {}
