"""Tables for fuse-moments-into-instance-norm, and when it is left to others."""

import numpy as np
import pytest
from laws.draw import Draw
from laws.normalised import BOUND, spelled
from laws.pointwise import made_of

from convgraph.passes import FuseMomentsIntoInstanceNorm, Pipeline

__all__ = ["BOUND"]

EXAMPLES = {
    "image": made_of(spelled(2, 3)),
    "image, Pow": made_of(spelled(-1, -2, square="pow"), shape=("N", 3, 4, 5)),
    "inverse": made_of(spelled(2, 3, inverse="reciprocal", left=True)),
    "sequence": made_of(spelled(2), shape=("N", 4, "L")),
    "volume": made_of(spelled(2, 3, 4, inverse="power"), shape=("N", 3, "H", "W", 5)),
    "what is normalised is returned": made_of(spelled(2, 3), returned=0),
    "an old opset": made_of(spelled(2, 3), opset=9),
    "half": made_of(spelled(2, 3), dtype=np.float16),
}

NEAR_MISSES = {
    "nothing_else_reads_the_divisor": [
        made_of(spelled(2, 3), returned=2),
        made_of(spelled(2, 3, inverse="power"), returned=2),
    ]
}

OTHERS = {
    "unknown channels": made_of(spelled(2, 3), shape=("N", "L", "H", "W")),
    "one axis": made_of(spelled(3)),
    "the mean along other axes": made_of(spelled(2, 3, mean=(1, 2))),
    "no mean": made_of(spelled(2, 3, mean=None)),
    "doubles": made_of(spelled(2, 3), dtype=np.float64),
}


@pytest.mark.parametrize("other", OTHERS)
def test_anything_else_is_left_alone(other: str) -> None:
    _, trace = Pipeline([FuseMomentsIntoInstanceNorm()]).run(OTHERS[other](Draw(dyadic=False)))
    assert not trace.applications
