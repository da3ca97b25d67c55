"""How a model leaves: as a ModelProto, or as a file that appears complete or not at all.

Tensors go into the file itself, or beside it (external data) when asked or when a protobuf message, which
holds less than 2 GiB, could not take them.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

import numpy as np
from onnx import ModelProto, TensorProto

from convgraph.errors import InvalidModel
from convgraph.exporters.onnx_graph import Store, inline, write_graph
from convgraph.exporters.onnx_types import tensor_header, tensor_proto
from convgraph.ir.graph import Graph
from convgraph.ir.ops.constant import Constant, Input
from convgraph.ir.ops.opaque import Opaque
from convgraph.ir.tensor import DataType, Tensor

ExternalData = Literal["auto", "always", "never"]

_MESSAGE_LIMIT = 1_900_000_000  # bytes of tensors that surely fit a message, which ends at 2 GiB
_WORTH_MOVING = 1024  # bytes: smaller tensors stay in the file
_ALIGNMENT = 4096  # bytes: a memory page, so that runtimes can map tensors


def to_onnx(graph: Graph) -> ModelProto:
    """The ModelProto of a graph, everything inside it; the same graph always gives the same message.

    Raises UnsupportedOp, naming the node, for an operation that the model's opset cannot say.
    """
    return _model(graph, store=inline)


def _model(graph: Graph, *, store: Store) -> ModelProto:
    info = graph.model
    model = ModelProto.FromString(info.carried)
    model.ir_version = max(4, info.ir_version)
    for domain, version in info.opsets.items():
        model.opset_import.add(domain=domain, version=version)
    name, release = info.producer
    stated: dict[str, str | int] = {"producer_name": name, "producer_version": release, "domain": info.domain}
    stated |= {"model_version": info.version, "doc_string": info.doc}
    for field, value in stated.items():
        if value:
            setattr(model, field, value)
    for key, text in info.metadata.items():
        model.metadata_props.add(key=key, value=text)
    model.graph.SetInParent()
    write_graph(graph, opset=info.opset, store=store, into=model.graph)
    return model


def save(
    graph: Graph,
    path: str | os.PathLike[str] | IO[bytes],
    *,
    external_data: ExternalData = "auto",
    message: ModelProto | None = None,
) -> None:
    """Write a graph to a file, or into a binary file object.

    The file is written beside its place and renamed when complete: on any failure what was there stays and
    nothing is left behind. ``external_data`` puts tensors into ``<name>.data`` beside it: "auto" only when
    they do not fit into one message. ``message`` is what ``to_onnx`` made of the graph, where that is at
    hand: the very one is written, external data aside. Raises InvalidModel for external data into a file
    object, and UnsupportedOp as ``to_onnx`` does.
    """
    external = external_data == "always" or (external_data == "auto" and tensor_bytes(graph) > _MESSAGE_LIMIT)
    if not isinstance(path, (str, os.PathLike)):
        if external:
            raise InvalidModel("stream", found="external data", expected="a file to put it beside")
        path.write(_serialised(to_onnx(graph) if message is None else message))
        return
    target = Path(path)
    if not external:
        data = _serialised(to_onnx(graph) if message is None else message)
        with replacing(target) as file:
            file.write(data)
        return
    beside = target.with_name(target.name + ".data")
    with replacing(target) as file, replacing(beside) as data_file:
        file.write(_serialised(_model(graph, store=_Outside(data_file, location=beside.name))))


def _serialised(model: ModelProto) -> bytes:
    try:
        return model.SerializeToString(deterministic=True)
    except ValueError as error:  # protobuf's word for a message above 2 GiB
        found = f"a message too large to write ({error})"
        raise InvalidModel("model", found=found, expected="external data") from error


def tensor_bytes(graph: Graph) -> int:
    """Bytes of all constants of a graph, its bodies' included."""
    total = 0
    for node in graph.nodes():
        op = graph.op(node)
        tensor = op.tensor if isinstance(op, Constant) else op.default if isinstance(op, Input) else None
        total += 0 if tensor is None else tensor.nbytes
        if isinstance(op, Opaque):
            total += sum(map(len, op.encoded.values()))
            total += sum(tensor_bytes(body) for body in op.subgraphs.values())
    return total


class _Outside:
    """The store that writes larger tensors one after another into a file of their own."""

    def __init__(self, file: IO[bytes], *, location: str) -> None:
        self.file, self.location, self.end = file, location, 0

    def __call__(self, tensor: Tensor, name: str) -> TensorProto:
        if tensor.nbytes < _WORTH_MOVING or tensor.dtype is DataType.STRING:
            return tensor_proto(tensor, name=name)
        offset = -(-self.end // _ALIGNMENT) * _ALIGNMENT
        self.file.write(bytes(offset - self.end))
        length = self._write(tensor)
        self.end = offset + length
        proto = tensor_header(tensor, name=name)
        proto.data_location = TensorProto.EXTERNAL
        for key, value in (("location", self.location), ("offset", offset), ("length", length)):
            proto.external_data.add(key=key, value=str(value))
        return proto

    def _write(self, tensor: Tensor) -> int:
        if tensor.dtype.bits < 8:
            return self.file.write(tensor_proto(tensor, name="").raw_data)
        array = np.ascontiguousarray(tensor.numpy())
        return self.file.write(array.view(np.uint8).reshape(-1).data)


@contextmanager
def replacing(target: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes the place of ``target`` when the block ends well, else disappears."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
