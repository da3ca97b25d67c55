"""Tables for fold-batchnorm-into-next-conv."""

import numpy as np
from laws.before import Head, before_conv
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Value
from convgraph.ir.ops import BatchNormalization, Conv, ConvTranspose, Relu
from convgraph.passes import FoldBatchnormIntoNextConv, Pipeline


def norm(*, dtype: type = np.float32, given: str = "", training: int = 0, shifts: bool = True) -> Head:
    """A batch normalisation; ``given`` names a statistic that a caller may override."""

    def head(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        statistics = {
            "scale": draw.factor(4, dtype=dtype),
            "beta": draw.weight(4, dtype=dtype) * dtype(shifts),
            "mean": draw.weight(4, dtype=dtype) * dtype(shifts),
            "var": draw.variance(4, dtype=dtype),
        }
        operands = [
            b.overridable(name, array) if name == given else b.constant(array, name=name)
            for name, array in statistics.items()
        ]
        op = BatchNormalization(epsilon=draw.epsilon, training_mode=training)
        return b.add_all(op, x, *operands, names=("normed", "m", "v")[: 3 if training else 1])[0]

    return head


def steep(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A float16 normalisation under which the weights overflow though the results need not."""
    del draw
    ones = np.ones(4, np.float16)
    return b.add(BatchNormalization(epsilon=0.0), x, np.full_like(ones, 60000.0), 0 * ones, 0 * ones, ones)


EXAMPLES = {
    "2-D": before_conv(norm()),
    "no bias": before_conv(norm(), bias=False),
    "1-D": before_conv(norm(), rank=1, spatial=("L",)),
    "3-D": before_conv(norm(), rank=3),
    "groups": before_conv(norm(), group=2),
    "oblong static": before_conv(norm(), spatial=(7, 6)),
    "two readers": before_conv(norm(), kinds=[Conv, Conv]),
    "scale only, padded": before_conv(norm(shifts=False), pads=1),
    "scale only, transposed": before_conv(norm(shifts=False), kinds=[ConvTranspose], group=2, pads=1),
    "activation": before_conv(norm(), activation=Relu()),
    "half": before_conv(norm(dtype=np.float16), dtype=np.float16),
    "double": before_conv(norm(dtype=np.float64), dtype=np.float64),
}

NEAR_MISSES = {
    "it_normalises_in_inference_mode": [before_conv(norm(training=1), spatial=(7, 6))],
    "the_statistics_are_constant": [
        before_conv(norm(given=name)) for name in ("scale", "beta", "mean", "var")
    ],
    "every_window_sees_the_shift": [
        before_conv(norm(), pads=1),
        before_conv(norm(), kinds=[ConvTranspose]),
    ],
    "the_biases_are_constant": [before_conv(norm(), overridable="bias")],
    "only_convolutions_read_it": [
        before_conv(norm(), also_relu=True),
        before_conv(norm(), returned=True),
    ],
    "the_weights_are_constant": [before_conv(norm(), overridable="weight")],
    "the_folded_weights_are_finite": [before_conv(steep, dtype=np.float16)],
}


def test_one_that_no_convolution_reads_is_not_spoken_of() -> None:
    b, draw = GraphBuilder("g", opset=17), Draw(dyadic=True)
    x = norm()(b, draw, b.input("x", shape=("N", 4, "H", "W")))
    b.output(b.add(Relu(), x), name="y")
    _, trace = Pipeline([FoldBatchnormIntoNextConv()]).run(b.build())
    assert not trace.refusals
