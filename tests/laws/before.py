"""Small networks for examples and near misses: something, and the convolutions that read it."""

from collections.abc import Callable, Sequence

import numpy as np

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Activation, Conv, Convolution, Relu
from convgraph.ir.tensor import DataType, Dim
from laws.draw import Draw

Head = Callable[[GraphBuilder, Draw, Value], Value]


def before_conv(
    head: Head,
    *,
    kinds: Sequence[type[Convolution]] = (Conv,),
    rank: int = 2,
    inside: Dim = 4,
    group: int = 1,
    bias: bool = True,
    pads: int | Sequence[int] = 0,
    dtype: type = np.float32,
    spatial: Sequence[Dim] = (),
    activation: Activation | None = None,
    overridable: str = "",
    computed: str = "",
    returned: bool = False,
    also_relu: bool = False,
) -> Callable[[Draw], Graph]:
    """``head`` of x (N, inside, …), and a convolution of it from 4 to 6 channels for each of ``kinds``.

    ``overridable`` makes the first's "weight" or "bias" an initializer that a caller may override,
    ``computed`` a graph input; ``returned`` makes the head's result a graph output, ``also_relu`` something
    else read it too.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        size: tuple[Dim, ...] = tuple(spatial) or ("H", "W", 5)[:rank]
        x = b.input("x", shape=("N", inside, *size), dtype=DataType.of(np.dtype(dtype)))
        y = head(b, draw, x)
        for number, kind in enumerate(kinds):
            op = kind.of(rank, strides=(2, 1, 1)[:rank], pads=pads, group=group)
            if activation is not None:
                op = type(op)(**{**op.attributes(), "activation": activation})
            transposed = kind is not Conv
            shape = (4, 6 // group) if transposed else (6, 4 // group)
            weight = draw.weight(*shape, *(3, 2, 2)[:rank], dtype=dtype)
            operands: list[Operand] = [
                _operand(b, "weight", weight, overridable=overridable, computed=computed)
            ]
            if bias:
                drawn = draw.weight(6, dtype=dtype)
                operands.append(_operand(b, "bias", drawn, overridable=overridable, computed=computed))
            b.output(b.add(op, y, *operands, name=f"convolved{number}", node=f"conv{number}"))
        if returned:
            b.output(y)
        if also_relu:
            b.output(b.add(Relu(), y), name="other")
        return b.build()

    return build


def _operand(b: GraphBuilder, name: str, array: np.ndarray, *, overridable: str, computed: str) -> Operand:
    if name == overridable:
        return b.overridable(name, array)
    if name == computed:
        return b.input(name, shape=array.shape, dtype=DataType.of(array.dtype))
    return array
