"""Tables for commute-scale-with-activation."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    AveragePool,
    Conv,
    Convolution,
    ConvTranspose,
    Div,
    GlobalAveragePool,
    GlobalMaxPool,
    LeakyRelu,
    MaxPool,
    Mul,
    Neg,
    Op,
    Relu,
    Sigmoid,
)
from convgraph.ir.tensor import DataType
from convgraph.passes import Pipeline
from convgraph.passes.fusion.commute_scale_with_activation import CommuteScaleWithActivation


def scaled(
    op: Op,
    number: float,
    *steps: Op,
    shape: Sequence[int] = (),
    left: bool = False,
    kinds: Sequence[type[Convolution]] = (Conv,),
    dtype: type = np.float32,
    read: int | None = None,
    computed: bool = False,
    indices: bool = False,
) -> Callable[[Draw], Graph]:
    """X (N, 4, H, W) and a number, the steps, then a convolution to 6 channels for each of ``kinds``.

    ``read`` numbers what is read by something else, too: 0 the product, 1 what the first step makes, …; a
    ``computed`` weight is a graph input, ``indices`` says that the last step returns them as well.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=("N", 4, "H", "W"), dtype=DataType.of(np.dtype(dtype)))
        c = b.constant(np.full(shape, number, dtype), name="c")
        values = [b.add(op, *((c, x) if left else (x, c)))]
        for count, step in enumerate(steps, 1):
            if indices and count == len(steps):
                values += b.add_all(step, values[-1], names=("pooled", "indices"))[:1]
                b.output(b.add(Neg(), Value(values[-1].node, 1)), name="where")
            else:
                values.append(b.add(step, values[-1]))
        for count, kind in enumerate(kinds):
            weight = draw.weight(*((4, 6) if kind is ConvTranspose else (6, 4)), 1, 1, dtype=dtype)
            w = b.input("w", shape=weight.shape) if computed else weight
            b.output(b.add(kind.of(2), values[-1], w), name=f"y{count}")
        if read is not None:
            b.output(b.add(Neg(), values[read]), name="other")
        return b.build()

    return build


WIDE = MaxPool.of((3, 2), strides=2, pads=(1, 0, 1, 0))

EXAMPLES = {
    "product": scaled(Mul(), 0.5, Relu()),
    "quotient": scaled(Div(), 4, LeakyRelu(alpha=0.25)),
    "number left, with axes": scaled(Mul(), 0.25, Relu(), shape=(1, 1, 1, 1), left=True),
    "pools": scaled(Div(), 2, LeakyRelu(alpha=0.5), WIDE, AveragePool.of((1, 2))),
    "global pools": scaled(Mul(), 2, GlobalMaxPool(), GlobalAveragePool()),
    "two convolutions": scaled(Mul(), 8, Relu(), kinds=(Conv, ConvTranspose)),
    "half": scaled(Div(), 2, Relu(), dtype=np.float16),
    "double": scaled(Mul(), 2, WIDE, dtype=np.float64),
}

NEAR_MISSES = {
    "the_number_is_positive": [scaled(Mul(), -0.5, Relu()), scaled(Div(), -2, WIDE)],
    "no_pool_numbers_what_it_takes": [scaled(Mul(), 2, Relu(), WIDE, indices=True)],
}

LEFT_ALONE = {
    "a number for each channel": scaled(Mul(), 2, Relu(), shape=(4, 1, 1)),
    "divided by": scaled(Div(), 2, Relu(), left=True),
    "no activation": scaled(Mul(), 2),
    "another activation": scaled(Mul(), 2, Sigmoid()),
    "no convolution": scaled(Mul(), 2, Relu(), kinds=(), read=1),
    "weights from outside": scaled(Mul(), 2, Relu(), computed=True),
    "the product read elsewhere": scaled(Mul(), 2, Relu(), read=0),
    "a step read elsewhere": scaled(Mul(), 2, Relu(), WIDE, read=1),
    "the last step read elsewhere": scaled(Mul(), 2, Relu(), read=1),
}


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_a_factor_that_nothing_takes_stays(name: str) -> None:
    graph = LEFT_ALONE[name](Draw(dyadic=True))
    assert not Pipeline([CommuteScaleWithActivation()]).run(graph)[1].applications
