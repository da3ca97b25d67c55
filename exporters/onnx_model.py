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

from onnx import ModelProto

from convgraph.errors import InvalidModel
from convgraph.exporters.external_data import Beside, data_name, remove_others
from convgraph.exporters.onnx_graph import Store, inline, write_graph
from convgraph.ir.graph import Graph
from convgraph.ir.ops.constant import Constant, Input
from convgraph.ir.ops.opaque import Opaque

ExternalData = Literal["auto", "always", "never"]

_MESSAGE_LIMIT = 1_900_000_000  # bytes of tensors that surely fit a message, which ends at 2 GiB


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
    nothing is left behind. ``external_data`` puts tensors into ``<name>.<digest>.data`` beside it, in place
    of such a file there: "auto" only when they do not fit into one message. ``message`` is what ``to_onnx``
    made of the graph, where that is at hand: the very one is written, external data aside. Raises
    InvalidModel for external data into a file object, and UnsupportedOp as ``to_onnx`` does.
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
    _save_apart(graph, target)


def _save_apart(graph: Graph, target: Path) -> None:
    """Write the data, then the model: killed at any moment, either the old ones are there or the new."""
    with _temporary(beside=target) as (file, path):
        _model(graph, store=Beside(file=file))
        file.flush()
        data = target.with_name(data_name(target, path))
        fresh = not data.exists()
        _settle(file, path, data)
    try:
        message = _serialised(_model(graph, store=Beside(location=data.name)))
        with replacing(target) as file:
            file.write(message)
    except BaseException:
        if fresh:
            data.unlink()
        raise
    remove_others(target, keep=data.name)


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


@contextmanager
def replacing(target: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes the place of ``target`` when the block ends well, else disappears."""
    with _temporary(beside=target) as (file, path):
        yield file
        _settle(file, path, target)


@contextmanager
def _temporary(*, beside: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """A file to write in the same folder, gone at the end unless it was renamed."""
    handle, name = tempfile.mkstemp(dir=beside.parent, prefix=f".{beside.name}.", suffix=".part")
    path = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file, path
    finally:
        path.unlink(missing_ok=True)


def _settle(file: IO[bytes], path: Path, target: Path) -> None:
    """Give a finished file its name, once all of it is on the disk."""
    file.flush()
    os.fsync(file.fileno())
    path.chmod(0o666 & ~_umask())
    path.replace(target)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
