"""Tables for fuse-mean-square-into-rms-norm, and when it is left to others."""

import numpy as np
import pytest
from laws.draw import Draw
from laws.normalised import BOUND, spelled
from laws.pointwise import made_of

from convgraph.passes import FuseMeanSquareIntoRmsNorm, Pipeline

__all__ = ["BOUND"]

EXAMPLES = {
    "sequence": made_of(spelled(-1, mean=None), shape=("N", "L", 6), opset=23),
    "matrix, Pow": made_of(spelled(1, mean=None, square="pow"), shape=("N", 6), opset=23),
    "inverse": made_of(spelled(2, mean=None, inverse="quotient"), shape=("N", "L", 6), opset=24),
    "two axes": made_of(spelled(2, 3, mean=None), shape=("N", "L", 4, 5), opset=23),
    "what is under the root is returned": made_of(
        spelled(2, mean=None), shape=("N", "L", 6), opset=23, returned=1
    ),
}

NEAR_MISSES = {
    "nothing_else_reads_the_divisor": [
        made_of(spelled(2, mean=None), shape=("N", "L", 6), opset=23, returned=2),
        made_of(spelled(2, mean=None, inverse="power"), shape=("N", "L", 6), opset=23, returned=2),
    ]
}

OTHERS = {
    "one less the root": made_of(spelled(2, mean=None, inverse="difference"), shape=("N", "L", 6), opset=23),
    "a cube": made_of(spelled(2, mean=None, square="cube"), shape=("N", "L", 6), opset=23),
    "the square of another": made_of(
        spelled(2, mean=None, square="of another"), shape=("N", "L", 6), opset=23
    ),
    "nothing added": made_of(spelled(2, mean=None, epsilon=False), shape=("N", "L", 6), opset=23),
    "an older opset": made_of(spelled(2, mean=None), shape=("N", "L", 6), opset=22),
    "axes that are not the last": made_of(spelled(1, mean=None), shape=("N", 4, 6), opset=23),
    "axes of unknown size": made_of(spelled(2, mean=None), shape=("N", 4, "L"), opset=23),
    "doubles": made_of(spelled(2, mean=None), shape=("N", "L", 6), opset=23, dtype=np.float64),
}


@pytest.mark.parametrize("other", OTHERS)
def test_anything_else_is_left_alone(other: str) -> None:
    _, trace = Pipeline([FuseMeanSquareIntoRmsNorm()]).run(OTHERS[other](Draw(dyadic=False)))
    assert not trace.applications
