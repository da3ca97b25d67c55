"""Files that are there whole or not at all, whenever a run is interrupted."""

from collections.abc import Iterable
from pathlib import Path


def put(path: Path, text: str) -> None:
    """Write a text file."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def is_newer(target: Path, sources: Iterable[Path]) -> bool:
    """Whether a file is there and none of those it is made from has changed since."""
    return target.exists() and all(source.stat().st_mtime <= target.stat().st_mtime for source in sources)
