"""Which channels of a weight have to do with each other, and equal parts that keep those together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import gcd

import numpy as np

from convgraph.ir.tensor import Array


@dataclass(slots=True, kw_only=True)
class Part:
    """Numbers of rows and of columns of a matrix."""

    rows: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)

    def fits(self, other: "Part", *, high: int, wide: int) -> bool:
        """Whether this part has room for another, when it may be so high and so wide."""
        return len(self.rows) + len(other.rows) <= high and len(self.columns) + len(other.columns) <= wide


def equal_parts(linked: Array, *, more_than: int) -> list[Part] | None:
    """The rows and columns of a matrix (R, C) of booleans in the most equal parts that hold all that is true.

    Every part has R/n rows and C/n columns, and nothing is true of a row and a column of different parts. Of
    such n the largest that is found and more than ``more_than``; None when there is none. Components are put
    together first fit, so that a larger n may be missed where they are of many sizes.
    """
    rows, columns = linked.shape
    common = gcd(rows, columns)
    counts = [n for n in range(common, more_than, -1) if common % n == 0]
    components = sorted(
        _components(linked), key=lambda part: len(part.rows) + len(part.columns), reverse=True
    )
    packed = (_packed(components, count=n, high=rows // n, wide=columns // n) for n in counts)
    found = next((parts for parts in packed if parts is not None), None)
    return None if found is None else _filled(found, high=rows // len(found), wide=columns // len(found))


def _components(linked: Array) -> Iterator[Part]:
    """The connected components of rows and columns; what is linked to nothing is in none."""
    waiting = linked.any(axis=1)
    while waiting.any():
        new_rows = np.flatnonzero(waiting)[:1]
        rows, columns = np.zeros(len(linked), bool), np.zeros(linked.shape[1], bool)
        while new_rows.size:
            rows[new_rows] = True
            new_columns = np.flatnonzero(linked[new_rows].any(axis=0) & ~columns)
            columns[new_columns] = True
            new_rows = np.flatnonzero(linked[:, new_columns].any(axis=1) & ~rows)
        waiting &= ~rows
        yield Part(rows=np.flatnonzero(rows).tolist(), columns=np.flatnonzero(columns).tolist())


def _packed(components: Sequence[Part], *, count: int, high: int, wide: int) -> list[Part] | None:
    """The components in ``count`` parts, each in the first that has room; None when one fits nowhere."""
    parts = [Part() for _ in range(count)]
    for component in components:
        place = next((part for part in parts if part.fits(component, high=high, wide=wide)), None)
        if place is None:
            return None
        place.rows += component.rows
        place.columns += component.columns
    return parts


def _filled(parts: Sequence[Part], *, high: int, wide: int) -> list[Part]:
    """The parts in the order of their rows, sorted, and filled up with what is linked to nothing."""
    ordered = sorted(parts, key=lambda part: min(part.rows, default=high * len(parts)))
    spare_rows = _spare((part.rows for part in parts), high * len(parts))
    spare_columns = _spare((part.columns for part in parts), wide * len(parts))
    return [
        Part(
            rows=sorted(part.rows + [next(spare_rows) for _ in range(high - len(part.rows))]),
            columns=sorted(part.columns + [next(spare_columns) for _ in range(wide - len(part.columns))]),
        )
        for part in ordered
    ]


def _spare(taken: Iterator[Sequence[int]], count: int) -> Iterator[int]:
    used = set(chain.from_iterable(taken))
    return (number for number in range(count) if number not in used)
