"""What the other optimizers made of the patterns when last run: ``rivals.json`` beside this file."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

RECORD = Path(__file__).parent / "rivals.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What is left of a pattern: nodes, and bytes of the file (None where there is none)."""

    nodes: int | None
    bytes: int | None
    verdict: str = "equal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A pattern as it was when the others were run on it, and what they made of it."""

    operators: Mapping[str, int]
    before: Left
    rivals: Mapping[str, Left]

    def fewest_nodes(self) -> int:
        """The best of the others that is right, and never more than there were."""
        return min(left.nodes or 0 for left in (self.before, *self._right()))

    def fewest_bytes(self, *, nodes: int) -> float:
        """The smallest file among the others' that are right and have no more nodes than these.

        Doing nothing is not among them: weights that two convolutions share are stored twice once each has
        its own scale.
        """
        return min(
            (left.bytes or 0 for left in self._right() if (left.nodes or 0) <= nodes), default=math.inf
        )

    def _right(self) -> list[Left]:
        return [left for left in self.rivals.values() if left.verdict == "equal"]


def read() -> dict[str, Recorded]:
    """The record, by the patterns' names."""
    return {
        name: Recorded(
            operators=entry["operators"],
            before=Left(**entry["before"]),
            rivals={rival: Left(**left) for rival, left in entry["rivals"].items()},
        )
        for name, entry in json.loads(RECORD.read_text(encoding="utf-8"))["patterns"].items()
    }


def write(entries: Mapping[str, Recorded], *, versions: Mapping[str, str]) -> None:
    """Write the record anew, one line for a pattern."""
    lines = [f"  {json.dumps(name)}: {json.dumps(asdict(entry))}" for name, entry in sorted(entries.items())]
    patterns = ",\n".join(lines)
    text = f'{{\n "versions": {json.dumps(dict(versions))},\n "patterns": {{\n{patterns}\n }}\n}}\n'
    RECORD.write_text(text, encoding="utf-8")
