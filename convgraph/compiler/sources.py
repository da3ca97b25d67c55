"""Where a model comes from: a file, bytes, a protobuf message, a Graph, or a built-in demo."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import onnx
from onnx.external_data_helper import load_external_data_for_model, uses_external_data

from convgraph.errors import InvalidModel, NotLowered
from convgraph.exporters.onnx_model import to_onnx
from convgraph.importers.demo import demo
from convgraph.importers.onnx_model import from_onnx, read
from convgraph.importers.onnx_order import bodies
from convgraph.ir.graph import Graph

Source = str | os.PathLike[str] | bytes | BinaryIO | onnx.ModelProto | Graph

DEMO = "demo:"


def open_model(source: Source) -> onnx.ModelProto:
    """The model a source stands for; ``demo:NAME`` is a built-in one.

    Raises InvalidModel, naming the file, when there is no valid model.
    """
    if isinstance(source, Graph):
        return to_onnx(source)
    if isinstance(source, str) and source.startswith(DEMO):
        return to_onnx(demo(source.removeprefix(DEMO)))
    return read(source)


def load(source: Source, *, freeze_defaults: bool = False) -> Graph:
    """The graph a source stands for; a Graph is handed back as it is.

    ``freeze_defaults`` makes constants of the initializers that a caller could override.
    """
    if isinstance(source, Graph):
        return source
    with naming(source):
        return from_onnx(open_model(source), freeze_defaults=freeze_defaults, base_dir=folder_of(source))


def runnable(model: onnx.ModelProto, source: Source, *, edited: bool = False) -> onnx.ModelProto | Path:
    """What a runtime can open anywhere: the model itself, unless its weights lie beside the source.

    Then it is the source's path, or for a model ``edited`` since it was read, one with the weights inside.
    """
    path = path_of(source)
    if path is None or not _has_external_data(model.graph):
        return model
    if not edited:
        return path
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    load_external_data_for_model(whole, os.fspath(path.parent))
    return whole


def _has_external_data(graph: onnx.GraphProto) -> bool:
    """Whether a tensor of a graph, or of a body in it, lies in a file of its own."""
    held = (attribute.t for node in graph.node for attribute in node.attribute if attribute.HasField("t"))
    if any(map(uses_external_data, (*graph.initializer, *held))):
        return True
    return any(_has_external_data(body) for node in graph.node for body in bodies(node))


@contextmanager
def naming(source: Source) -> Iterator[None]:
    """Put the name of a source's file before what is found wrong with the model in it."""
    path = path_of(source)
    try:
        yield
    except (InvalidModel, NotLowered) as error:
        if path is None or error.at == os.fspath(path):
            raise
        found = f"{error.at}: {error.found}"
        raise type(error)(os.fspath(path), found=found, expected=error.expected) from error


def folder_of(source: Source) -> Path | None:
    """The folder in which a source's external data lies; None when it is not a file."""
    path = path_of(source)
    return None if path is None else path.parent


def path_of(source: Source) -> Path | None:
    """The file a source is; None when it is not one."""
    if isinstance(source, str) and source.startswith(DEMO):
        return None
    return Path(source) if isinstance(source, (str, os.PathLike)) else None
