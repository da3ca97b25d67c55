"""Tables for fold-batchnorm-into-conv."""

import ml_dtypes
import numpy as np
from laws.draw import Draw, feeds_for
from laws.nets import Tail, after_conv

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import BatchNormalization, Conv, ConvTranspose, Relu
from convgraph.numerics.evaluate import evaluate
from convgraph.passes import Pipeline
from convgraph.passes.fusion.fold_batchnorm_into_conv import FoldBatchnormIntoConv


def norm(channels: int = 6, *, dtype: type = np.float32, given: str = "", training: int = 0) -> Tail:
    """A batch normalisation; ``given`` names a statistic that a caller may override or must supply."""

    def tail(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        statistics = {
            "scale": draw.factor(channels, dtype=dtype),
            "beta": draw.weight(channels, dtype=dtype),
            "mean": draw.weight(channels, dtype=dtype),
            "var": draw.variance(channels, dtype=dtype),
        }
        operands = [
            b.overridable(name, array) if name == given else b.constant(array, name=name)
            for name, array in statistics.items()
        ]
        op = BatchNormalization(epsilon=draw.epsilon, training_mode=training)
        return b.add_all(op, x, *operands, names=("normed", "m", "v")[: 3 if training else 1])[0]

    return tail


def steep(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A float16 normalisation under which the weights overflow though the results need not."""
    del draw
    ones = np.ones(6, np.float16)
    return b.add(BatchNormalization(epsilon=0.0), x, np.full_like(ones, 60000.0), ones, ones, ones)


def two_readers(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """The convolution is read by the normalisation and by a Relu."""
    b.output(b.add(Relu(), x), name="other")
    return norm()(b, draw, x)


def shared_weight(draw: Draw) -> Graph:
    """Two convolutions share one weight and are normalised differently."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", 4, "H", "W"))
    weight = b.constant(draw.weight(6, 4, 3, 2), name="shared")
    for name in ("left", "right"):
        y = b.add(Conv.of(2, pads=1), x, weight)
        b.output(norm()(b, draw, y), name=name)
    return b.build()


EXAMPLES = {
    "2-D": after_conv(norm()),
    "no bias": after_conv(norm(), bias=False),
    "1-D": after_conv(norm(), rank=1, spatial=("L",)),
    "3-D": after_conv(norm(), rank=3),
    "groups": after_conv(norm(), group=2),
    "depthwise": after_conv(norm(4), channels=(4, 4), group=4),
    "oblong static": after_conv(norm(), spatial=(7, 6)),
    "double": after_conv(norm(dtype=np.float64), dtype=np.float64),
    "half": after_conv(norm(dtype=np.float16), dtype=np.float16),
    "transposed": after_conv(norm(), kind=ConvTranspose),
    "transposed groups": after_conv(norm(), kind=ConvTranspose, group=2, bias=False),
    "transposed 1-D": after_conv(norm(), kind=ConvTranspose, rank=1, spatial=("L",)),
    "transposed 3-D depthwise": after_conv(norm(4), kind=ConvTranspose, rank=3, channels=(4, 4), group=4),
    "shared weight": shared_weight,
}

NEAR_MISSES = {
    "it_normalises_in_inference_mode": [after_conv(norm(training=1), spatial=(7, 6))],
    "the_statistics_are_constant": [
        after_conv(norm(given=name)) for name in ("scale", "beta", "mean", "var")
    ],
    "the_weights_are_constant": [
        after_conv(norm(), overridable="weight"),
        after_conv(norm(), overridable="bias"),
        after_conv(norm(), computed="weight"),
    ],
    "the_folded_weights_are_finite": [after_conv(steep, dtype=np.float16)],
    "nothing_else_reads_the_convolution": [after_conv(two_readers), after_conv(norm(), returned=True)],
    "the_convolution_has_no_activation": [after_conv(norm(), activation=Relu())],
}


def test_bfloat16_is_folded_in_its_own_type() -> None:
    graph = after_conv(norm(dtype=ml_dtypes.bfloat16), dtype=ml_dtypes.bfloat16)(Draw(dyadic=True))
    folded, trace = Pipeline([FoldBatchnormIntoConv()]).run(graph)
    assert len(trace.applications) == 1
    for feeds in feeds_for(graph, dyadic=True):
        np.testing.assert_array_equal(evaluate(folded, feeds)["y"], evaluate(graph, feeds)["y"])
