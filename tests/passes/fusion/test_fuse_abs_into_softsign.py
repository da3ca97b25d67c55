"""Tables for fuse-abs-into-softsign, and when it is left alone."""

from collections.abc import Sequence

import numpy as np
import pytest
from laws.draw import Draw
from laws.pointwise import Steps, made_of

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Value
from convgraph.ir.ops import Abs, Add, Div, Relu
from convgraph.passes import FuseAbsIntoSoftsign, Pipeline

BOUND = 1e-6
"""Quotients by odd numbers round, on dyadic numbers too."""


def over_magnitude(*, number: float = 1.0, left: bool = False, other: bool = False) -> Steps:
    """A value over its magnitude, or that of an ``other``, plus a number."""

    def steps(b: GraphBuilder, x: Value) -> Sequence[Value]:
        magnitude = b.add(Abs(), b.add(Relu(), x) if other else x)
        c = b.constant(np.array(number, b.type(x).dtype.numpy), name="c")
        total = b.add(Add(), *((c, magnitude) if left else (magnitude, c)))
        return magnitude, total, b.add(Div(), x, total)

    return steps


EXAMPLES = {
    "image": made_of(over_magnitude()),
    "number left": made_of(over_magnitude(left=True)),
    "the magnitude is returned": made_of(over_magnitude(), returned=0),
    "1-D": made_of(over_magnitude(), shape=("N", 4, "L")),
    "half": made_of(over_magnitude(), dtype=np.float16),
}

NEAR_MISSES = {
    "the_number_is_one": [made_of(over_magnitude(number=2.0)), made_of(over_magnitude(number=-1.0))],
    "nothing_else_reads_the_divisor": [made_of(over_magnitude(), returned=1)],
}

OTHERS = {
    "the magnitude of another": made_of(over_magnitude(other=True)),
    "double": made_of(over_magnitude(), dtype=np.float64),
}


@pytest.mark.parametrize("other", OTHERS)
def test_anything_else_is_left_alone(other: str) -> None:
    _, trace = Pipeline([FuseAbsIntoSoftsign()]).run(OTHERS[other](Draw(dyadic=False)))
    assert not trace.applications
