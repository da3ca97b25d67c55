"""Tables for fold-prelu-into-leaky-relu."""

import numpy as np
from laws.draw import Draw
from laws.prelu import sloped

from convgraph.passes import Pipeline
from convgraph.passes.fusion.fold_prelu_into_leaky_relu import FoldPreluIntoLeakyRelu

QUARTER = np.full((1,), 0.25)

EXAMPLES = {
    "one number": sloped(QUARTER),
    "one number, as many axes": sloped(QUARTER.reshape(1, 1, 1, 1)),
    "a scalar": sloped(QUARTER.reshape(())),
    "the same for every channel": sloped(np.full((4, 1, 1), -0.5)),
    "above one": sloped(np.full((1, 1), 2.0)),
    "zero": sloped(np.zeros(1)),
    "half": sloped(QUARTER, dtype=np.float16),
    "an old opset": sloped(QUARTER, opset=9),
}

NEAR_MISSES = {
    "the_slope_is_constant": [sloped(QUARTER, given="overridable"), sloped(QUARTER, given="computed")],
    "the_slope_is_one_number": [
        sloped(np.array([0.25, 0.25, 0.5, 0.25]).reshape(4, 1, 1)),
        sloped(np.array([0.0, 1.0, 0.0, 0.0]).reshape(1, 4, 1, 1)),
    ],
}


def test_one_of_doubles_stays() -> None:
    graph = sloped(QUARTER, dtype=np.float64)(Draw(dyadic=True))
    assert not Pipeline([FoldPreluIntoLeakyRelu()]).run(graph)[1].applications
