"""A close call between two results, settled by what the model means: float64 arithmetic.

Two float results of one function lie as far apart as both are from the truth. Where they are a little further
apart than the original's noise suggests, the truth says which of them is: a result no further from it than
twice the original's own error, part by part, is right.
"""

from collections.abc import Callable, Mapping

import numpy as np

from convgraph.ir.tensor import Array, DataType
from convgraph.numerics.deviation import errors, is_finite
from convgraph.numerics.feeds import Feeds
from convgraph.numerics.noise import FACTOR
from convgraph.numerics.parts import Bound, Nearest, nearest
from convgraph.numerics.session import ModelSource
from convgraph.numerics.tolerance import is_exact

Meaning = Callable[[ModelSource, Feeds, float], Mapping[str, Array]]
"""What a model returns in float64, computed until a time of ``time.monotonic``; {} where that cannot be."""

CLOSE = 4.0  # times what is allowed: an error beyond that is no question of roundings
SECONDS = 60.0  # for one run in float64
_NO_FURTHER = 2.0  # times the original's own error


def settled(truth: Array, want: Array, got: Array, *, derived: Bound, least: Bound) -> Nearest | None:
    """The part of a result furthest from the truth, where none is too far; None where that is not shown.

    ``want`` is the original's result. It has to be within ``derived`` of the truth: what lies further away
    is not its roundings but another meaning, which excuses nothing.
    """
    if truth.shape != want.shape or is_exact(DataType.of(want.dtype)):
        return None
    if not all(map(is_finite, (truth, want, got))):
        return None
    own = errors(truth, want)
    if (part := nearest(truth, own, bound=derived, movement=None)).error > part.allowed:
        return None
    allowed = np.asarray(own * (_NO_FURTHER / FACTOR))
    part = nearest(truth, errors(truth, got), bound=least, movement=allowed)
    return part if part.error <= part.allowed else None
