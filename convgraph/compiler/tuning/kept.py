"""What was measured, kept for the next run: one file for each machine and version of onnxruntime.

The file lies in the user's cache folder, or where the user says, to be carried to another machine of the same
kind. It is written whole or not at all, and what several runs at once find goes into it together: each takes
its turn, reads what is there, adds its own, and puts the new file in the old one's place.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from filelock import FileLock
from platformdirs import user_cache_path

from convgraph.compiler.calibration.block import block_here
from convgraph.errors import ConvgraphError
from convgraph.exporters.replacing import replacing
from convgraph.numerics.session import runtime_version
from convgraph.report.summary import processor

SCHEMA = 1
"""Version of the text and of what the names in it mean."""

_SECTIONS = ("pairs", "models")


class InvalidTuning(ConvgraphError, ValueError):
    """A file that is no record of measurements, or one that this version does not know."""


class Kept:
    """Measurements by name, in sections: as read, and as added since.

    Raises InvalidTuning for a file of the user's that is none of these; one in the cache folder that is
    damaged is begun anew.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path, self._given = path or _path_here(), path is not None
        self._known = self._read()

    def get(self, section: str, name: str) -> Any:
        """What is known by a name; None where nothing is."""
        return self._known[section].get(name)

    def add(self, section: str, name: str, found: Any) -> None:
        """Keep what was found by a name, beside what others have kept meanwhile; theirs stands."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.path}.lock"):
            known = self._read()
            known[section].setdefault(name, found)
            self._known = known
            with replacing(self.path) as file:
                file.write(
                    (json.dumps({"schema": SCHEMA, **known}, indent=1, sort_keys=True) + "\n").encode()
                )

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            if content["schema"] != SCHEMA:
                raise KeyError("schema")  # noqa: TRY301 - told below like any other text that is not one
            return {section: dict(content[section]) for section in _SECTIONS}
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError) as error:
            if self._given:
                raise InvalidTuning(
                    str(self.path), found="another text", expected="a record of timings"
                ) from error
        return {section: {} for section in _SECTIONS}


def _path_here() -> Path:
    facts = (SCHEMA, processor(), os.cpu_count(), block_here(), runtime_version())
    digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
    return user_cache_path("convgraph", appauthor=False) / f"tuning-{digest}.json"


def name_of(facts: object) -> str:
    """A name for facts that are told by their text."""
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]
