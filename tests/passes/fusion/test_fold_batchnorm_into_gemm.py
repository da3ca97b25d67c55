"""Tables for fold-batchnorm-into-gemm."""

import numpy as np
from laws.draw import Draw
from laws.product import Tail, after_product

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Value
from convgraph.ir.ops import BatchNormalization, Gemm, MatMul


def norm(*, dtype: type = np.float32, given: str = "", training: int = 0, steep: bool = False) -> Tail:
    """A batch normalisation; ``given`` names a statistic that a caller may override.

    ``steep`` makes float16 weights overflow though the results need not.
    """

    def tail(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        statistics = {
            "scale": np.full(6, 60000.0, dtype) if steep else draw.factor(6, dtype=dtype),
            "beta": draw.weight(6, dtype=dtype),
            "mean": draw.weight(6, dtype=dtype),
            "var": draw.variance(6, dtype=dtype),
        }
        operands = [
            b.overridable(name, array) if name == given else b.constant(array, name=name)
            for name, array in statistics.items()
        ]
        op = BatchNormalization(epsilon=draw.epsilon, training_mode=training)
        return b.add_all(op, x, *operands, names=("normed", "m", "v")[: 3 if training else 1])[0]

    return tail


EXAMPLES = {
    "Gemm": after_product(norm(), Gemm()),
    "no bias": after_product(norm(), Gemm(), bias=None),
    "alpha and beta": after_product(norm(), Gemm(alpha=0.5, beta=-2.0)),
    "beta without a bias": after_product(norm(), Gemm(beta=4.0), bias=None),
    "transposed matrix": after_product(norm(), Gemm(transB=1)),
    "both transposed": after_product(norm(), Gemm(transA=1, transB=1, alpha=2.0)),
    "scalar bias": after_product(norm(), Gemm(beta=0.5), bias=()),
    "one element": after_product(norm(), Gemm(), bias=(1,)),
    "row": after_product(norm(), Gemm(), bias=(1, 6)),
    "bias of each row": after_product(norm(), Gemm(beta=2.0), bias=(3, 1), rows=(3,)),
    "MatMul": after_product(norm(), MatMul()),
    "half": after_product(norm(dtype=np.float16), Gemm(), dtype=np.float16),
    "double": after_product(norm(dtype=np.float64), Gemm(transB=1), dtype=np.float64),
}

NEAR_MISSES = {
    "it_normalises_in_inference_mode": [after_product(norm(training=1), Gemm(), rows=(3,))],
    "the_statistics_are_constant": [
        after_product(norm(given=name), Gemm()) for name in ("scale", "beta", "mean", "var")
    ],
    "both_operands_are_matrices": [after_product(norm(), MatMul(), rows=("N", 6))],
    "the_weights_are_constant": [
        after_product(norm(), Gemm(), overridable="matrix"),
        after_product(norm(), Gemm(), overridable="bias"),
        after_product(norm(), MatMul(), overridable="matrix"),
    ],
    "the_folded_weights_are_finite": [
        after_product(norm(steep=True, dtype=np.float16), Gemm(), dtype=np.float16)
    ],
    "nothing_else_reads_the_product": [
        after_product(norm(), Gemm(), returned=True),
        after_product(norm(), MatMul(), also_relu=True),
    ],
}
