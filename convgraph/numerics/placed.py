"""A model changed in memory whose large tensors stay in the files where they are."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
from onnx import helper

if TYPE_CHECKING:  # a session opens what is defined here
    from convgraph.numerics.session import ModelSource


@dataclass(frozen=True, slots=True)
class Placed:
    """A serialised model, and the folder that its external data lies in."""

    data: bytes
    folder: str


def folder_of(source: "ModelSource") -> Path:
    """Where the external data of a model lies: beside its file; for one without, where the process is."""
    if isinstance(source, (bytes, onnx.ModelProto)):
        return Path()
    return Path(source.folder) if isinstance(source, Placed) else Path(source).parent


def exposed(source: "ModelSource", names: Iterable[str]) -> "ModelSource":
    """The model with more values among its outputs; nothing else is looked at or copied apart."""
    return _extended(source, onnx.GraphProto(output=[onnx.ValueInfoProto(name=name) for name in names]))


def measuring(source: "ModelSource", names: Iterable[str]) -> tuple["ModelSource", dict[str, str]]:
    """The model with further outputs that say which shapes some values have, and what those are called."""
    shapes = {name: f"shape of {name}" for name in names}
    nodes = [helper.make_node("Shape", [name], [shape]) for name, shape in shapes.items()]
    outputs = [onnx.ValueInfoProto(name=shape) for shape in shapes.values()]
    return _extended(source, onnx.GraphProto(node=nodes, output=outputs)), shapes


def renamed(source: "ModelSource", names: Mapping[str, str]) -> "ModelSource":
    """The model with copies of values under other names, given as the new name of each."""
    copies = [helper.make_node("Identity", [old], [new]) for new, old in names.items() if new != old]
    return _extended(source, onnx.GraphProto(node=copies))


def _extended(source: "ModelSource", graph: onnx.GraphProto) -> "ModelSource":
    """Messages one after the other are one message, with the lists of both."""
    more = onnx.ModelProto(graph=graph).SerializeToString()
    if isinstance(source, bytes):
        return source + more
    if isinstance(source, onnx.ModelProto):
        return bytes(source.SerializeToString() + more)
    if isinstance(source, Placed):
        return Placed(source.data + more, source.folder)
    with Path(source).open("rb") as file:
        data = b"".join((file.read(), more))
    return Placed(data, os.fspath(Path(source).absolute().parent))
