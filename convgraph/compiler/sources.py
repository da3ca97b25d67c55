"""Where a model comes from: a file, bytes, a protobuf message, a Graph, or a built-in demo."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import onnx
from onnx.external_data_helper import uses_external_data

from convgraph.errors import InvalidModel, NotLowered, UnsupportedOp
from convgraph.exporters.onnx_model import to_onnx
from convgraph.held import temporary_folder
from convgraph.importers.demo import demo
from convgraph.importers.onnx_model import from_onnx, read
from convgraph.ir.graph import Graph
from convgraph.numerics.structure import tensors_in

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


@contextmanager
def runnable(
    model: onnx.ModelProto, source: Source, *, edited: bool = False
) -> Iterator[onnx.ModelProto | Path]:
    """What a runtime can open anywhere: the model itself, unless its weights lie beside the source.

    Then it is the source's path, or for a model ``edited`` since it was read, that of a copy.
    """
    path = path_of(source)
    if path is None or not any(map(uses_external_data, tensors_in(model.graph))):
        yield model
    elif not edited:
        yield path
    else:
        with temporary_folder() as folder:
            yield _copied(model, path.parent, into=folder)


def _copied(model: onnx.ModelProto, beside: Path, *, into: Path) -> Path:
    """The path of a model written into another folder, with the files its tensors lie in."""
    files = (
        entry.value for t in tensors_in(model.graph) for entry in t.external_data if entry.key == "location"
    )
    for location in {*files}:
        (into / location).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(beside / location, into / location)
    path = into / "model.onnx"
    while path.exists():  # a data file of that name
        path = path.with_name(f"_{path.name}")
    path.write_bytes(model.SerializeToString())
    return path


@contextmanager
def naming(source: Source) -> Iterator[None]:
    """Put the name of a source's file before what is found wrong with the model in it."""
    path = path_of(source)
    try:
        yield
    except (InvalidModel, UnsupportedOp, NotLowered) as error:
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
