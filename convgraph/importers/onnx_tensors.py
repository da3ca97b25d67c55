"""Constant data of ONNX files as Tensors that are read when first asked for.

External data is memory-mapped and must lie inside the model's own folder.
"""

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from google.protobuf.message import Message
from onnx import TensorProto, numpy_helper

from convgraph.errors import InvalidModel
from convgraph.importers.onnx_fields import AnyMessage
from convgraph.ir.tensor import MOST_AXES, Array, DataType, FileRange, Tensor

_MOST_DIGITS = 19  # of an offset in a file
_FIELDS = {
    DataType.FLOAT: "float_data",
    DataType.COMPLEX64: "float_data",
    DataType.DOUBLE: "double_data",
    DataType.COMPLEX128: "double_data",
    DataType.INT64: "int64_data",
    DataType.UINT32: "uint64_data",
    DataType.UINT64: "uint64_data",
    DataType.STRING: "string_data",
}  # every other type is stored in int32_data


def read_tensor(proto: TensorProto, *, base_dir: Path | None, name: str = "") -> Tensor:
    """The Tensor of a TensorProto; ``base_dir`` is where its external data lies.

    The elements stay in the message or the file until read. Raises InvalidModel, naming the tensor, for an
    unknown element type, a size that contradicts the declared shape, or external data outside ``base_dir``.
    """
    at = name or proto.name or "tensor"
    if proto.data_type not in DataType.__members__.values() or proto.data_type == DataType.UNDEFINED:
        raise InvalidModel(
            at, found=f"element type {proto.data_type}", expected="an element type that ONNX has"
        )
    dtype, shape = DataType(proto.data_type), tuple(proto.dims)
    if any(dim < 0 for dim in shape):
        raise InvalidModel(at, found=f"shape {shape}", expected="sizes of 0 or more")
    if len(shape) > MOST_AXES:
        raise InvalidModel(at, found=f"{len(shape)} axes", expected=f"at most {MOST_AXES}")
    if proto.data_location == TensorProto.EXTERNAL:
        return _external(proto, at=at, dtype=dtype, shape=shape, base_dir=base_dir)
    _check_size(proto, at=at, dtype=dtype, size=math.prod(shape))
    return Tensor.deferred(partial(_load, proto, dtype=dtype, shape=shape, at=at), dtype=dtype, shape=shape)


def embedded(message: AnyMessage, *, base_dir: Path | None, at: str) -> AnyMessage:
    """A message with the external data of all tensors in it read in: references dangle in another folder.

    ``at`` is what messages call a tensor without a name. Raises InvalidModel as ``read_tensor`` does.
    """
    if next(_outside(message), None) is None:
        return message
    inside = type(message)()
    inside.CopyFrom(message)
    for proto in list(_outside(inside)):
        array = read_tensor(proto, base_dir=base_dir, name=proto.name or at).numpy()
        proto.ClearField("data_location")
        proto.ClearField("external_data")
        proto.raw_data = numpy_helper.from_array(array).raw_data
    return inside


def _outside(message: Message) -> Iterator[TensorProto]:
    """The tensors in a message, however deep, whose data is external."""
    if isinstance(message, TensorProto):
        if message.data_location == TensorProto.EXTERNAL:
            yield message
        return
    for descriptor, value in message.ListFields():
        if descriptor.type == descriptor.TYPE_MESSAGE:
            for inner in value if descriptor.is_repeated else (value,):
                yield from _outside(inner)


def _check_size(proto: TensorProto, *, at: str, dtype: DataType, size: int) -> None:
    if proto.HasField("raw_data") and dtype is not DataType.STRING:
        found, expected, unit = len(proto.raw_data), (size * dtype.bits + 7) // 8, "bytes"
    else:
        found, expected, unit = len(getattr(proto, _field(dtype))), _stored(dtype, size), "numbers"
    if found != expected:
        shape = tuple(proto.dims)
        raise InvalidModel(
            at, found=f"{found} {unit} of data", expected=f"{expected} for {dtype.label} {shape}"
        )


def _field(dtype: DataType) -> str:
    return _FIELDS.get(dtype, "int32_data")


