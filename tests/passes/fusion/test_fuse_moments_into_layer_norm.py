"""Tables for fuse-moments-into-layer-norm, and when it is left to others."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from laws.draw import Draw
from laws.normalised import BOUND, spelled
from laws.pointwise import Steps, made_of

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import LayerNormalization, Mul
from convgraph.passes import FuseMomentsIntoLayerNorm, Pipeline

__all__ = ["BOUND"]


def scaled(*shape: int) -> Steps:
    """The last axes, as many as a constant of a shape has, normalised and scaled by it."""

    def steps(b: GraphBuilder, x: Value) -> Sequence[Value]:
        rank = b.type(x).rank or 0
        *made, y = spelled(*range(max(rank - len(shape), 1 + (1 in shape)), rank))(b, x)
        return *made, y, b.add(Mul(), b.constant(np.full(shape, 2, np.float32)), y)

    return steps


EXAMPLES = {
    "sequence": made_of(spelled(-1), shape=("N", "L", 6)),
    "matrix": made_of(spelled(1, square="pow"), shape=("N", 6)),
    "channels last": made_of(spelled(3, inverse="reciprocal"), shape=("N", "H", "W", 6)),
    "all but the batch": made_of(spelled(1, 2, 3, inverse="quotient"), shape=("N", 3, 4, 5)),
    "axes in another order": made_of(spelled(-1, -2, inverse="power"), shape=("N", 3, 4)),
    "as many channels as there are": made_of(scaled(6), shape=("N", 4, 6)),
    "an image scaled by its pixels": made_of(scaled(5, 6), shape=("N", 4, 5, 6)),
    "channels": made_of(spelled(1), shape=("N", 16, "H", "W")),
    "channels of a sequence": made_of(spelled(-2, inverse="reciprocal"), shape=("N", 16, "L")),
    "channels, what is normalised is returned": made_of(spelled(1), shape=("N", 16, "L"), returned=0),
    "many elements": made_of(scaled(5000), shape=("N", 5000)),
    "constants left": made_of(spelled(2, inverse="power", left=True), shape=("N", "L", 6)),
    "what is normalised is returned": made_of(spelled(2), shape=("N", "L", 6), returned=0),
    "what is under the root is returned": made_of(spelled(2), shape=("N", "L", 6), returned=1),
    "half": made_of(spelled(2), shape=("N", "L", 6), dtype=np.float16),
}

NEAR_MISSES = {
    "nothing_else_reads_the_divisor": [
        made_of(spelled(2), shape=("N", "L", 6), returned=2),
        made_of(spelled(2, inverse="quotient"), shape=("N", "L", 6), returned=2),
    ],
    "what_goes_outweighs_the_transposes": [made_of(spelled(1), shape=("N", 16, "L"), returned=1)],
}

OTHERS = {
    "an older opset": made_of(spelled(2), shape=("N", "L", 6), opset=16),
    "few channels": made_of(spelled(1), shape=("N", 8, "H", "W")),
    "neither the last axes nor channels": made_of(spelled(2), shape=("N", "C", 16, "W")),
    "axes of which the last is left out": made_of(spelled(1, 2), shape=("N", 4, 6, 5)),
    "channels by themselves": made_of(spelled(2), shape=("N", 4, 6)),
    "channels with a scale of their own": made_of(scaled(4, 1), shape=("N", 4, 6)),
    "more elements than a file should hold for nothing": made_of(spelled(1), shape=("N", 5000)),
    "axes of unknown size": made_of(spelled(2), shape=("N", 4, "L")),
    "the mean along other axes": made_of(spelled(2, mean=(1,)), shape=("N", 4, 6)),
    "no mean": made_of(spelled(2, mean=None), shape=("N", 4, 6)),
    "the channels of an image": made_of(spelled(2, 3), shape=("N", 4, 6, 5)),
    "doubles": made_of(spelled(2), shape=("N", "L", 6), dtype=np.float64),
}


@pytest.mark.parametrize("other", OTHERS)
def test_anything_else_is_left_alone(other: str) -> None:
    build: Callable[[Draw], Graph] = OTHERS[other]
    graph = build(Draw(dyadic=False))
    result, trace = Pipeline([FuseMomentsIntoLayerNorm()]).run(graph)
    assert not trace.applications
    assert not any(isinstance(result.op(node), LayerNormalization) for node in result.compute_nodes())
