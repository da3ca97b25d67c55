"""How a model leaves: as a ModelProto, or as a file that appears complete or not at all.

Tensors go into the file itself, or beside it (external data) when asked, when they came that way, or when a
protobuf message, which holds less than 2 GiB, could not take them.
"""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Literal

from onnx import ModelProto

from convgraph.errors import InvalidModel
from convgraph.exporters.external_data import is_worth_moving
from convgraph.exporters.onnx_functions import drop_uncalled
from convgraph.exporters.onnx_graph import Store, inline, write_graph
from convgraph.exporters.staged import Message, Place, Ready, Staged
from convgraph.ir.collecting import collecting_rarely
from convgraph.ir.graph import Graph
from convgraph.ir.ops.base import Op
from convgraph.ir.ops.constant import Constant, Input
from convgraph.ir.ops.opaque import Opaque
from convgraph.ir.tensor import Tensor

ExternalData = Literal["auto", "always", "never"]

_MESSAGE_LIMIT = 1_900_000_000  # bytes of tensors that surely fit a message, which ends at 2 GiB


def to_onnx(graph: Graph) -> ModelProto:
    """The ModelProto of a graph, everything inside it; the same graph always gives the same message.

    Raises UnsupportedOp, naming the node, for an operation that the model's opset cannot say.
    """
    return message_of(graph, store=inline)


@collecting_rarely()
def message_of(graph: Graph, *, store: Store) -> ModelProto:
    """The ModelProto of a graph with its tensors where ``store`` puts them. Raises as ``to_onnx`` does."""
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
    if info.released:
        drop_uncalled(model, released=info.released)
    return model


def save(
    graph: Graph,
    path: str | os.PathLike[str] | IO[bytes],
    *,
    external_data: ExternalData = "auto",
) -> None:
    """Write a graph to a file, or into a binary file object.

    The file is written beside its place and renamed when complete: on any failure what was there stays and
    nothing is left behind. ``external_data`` puts tensors into ``<name>.<digest>.data`` beside it, in place
    of such a file there: "auto" only where they came from such a file or do not fit into one message. Raises
    InvalidModel for external data into a file object, and UnsupportedOp as ``to_onnx`` does.
    """
    place = Path(path) if isinstance(path, (str, os.PathLike)) else path
    with closing(ready(graph, place=place, external_data=external_data)) as model:
        model.settle()


def ready(
    graph: Graph, *, place: Place | None, external_data: ExternalData = "auto", apart: bool = False
) -> Ready:
    """The model of a graph, to be judged and put in its place later; close it in any case.

    Without a place it can only be judged. ``apart`` says that the model it was made from has its tensors in
    a file beside it, which "auto" follows. Raises as ``save`` does.
    """
    beside = place is None or _is_for_files(place)
    if external_data == "always" and not beside:
        raise InvalidModel("stream", found="external data", expected="a file to put it beside")
    came_apart = apart or has_data_apart(graph)
    wanted = (came_apart and beside) or tensor_bytes(graph) > _MESSAGE_LIMIT or external_data == "always"
    if external_data == "never" or not wanted or not any(map(is_worth_moving, tensors(graph))):
        return Message(to_onnx(graph), place=place)
    if not beside:
        raise InvalidModel("stream", found="more than a message holds", expected="a file to put data beside")
    assert place is None or isinstance(place, Path)
    return Staged(lambda store: message_of(graph, store=store), place=place)


def _is_for_files(place: Place) -> bool:
    """Whether a file can take the place, and not only bytes."""
    return isinstance(place, Path) and (place.is_file() or not place.exists())


def tensor_bytes(graph: Graph) -> int:
    """Bytes of all constants of a graph, its bodies' included."""
    plain = sum(sum(map(len, op.encoded.values())) for op in _operations(graph) if isinstance(op, Opaque))
    return plain + sum(tensor.nbytes for tensor in tensors(graph))


def has_data_apart(graph: Graph) -> bool:
    """Whether a tensor that is worth it lies in a file of its own."""
    return any(tensor.origin is not None and is_worth_moving(tensor) for tensor in tensors(graph))


def tensors(graph: Graph) -> Iterator[Tensor]:
    """The constants of a graph and the defaults of its inputs, its bodies' included."""
    for op in _operations(graph):
        tensor = op.tensor if isinstance(op, Constant) else op.default if isinstance(op, Input) else None
        if tensor is not None:
            yield tensor


def _operations(graph: Graph) -> Iterator[Op]:
    for node in graph.nodes():
        op = graph.op(node)
        yield op
        if isinstance(op, Opaque):
            for body in op.subgraphs.values():
                yield from _operations(body)
