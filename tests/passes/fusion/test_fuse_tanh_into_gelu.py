"""Tables for fuse-tanh-into-gelu, and when it is left alone."""

import numpy as np
import pytest
from laws.draw import Draw
from laws.gelus import BOUND, OUTER, of_tanh, scaled
from laws.pointwise import made_of

from convgraph.passes import FuseTanhIntoGelu, Pipeline

__all__ = ["BOUND"]

NEWEST = 20

EXAMPLES = {
    **{f"{outer}": made_of(of_tanh(outer=outer), opset=NEWEST) for outer in OUTER},
    **{f"{cube}": made_of(of_tanh(cube=cube), opset=NEWEST) for cube in ("mul", "factored")},
    "numbers left": made_of(of_tanh(cube="mul", left=True), opset=NEWEST),
    "half": made_of(of_tanh(cube="factored", left=True), dtype=np.float16, opset=NEWEST),
    "1-D": made_of(of_tanh(), shape=("N", 4, "L"), opset=NEWEST),
    "a newer opset": made_of(of_tanh(), opset=NEWEST + 1),
    "of a value times a number": made_of(scaled(of_tanh()), opset=NEWEST),
    "of a value times a number, by products": made_of(scaled(of_tanh(cube="mul")), opset=NEWEST),
}

NEAR_MISSES = {
    "the_numbers_are_those_of_a_gelu": [
        made_of(of_tanh(half=0.25), opset=NEWEST),
        made_of(of_tanh(bend=0.5), opset=NEWEST),
        made_of(of_tanh(bend=0.05, cube="factored"), opset=NEWEST),
    ]
}

OTHERS = {
    "another power": made_of(of_tanh(cube="fourth"), opset=NEWEST),
    "an older opset": made_of(of_tanh(), opset=NEWEST - 1),
    "the curve is returned": made_of(of_tanh(), opset=NEWEST, returned=1),
    "double": made_of(of_tanh(), dtype=np.float64, opset=NEWEST),
}


@pytest.mark.parametrize("other", OTHERS)
def test_anything_else_is_left_alone(other: str) -> None:
    _, trace = Pipeline([FuseTanhIntoGelu()]).run(OTHERS[other](Draw(dyadic=False)))
    assert not trace.applications
