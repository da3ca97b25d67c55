"""Tables for move-pointwise-conv-after-average-pool."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph
from convgraph.ir.ops import AveragePool, Conv, GlobalAveragePool, Op, ReduceMean, Relu
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import Pipeline
from convgraph.passes.algebra.move_pointwise_conv_after_average_pool import MovePointwiseConvAfterAveragePool

HALVING = AveragePool.of((2, 2), strides=2)


def pooled(
    pool: Op = HALVING,
    *operands: np.ndarray,
    conv: Conv | None = None,
    spatial: Sequence[Dim] = ("H", "W"),
    kernel: int = 1,
    outside: int = 6,
    bias: bool | float = True,
    dtype: type = np.float32,
    given: str = "",
    returned: bool = False,
    opset: int = 19,
) -> Callable[[Draw], Graph]:
    """A mean of a convolution of x (N, 4, …) to ``outside`` channels.

    ``given`` is what a caller may override, the "bias" or the "axes"; ``returned`` makes the convolution's
    result an output, too.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=opset)

        def parameter(name: str, array: np.ndarray) -> Operand:
            return b.overridable(name, array) if given == name else b.constant(array, name=name)

        x = b.input("x", shape=("N", 4, *spatial), dtype=DataType.of(np.dtype(dtype)))
        op = conv or Conv.of(len(spatial))
        weight = draw.weight(outside, 4 // op.group, *(kernel,) * len(spatial), dtype=dtype)
        drawn = draw.weight(outside, dtype=dtype)
        biases = [] if bias is False else [parameter("bias", drawn if bias is True else drawn * 0)]
        mixed = b.add(op, x, weight, *biases, name="mixed", node="transition")
        if returned:
            b.output(mixed)
        b.output(b.add(pool, mixed, *(parameter("axes", axes) for axes in operands)), name="y")
        return b.build()

    return build


def axes(*numbers: int) -> np.ndarray:
    return np.asarray(numbers)


ALL_ROUND = AveragePool.of((2, 4), strides=2, pads=1)
RELU = replace(Conv.of(2), activation=Relu())

EXAMPLES = {
    "halving": pooled(),
    "no bias": pooled(bias=False),
    "padding left out of the mean": pooled(
        AveragePool.of((2, 2), strides=2, pads=(1, 0, 0, 1)), dtype=np.float64
    ),
    "padding counted, no bias": pooled(replace(ALL_ROUND, count_include_pad=1), bias=False),
    "padding counted, bias of zeros": pooled(replace(ALL_ROUND, count_include_pad=1), bias=0.0),
    "padding counted where there is none": pooled(replace(HALVING, count_include_pad=1), spatial=(8, 6)),
    "sizes rounded up": pooled(replace(HALVING, ceil_mode=1), spatial=(8, 6)),
    "SAME": pooled(replace(HALVING, auto_pad="SAME_UPPER")),
    "global": pooled(GlobalAveragePool(), spatial=(4, 8)),
    "mean over space": pooled(ReduceMean(), axes(-1, 2), spatial=(4, 8)),
    "mean over rows": pooled(ReduceMean(), axes(2), spatial=(4, "W")),
    "mean without the axes": pooled(ReduceMean(keepdims=0), axes(2, 3), spatial=(4, 8)),
    "mean over rows without the axis": pooled(ReduceMean(keepdims=0), axes(2), spatial=(4, "W")),
    "groups": pooled(conv=Conv.of(2, group=2)),
    "1-D": pooled(AveragePool.of((4,), strides=3), spatial=("L",)),
    "3-D": pooled(AveragePool.of((2, 1, 2), strides=2), spatial=("H", "W", 4)),
    "half": pooled(dtype=np.float16),
    "double": pooled(GlobalAveragePool(), dtype=np.float64, spatial=(8, 4)),
}

NEAR_MISSES = {
    "the_convolution_is_pointwise": [
        pooled(kernel=2),
        pooled(conv=Conv.of(2, strides=2)),
        pooled(conv=Conv.of(2, pads=1)),
    ],
    "no_activation_stands_between": [pooled(conv=RELU)],
    "the_mean_is_over_space": [
        pooled(ReduceMean(), axes(1, 2), spatial=(4, 8)),
        pooled(ReduceMean(), axes(0), spatial=(4, 8)),
        pooled(ReduceMean(), spatial=(4, 8)),
    ],
    "the_bias_is_not_averaged_with_padding": [
        pooled(replace(ALL_ROUND, count_include_pad=1)),
        pooled(replace(ALL_ROUND, count_include_pad=1), bias=0.0, given="bias"),
        pooled(replace(HALVING, count_include_pad=1, auto_pad="SAME_LOWER")),
        pooled(replace(AveragePool.of((8, 2), strides=(8, 2)), count_include_pad=1)),  # of 7 rows
    ],
    "it_is_cheaper_on_the_target": [pooled(AveragePool.of((1, 1)), outside=3), pooled(returned=True)],
}


def test_a_mean_over_space_is_taken_before_the_axes_go() -> None:
    graph = pooled(ReduceMean(keepdims=0), axes(2, 3), spatial=(4, 8))(Draw(dyadic=True))
    result, _ = Pipeline([MovePointwiseConvAfterAveragePool()]).run(graph)
    assert [result.op(n).label for n in result.compute_nodes()] == ["ReduceMean", "Conv", "Squeeze"]
