"""Files that appear complete or not at all: written under a name of their own, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from convgraph.held import temporary_file


@contextmanager
def replacing(target: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes the place of ``target`` when the block ends well, else disappears.

    What is there and is no file, a device or a pipe, is written to instead: it must not be replaced.
    """
    if target.exists() and not target.is_file():
        with target.open("wb") as stream:
            yield stream
        return
    with temporary(beside=target) as (file, path):
        yield file
        settle(file, path, target)


@contextmanager
def temporary(*, beside: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """A file to write in the same folder, held by this process, gone at the end unless it was renamed."""
    handle, path = temporary_file(beside)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file, path
    finally:
        path.unlink(missing_ok=True)


def settle(file: IO[bytes], path: Path, target: Path) -> None:
    """Give a finished file its name, once all of it is on the disk."""
    file.flush()
    os.fsync(file.fileno())
    path.chmod(0o666 & ~_umask())
    path.replace(target)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
