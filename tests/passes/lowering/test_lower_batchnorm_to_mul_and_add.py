"""Tables for lower-batchnorm-to-mul-and-add."""

from collections.abc import Callable, Sequence

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import BatchNormalization, Relu
from convgraph.ir.tensor import DataType, Dim


def normed(
    *,
    shape: Sequence[Dim] = ("N", 4, "H", "W"),
    dtype: type = np.float32,
    given: str = "",
    training: int = 0,
) -> Callable[[Draw], Graph]:
    """A batch normalisation of x, and a Relu of it; ``given`` names a statistic to be overridable."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=tuple(shape), dtype=DataType.of(np.dtype(dtype)))
        statistics = {
            "scale": draw.factor(4, dtype=dtype),
            "beta": draw.weight(4, dtype=dtype),
            "mean": draw.weight(4, dtype=dtype),
            "var": draw.variance(4, dtype=dtype),
        }
        operands = [
            b.overridable(name, array) if name == given else b.constant(array, name=name)
            for name, array in statistics.items()
        ]
        op = BatchNormalization(epsilon=draw.epsilon, training_mode=training)
        y = b.add_all(op, x, *operands, names=("normed", "m", "v")[: 3 if training else 1])[0]
        b.output(b.add(Relu(), y), name="y")
        return b.build()

    return build


EXAMPLES = {
    "2-D": normed(),
    "1-D": normed(shape=("N", 4, "L")),
    "3-D": normed(shape=("N", 4, "H", "W", 3)),
    "no spatial axes": normed(shape=("N", 4)),
    "static": normed(shape=(2, 4, 7, 5)),
    "half": normed(dtype=np.float16),
    "double": normed(dtype=np.float64),
}

NEAR_MISSES = {
    "it_runs_in_inference": [normed(training=1)],
    "the_statistics_are_constant": [normed(given=name) for name in ("scale", "beta", "mean", "var")],
}