def _stored(dtype: DataType, size: int) -> int:
    """How many numbers a typed field holds: two for a complex one, one for a byte of packed small ones."""
    if dtype in (DataType.COMPLEX64, DataType.COMPLEX128):
        return 2 * size
    return (size * dtype.bits + 7) // 8 if 0 < dtype.bits < 8 else size


def _load(proto: TensorProto, *, dtype: DataType, shape: tuple[int, ...], at: str) -> Array:
    if dtype is DataType.STRING:
        strings = [data.decode("utf-8", "surrogateescape") for data in proto.string_data]
        return np.array(strings, dtype=object).reshape(shape)
    if proto.HasField("raw_data") and dtype.bits >= 8:
        return np.frombuffer(proto.raw_data, dtype=dtype.numpy).reshape(shape)
    try:
        return np.asarray(numpy_helper.to_array(proto)).reshape(shape)
    except (ValueError, TypeError) as error:
        raise InvalidModel(at, found=f"unreadable data ({error})", expected=dtype.label) from error


def _external(
    proto: TensorProto, *, at: str, dtype: DataType, shape: tuple[int, ...], base_dir: Path | None
) -> Tensor:
    entries = {entry.key: entry.value for entry in proto.external_data}
    path = _inside(entries.get("location", ""), at=at, base_dir=base_dir)
    size = math.prod(shape)
    nbytes = (size * dtype.bits + 7) // 8
    offset = _number(entries.get("offset", "0"), at=at)
    length = _number(entries.get("length", str(nbytes)), at=at)
    if dtype is DataType.STRING or length != nbytes:
        raise InvalidModel(
            at,
            found=f"{length} bytes of external data",
            expected=f"{nbytes} bytes for {dtype.label} {shape}",
        )
    available = path.stat().st_size
    if offset + nbytes > available:
        found = f"external data up to byte {offset + nbytes} of {path.name}"
        raise InvalidModel(at, found=found, expected=f"at most {available}, the size of the file")
    origin = FileRange(path, offset, nbytes)
    load = partial(_map, origin, dtype=dtype, shape=shape)
    return Tensor.deferred(load, dtype=dtype, shape=shape, origin=origin)


def _inside(location: str, *, at: str, base_dir: Path | None) -> Path:
    """The external file, which must lie in the model's folder also after following symbolic links."""
    if base_dir is None:
        raise InvalidModel(
            at, found=f"external data in {location!r}", expected="a model read from a file beside it"
        )
    root = base_dir.resolve()
    try:
        path = (root / location).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, a null byte
        found = f"external data in {location!r} ({error})"
        raise InvalidModel(at, found=found, expected="a file inside the model's folder") from error
    escapes = Path(location).is_absolute() or ".." in Path(location).parts or not path.is_relative_to(root)
    if not location or escapes:
        raise InvalidModel(
            at, found=f"external data in {location!r}", expected="a file inside the model's folder"
        )
    if not path.is_file():
        raise InvalidModel(at, found=f"no external data file {location!r}", expected="a readable file")
    return path


def _number(text: str, *, at: str) -> int:
    if not text.isdecimal() or len(text) > _MOST_DIGITS:
        raise InvalidModel(at, found=f"external data offset or length {text!r}", expected="a number")
    return int(text)


def _map(origin: FileRange, *, dtype: DataType, shape: tuple[int, ...]) -> Array:
    if origin.length == 0:
        return np.empty(shape, dtype=dtype.numpy)
    try:
        data = np.memmap(origin.path, dtype=np.uint8, mode="r", offset=origin.offset, shape=(origin.length,))
    except (OSError, ValueError) as error:  # gone, or cut short, since the model was read
        found = f"no data at byte {origin.offset}"
        raise InvalidModel(str(origin.path), found=found, expected="the file as it was") from error
    if dtype.bits >= 8:
        return np.asarray(data).view(dtype.numpy).reshape(shape)  # a memmap's every slice costs its class
    packed = TensorProto(data_type=int(dtype), dims=shape, raw_data=data.tobytes())
    return np.asarray(numpy_helper.to_array(packed)).reshape(shape)
