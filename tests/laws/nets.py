"""Small networks for examples and near misses: a convolution, and what comes after it."""

from collections.abc import Callable, Sequence

import numpy as np

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Activation, Conv, Convolution, ConvTranspose
from convgraph.ir.tensor import Array, DataType, Dim
from laws.draw import Draw

Tail = Callable[[GraphBuilder, Draw, Value], Value]


def after_conv(
    tail: Tail,
    *,
    kind: type[Convolution] = Conv,
    rank: int = 2,
    channels: tuple[int, int] = (4, 6),
    group: int = 1,
    bias: bool | float = True,
    dtype: type = np.float32,
    spatial: Sequence[Dim] = (),
    activation: Activation | None = None,
    overridable: str = "",
    computed: str = "",
    returned: bool = False,
    opset: int = 17,
) -> Callable[[Draw], Graph]:
    """A convolution of x (N, C, …) to M channels, then ``tail``.

    ``bias`` is drawn, left out, or one number everywhere. ``overridable`` makes "weight" or "bias" an
    initializer that a caller may override, ``computed`` a graph input; ``returned`` makes the convolution's
    own result a graph output too.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=opset)
        inside, outside = channels
        size: tuple[Dim, ...] = tuple(spatial) or ("H", "W", 5)[:rank]
        x = b.input("x", shape=("N", inside, *size), dtype=DataType.of(np.dtype(dtype)))
        kernel = (3, 2, 2)[:rank]
        shape = (inside, outside // group) if kind is ConvTranspose else (outside, inside // group)
        operands: dict[str, Array] = {"weight": draw.weight(*shape, *kernel, dtype=dtype)}
        if bias is not False:
            drawn = draw.weight(outside, dtype=dtype)
            operands["bias"] = drawn if bias is True else np.full_like(drawn, bias)
        values = [_operand(b, n, a, overridable=overridable, computed=computed) for n, a in operands.items()]
        op = kind.of(rank, strides=(2, 1, 1)[:rank], pads=1, group=group)
        if activation is not None:
            op = type(op)(**{**op.attributes(), "activation": activation})
        y = b.add(op, x, *values, name="convolved", node="conv")
        if returned:
            b.output(y)
        b.output(tail(b, draw, y), name="y")
        return b.build()

    return build


def _operand(b: GraphBuilder, name: str, array: Array, *, overridable: str, computed: str) -> Value:
    if name == overridable:
        return b.overridable(name, array)
    if name == computed:
        return b.input(name, shape=array.shape, dtype=DataType.of(array.dtype))
    return b.constant(array, name=name)
