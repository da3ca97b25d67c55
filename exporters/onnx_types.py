"""Types and constant data as ONNX messages."""

from onnx import TensorProto, TypeProto, ValueInfoProto, numpy_helper

from convgraph.ir.graph import ValueInfo
from convgraph.ir.tensor import DataType, Tensor, TensorType


def type_proto(type_: TensorType) -> TypeProto:
    """The TypeProto of a dense tensor; without a shape field when not even the rank is known."""
    proto = TypeProto()
    if type_.dtype is DataType.UNDEFINED and type_.shape is None:
        return proto
    tensor = proto.tensor_type
    tensor.elem_type = int(type_.dtype)
    if type_.shape is not None:
        tensor.shape.SetInParent()
        for size in type_.shape:
            dim = tensor.shape.dim.add()
            if isinstance(size, int):
                dim.dim_value = size
            elif size is not None:
                dim.dim_param = size
    return proto


def value_proto(info: ValueInfo, *, name: str) -> ValueInfoProto:
    """Name, type, doc string and metadata of a value."""
    proto = ValueInfoProto(name=name)
    kind = _denoted(info) if info.foreign is None else TypeProto.FromString(info.foreign)
    if kind.WhichOneof("value"):
        proto.type.CopyFrom(kind)
    if info.doc:
        proto.doc_string = info.doc
    for key, value in info.metadata.items():
        proto.metadata_props.add(key=key, value=value)
    return proto


def _denoted(info: ValueInfo) -> TypeProto:
    """The TypeProto of a dense tensor with the denotations it came with, unless its rank has changed."""
    proto = type_proto(info.type)
    if info.denotations and len(info.denotations) == len(proto.tensor_type.shape.dim) + 1:
        said, *axes = info.denotations
        if said:
            proto.denotation = said
        for dim, denotation in zip(proto.tensor_type.shape.dim, axes, strict=True):
            if denotation:
                dim.denotation = denotation
    return proto


def tensor_proto(tensor: Tensor, *, name: str) -> TensorProto:
    """The elements of a tensor, as raw little-endian data (strings as strings)."""
    proto = tensor_header(tensor, name=name)
    array = tensor.numpy()
    if tensor.dtype is DataType.STRING:
        proto.string_data.extend(_bytes(text) for text in array.reshape(-1).tolist())
    elif tensor.dtype.bits < 8:
        proto.raw_data = numpy_helper.from_array(array).raw_data
    else:
        proto.raw_data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return proto


def tensor_header(tensor: Tensor, *, name: str) -> TensorProto:
    """A TensorProto without its data."""
    return TensorProto(name=name, data_type=int(tensor.dtype), dims=tensor.shape)


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
