"""How fast a machine runs what onnxruntime's CPU provider does: a table of rates, measured once.

The table that comes with convgraph is the default, so that the same input gives the same bytes on every
machine; ``convgraph optimize --calibrate`` measures another.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from convgraph.errors import ConvgraphError

SCHEMA = 1
"""Version of the text and of what the names in it mean."""

_DIGITS = 3  # significant: a machine repeats itself no better


class InvalidRates(ConvgraphError, ValueError):
    """A text that is no table of rates, or one that this version does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What was measured on one machine, on one thread.

    ``block`` is how many channels the runtime's blocked layout keeps together: 8 with AVX2, 16 with AVX-512,
    1 where it has no such layout. ``table`` has a number for each name, each in the unit that the function
    which reads it states. ``machine`` and ``runtime`` say where the numbers come from.
    """

    block: int
    table: Mapping[str, float]
    machine: str = ""
    runtime: str = ""

    def __getitem__(self, name: str) -> float:
        """The number of this name."""
        return self.table[name]

    def as_json(self) -> str:
        """The table as a text, sorted, one number a line, of three significant digits each."""
        content = {
            "schema": SCHEMA,
            "machine": self.machine,
            "onnxruntime": self.runtime,
            "block": self.block,
            "rates": {name: _rounded(self.table[name]) for name in sorted(self.table)},
        }
        return json.dumps(content, indent=1, allow_nan=False) + "\n"

    @classmethod
    def of_json(cls, text: str, *, at: str = "rates") -> "Rates":
        """The table that ``as_json`` wrote; errors call it ``at``. Raises InvalidRates for any other text."""
        content = _content(text, at=at)
        block, table = content.get("block"), content.get("rates")
        if type(block) is not int or block < 1:
            raise InvalidRates(at, found=f"blocks of {block!r} channels", expected="a number of channels")
        if not isinstance(table, dict) or not all(_is_rate(number) for number in table.values()):
            raise InvalidRates(
                at, found="rates that are no numbers", expected="a finite number for each name"
            )
        return cls(
            block=block,
            table={name: float(number) for name, number in table.items()},
            machine=str(content.get("machine", "")),
            runtime=str(content.get("onnxruntime", "")),
        )


@cache
def committed() -> Rates:
    """The table that comes with convgraph."""
    return Rates.of_json(
        files(__package__).joinpath("rates.json").read_text(encoding="utf-8"), at="rates.json"
    )


def _content(text: str, *, at: str) -> Mapping[str, object]:
    """The fields of the text. Raises InvalidRates where it is no JSON object of this schema."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InvalidRates(at, found=f"not JSON ({error})", expected="a table of rates") from error
    if not isinstance(content, dict):
        raise InvalidRates(at, found="no JSON object", expected="a table of rates")
    if content.get("schema") != SCHEMA:
        found = f"schema {content.get('schema')!r}"
        raise InvalidRates(at, found=found, expected=f"schema {SCHEMA}: measure it anew")
    return content


def _is_rate(number: object) -> bool:
    return isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)


def _rounded(number: float) -> float:
    return float(f"{number:.{_DIGITS}g}")
