"""Tables for fuse-log-into-log-softmax."""

from collections.abc import Sequence

import numpy as np
from laws.pointwise import Steps, made_of

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Value
from convgraph.ir.ops import Log, Softmax

BOUND = 1e-6
"""Exponentials and logarithms round on dyadic numbers too."""


def log_softmax(*, axis: int = -1) -> Steps:
    """Made are the probabilities and their logarithm."""

    def steps(b: GraphBuilder, x: Value) -> Sequence[Value]:
        probabilities = b.add(Softmax(axis=axis), x)
        return probabilities, b.add(Log(), probabilities)

    return steps


EXAMPLES = {
    "matrix": made_of(log_softmax(), shape=("N", 6)),
    "channels of an image": made_of(log_softmax(axis=1)),
    "an old opset": made_of(log_softmax(), shape=("N", 6), opset=11),
    "half": made_of(log_softmax(axis=-3), dtype=np.float16),
    "double": made_of(log_softmax(), shape=("N", 6), dtype=np.float64),
}

NEAR_MISSES = {
    "nothing_else_reads_the_probabilities": [
        made_of(log_softmax(), shape=("N", 6), returned=0),
        made_of(log_softmax(axis=1), returned=0),
    ]
}
