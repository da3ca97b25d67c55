"""A model made ready in the very form it will have: judged as it stands, then put in its place, or dropped.

A model in one message stays in memory. One with its tensors in a file of their own is written out at once,
under names that nobody reads yet, so that no weight has to pass through memory for it to be judged: the data
under the name of its contents, the model as a temporary file beside it.
"""

import hashlib
import os
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Protocol

from onnx import ModelProto

from convgraph.errors import InvalidModel
from convgraph.exporters.external_data import Beside, data_name, remove_others
from convgraph.exporters.onnx_graph import Store
from convgraph.exporters.replacing import replacing, settle, temporary
from convgraph.held import alone_in, temporary_folder

Build = Callable[[Store], ModelProto]
"""Makes the message of a model with a store for its tensors."""

Place = Path | IO[bytes]


class Ready(Protocol):
    """A model that is whole, and not yet in its place."""

    @property
    def message(self) -> ModelProto:
        """The model's message; tensors in a file are only named in it."""

    @property
    def opened(self) -> ModelProto | Path:
        """What a runtime opens to run it."""

    @property
    def sha256(self) -> str:
        """Of the model's file, which names the data beside it by its contents."""

    @property
    def nbytes(self) -> int:
        """Bytes of the model's file and of the data beside it."""

    def settle(self) -> None:
        """Put it in its place. Raises OSError, with what was there untouched, when that cannot be."""

    def close(self) -> None:
        """Drop it, unless it was put in its place."""


class Message:
    """A model in memory; ``place`` is where it is to go, None when nowhere."""

    def __init__(self, message: ModelProto, *, place: Place | None) -> None:
        self.message, self._place = message, place

    @property
    def opened(self) -> ModelProto:
        """The message itself."""
        return self.message

    @property
    def sha256(self) -> str:
        """Of the file it makes."""
        return hashlib.sha256(serialised(self.message)).hexdigest()

    @property
    def nbytes(self) -> int:
        """Bytes of the file it makes."""
        return self.message.ByteSize()

    def settle(self) -> None:
        """Write it. Raises InvalidModel for a message of 2 GiB or more."""
        data = serialised(self.message)
        if isinstance(self._place, Path):
            with replacing(self._place) as file:
                file.write(data)
        elif self._place is not None:
            self._place.write(data)

    def close(self) -> None:
        """Nothing was written."""


class Staged:
    """A model on the disk, beside ``place``, or in a folder that lasts as long as this when that is None.

    Killed at any moment, what was in the place before is there, or the new model is, each with its data. Of
    several runs to one place the last is there in the end, with its data: what this one wrote it holds.
    """

    def __init__(self, build: Build, *, place: Path | None) -> None:
        with ExitStack() as undo:
            folder = None if place else undo.enter_context(temporary_folder())
            self._place = place or Path(str(folder), "model.onnx")
            self._file, self.opened = undo.enter_context(temporary(beside=self._place))
            self._data, size = _written_data(build, self._place, undo, model=self.opened)
            self.message = build(Beside(location=self._data.name))
            content = serialised(self.message)
            self._file.write(content)
            self._file.flush()
            self.sha256, self.nbytes = hashlib.sha256(content).hexdigest(), len(content) + size
            self._drop = weakref.finalize(self, undo.pop_all().close)

    def settle(self) -> None:
        """Rename the model over what is in its place, then remove the data that was only that one's."""
        with alone_in(self._place.parent):
            if not self._data.exists():
                raise InvalidModel(str(self._data), found="no file any more", expected="the data as written")
            settle(self._file, self.opened, self._place)
            self.close()
            remove_others(self._place, keep=self._data.name)

    def close(self) -> None:
        """Remove what was written and not put in its place."""
        self._drop()


def _written_data(build: Build, place: Path, undo: ExitStack, *, model: Path) -> tuple[Path, int]:
    """The data file, whole under the name of its contents, and its size.

    It is held until ``undo``, which removes it where it is new and the model was not renamed.
    """
    file, path = undo.enter_context(temporary(beside=place))
    build(Beside(file=file))
    file.flush()
    data, size = place.with_name(data_name(place, path)), path.stat().st_size
    if not data.exists():
        undo.callback(_withdraw, file, data, model=model)
    settle(file, path, data)
    return data, size


def _withdraw(file: IO[bytes], data: Path, *, model: Path) -> None:
    """Remove the data unless the model was renamed, or another run has put data of its own there."""
    own = os.fstat(file.fileno())
    if model.exists() and data.exists() and os.path.samestat(own, data.stat()):
        data.unlink()


def serialised(model: ModelProto) -> bytes:
    """A model's bytes, the same for equal models. Raises InvalidModel for 2 GiB or more of them."""
    try:
        return model.SerializeToString(deterministic=True)
    except ValueError as error:  # protobuf's word for a message above 2 GiB
        found = f"a message too large to write ({error})"
        raise InvalidModel("model", found=found, expected="external data") from error
