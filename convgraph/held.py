"""Files and folders that belong to a living process, and what killed ones left.

A process holds a lock on what it is still writing or using. The system lets go of it when the process ends,
however that ends, so what nobody holds is nobody's. Where a system has no such locks, temporary files stay.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType

_PREFIX = "convgraph-"
_MARK = ".in-use"
_DRAWN = r"[a-z0-9_]{8}"  # what tempfile puts into names


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder among the temporary files, gone at the end; what killed processes left goes first."""
    _sweep_folders(Path(tempfile.gettempdir()))
    while True:
        with tempfile.TemporaryDirectory(prefix=_PREFIX) as name, Path(name, _MARK).open("wb") as mark:
            hold(mark.fileno())
            if os.fstat(mark.fileno()).st_nlink == 0:
                continue  # taken for a leftover in the moment before it was held
            yield Path(name)
            return


def temporary_file(beside: Path) -> tuple[int, Path]:
    """A new file in the same folder, open and held; those that killed processes left there go first."""
    _sweep_files(beside)
    while True:
        handle, name = tempfile.mkstemp(dir=beside.parent, prefix=f".{beside.name}.", suffix=".part")
        hold(handle)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)  # taken for a leftover in the moment before it was held


def hold(handle: int, *, wait: bool = True) -> bool:
    """Lock an open file or folder until it is closed; whether that worked, or nobody can tell.

    Without ``wait``, False when another process, or this one through another handle, holds it.
    """
    locks = _locks()
    if locks is None:
        return True
    try:
        locks.flock(handle, locks.LOCK_EX | (0 if wait else locks.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return wait
    return True


def remove_if_left(path: Path, *, whole: Path | None = None) -> None:
    """Remove a file that no living process holds, or the folder ``whole`` that it marks.

    Where nobody can tell, it counts as left. Nobody else takes hold of it while it is removed.
    """
    try:
        handle = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return
    try:
        if not hold(handle, wait=False):
            return
        if whole is None:
            path.unlink(missing_ok=True)
        else:
            shutil.rmtree(whole, ignore_errors=True)
    finally:
        os.close(handle)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Let no other process into such a block for the same folder until this one has left it."""
    if _locks() is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        hold(handle)
        yield
    finally:
        os.close(handle)


def _sweep_files(beside: Path) -> None:
    ours = re.compile(rf"\.{re.escape(beside.name)}\.{_DRAWN}\.part")
    for path in _named(beside.parent, ours):
        remove_if_left(path)


def _sweep_folders(place: Path) -> None:
    for folder in _named(place, re.compile(re.escape(_PREFIX) + _DRAWN)):
        remove_if_left(folder / _MARK, whole=folder)


def _named(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if pattern.fullmatch(path.name)] if _locks() else []
    except OSError:  # a folder that may be written to and not listed
        return []


def _locks() -> ModuleType | None:
    try:
        return import_module("fcntl")
    except ImportError:
        return None
