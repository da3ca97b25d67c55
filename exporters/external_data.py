"""Tensors in a file of their own, beside the model, named after its contents.

What lies in a file already is copied from there, range by range, without passing through memory. A data file
is whole before any model names it, and no model is left naming one that is gone: new data comes first, under
a name that only the same data can have, then the model, and the old data leaves last.
"""

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
from onnx import TensorProto

from convgraph.errors import InvalidModel
from convgraph.exporters.onnx_types import tensor_header, tensor_proto
from convgraph.held import remove_if_left
from convgraph.ir.tensor import DataType, FileRange, Tensor

_WORTH_MOVING = 1024  # bytes: smaller tensors stay in the model's file
_ALIGNMENT = 4096  # bytes: a memory page, so that runtimes can map tensors
_DIGITS = 16  # of the digest: enough to tell all data files of a folder apart
_CHUNK = 1 << 24  # bytes


class Beside:
    """The store that puts larger tensors one after another into the file called ``location``.

    With ``file`` it writes them there; without, it only says where they are. The order alone decides where.
    """

    def __init__(self, *, location: str = "", file: IO[bytes] | None = None) -> None:
        self._location, self._file, self._end = location, file, 0

    def __call__(self, tensor: Tensor, name: str) -> TensorProto:
        """The tensor's message, without data where that is in the file."""
        if not is_worth_moving(tensor):
            return tensor_proto(tensor, name=name)
        offset = -(-self._end // _ALIGNMENT) * _ALIGNMENT
        if self._file is not None:
            self._file.write(bytes(offset - self._end))
            _write(tensor, self._file)
        self._end = offset + tensor.nbytes
        proto = tensor_header(tensor, name=name)
        proto.data_location = TensorProto.EXTERNAL
        entries = {"location": self._location, "offset": offset, "length": tensor.nbytes}
        for key, value in entries.items():
            proto.external_data.add(key=key, value=str(value))
        return proto


def is_worth_moving(tensor: Tensor) -> bool:
    """Whether a tensor is large enough, and of a kind, to lie in a file of its own."""
    return tensor.nbytes >= _WORTH_MOVING and tensor.dtype is not DataType.STRING


def data_name(model: Path, data: Path) -> str:
    """What the data file of a model is called: after the model and its own contents."""
    with data.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{model.name}.{digest[:_DIGITS]}.data"


def remove_others(model: Path, *, keep: str) -> None:
    """Remove the data files that earlier versions of a model left, whole or interrupted.

    What another process holds stays: it is about to put a model there that needs it.
    """
    ours = re.compile(re.escape(model.name) + rf"\.[0-9a-f]{{{_DIGITS}}}\.data")
    for path in model.parent.iterdir():
        if ours.fullmatch(path.name) and path.name != keep:
            remove_if_left(path)


def _write(tensor: Tensor, file: IO[bytes]) -> None:
    if tensor.origin is not None:
        _copy(tensor.origin, file)
    elif tensor.dtype.bits < 8:
        file.write(tensor_proto(tensor, name="").raw_data)
    else:
        array = np.ascontiguousarray(tensor.numpy())
        file.write(array.view(np.uint8).reshape(-1).data)


def _copy(origin: FileRange, file: IO[bytes]) -> None:
    """Append a range of another file. Raises InvalidModel when it is not there any more."""
    try:
        with origin.path.open("rb") as source:
            left = _copied(source, file, origin=origin)
    except FileNotFoundError:
        left = origin.length
    if left:
        found = f"{left} bytes less than when the model was read"
        raise InvalidModel(str(origin.path), found=found, expected="the file as it was")


def _copied(source: IO[bytes], file: IO[bytes], *, origin: FileRange) -> int:
    """Copy, inside the kernel where that can do it; returns how many bytes were missing."""
    source.seek(origin.offset)
    file.flush()
    left = origin.length
    with suppress(OSError, AttributeError):  # not between these file systems, not with this kernel
        while left and (done := os.copy_file_range(source.fileno(), file.fileno(), left)):
            left -= done
    source.seek(origin.offset + origin.length - left)
    file.seek(0, os.SEEK_END)
    while left and (chunk := source.read(min(left, _CHUNK))):
        file.write(chunk)
        left -= len(chunk)
    return left
