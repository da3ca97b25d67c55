"""A result that is further off than it should be, settled by what the model means: float64 arithmetic.

Two float results of one function lie as far apart as both are from the truth. How far roundings carry a
result from it is seen in float64, too, where what every operation makes is rounded up or down at random: so
it also shows where moving what the model reads does not, because that cancels and roundings do not
(a large number added and taken away again). A result is right that is no further from the truth than such
roundings, the original's noise, or twice the original's own error, part by part.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from convgraph.ir.tensor import Array, DataType
from convgraph.numerics.deviation import Errors, errors, is_finite
from convgraph.numerics.feeds import Feeds
from convgraph.numerics.noise import FACTOR
from convgraph.numerics.parts import Bound, Nearest, nearest
from convgraph.numerics.session import ModelSource
from convgraph.numerics.tolerance import is_exact, unit_roundoff

CLOSE = 4.0  # times what explains the original's error: beyond that its meaning is another
SECONDS = 60.0  # for all runs of one model on one trial in float64
_NO_FURTHER = 2.0  # times the original's own error


@dataclass(frozen=True, slots=True)
class Truth:
    """What a model returns in float64, and how far roundings on the way carry each result from that.

    Both are empty where the first cannot be computed.
    """

    results: Mapping[str, Array] = field(default_factory=dict)
    movements: Mapping[str, Errors] = field(default_factory=dict)


Meaning = Callable[[ModelSource, Feeds, float], Truth]
"""What a model means on some feeds, computed until a time of ``time.monotonic``."""


def is_close(relative: float, want: Array) -> bool:
    """Whether an error may be a question of roundings: it leaves half the digits of its part as they are."""
    return relative <= math.sqrt(unit_roundoff(DataType.of(want.dtype)))


def settled(
    truth: Array, want: Array, got: Array, *, derived: Bound, least: Bound, movement: Errors | None
) -> Nearest | None:
    """The part of a result furthest from the truth, where none is too far; None where that is not shown.

    ``want`` is the original's result. It has to be as near to the truth as ``derived``, or as the
    ``movement`` of its roundings explains: what lies further away may be another meaning, which excuses
    nothing. A result that needs no excuse is right beside an original only a few times further away.
    """
    if truth.shape != want.shape or is_exact(DataType.of(want.dtype)):
        return None
    if not all(map(is_finite, (truth, want, got))):
        return None
    own = errors(truth, want)
    if (part := nearest(truth, own, bound=derived, movement=movement)).error > CLOSE * part.allowed:
        return None
    excuse = own * (_NO_FURTHER / FACTOR if part.error <= part.allowed else 0.0)
    allowed = excuse if movement is None else np.maximum(excuse, movement)
    part = nearest(truth, errors(truth, got), bound=least, movement=allowed)
    return part if part.error <= part.allowed else None
