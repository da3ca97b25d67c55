"""A convolution and a Slice of its result, for the rewrites that make less of it."""

from collections.abc import Callable, Sequence

import numpy as np

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Convolution, ConvTranspose, Pad, Relu, Slice, Tanh
from convgraph.ir.tensor import DataType, Dim
from laws.draw import Draw

FAR = 2**63 - 1


def sliced(
    op: Convolution,
    *cuts: tuple[int, int, int] | tuple[int, int, int, int],
    kernel: Sequence[int] = (3, 2),
    spatial: Sequence[Dim] = ("H", "W"),
    bias: bool = True,
    outside: int = 6,
    dtype: type = np.float32,
    computed: bool = False,
    crop: Sequence[int] = (),
    also: str = "",
) -> Callable[[Draw], Graph]:
    """``op`` of x (N, 4, …) to ``outside`` channels, and a Slice of its result.

    Each of ``cuts`` is (axis, start, end[, step]). ``computed`` makes the starts a graph input. ``crop`` are
    amounts for a Pad in the Slice's place; ``also`` says what else becomes of the convolution.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=("N", 4, *spatial), dtype=DataType.of(np.dtype(dtype)))
        shape = (4, outside // op.group) if isinstance(op, ConvTranspose) else (outside, 4 // op.group)
        operands: list[Operand] = [draw.weight(*shape, *kernel, dtype=dtype)]
        if bias:
            operands.append(draw.weight(outside, dtype=dtype))
        y = b.add(op, x, *operands, name="convolved", node="conv")
        if crop:
            b.output(b.add(Pad(), y, np.array(crop)), name="y")
        else:
            b.output(_sliced(b, y, cuts, computed=computed), name="y")
        if also == "returned":
            b.output(y)
        if also == "read":
            b.output(b.add(Relu(), y), name="other")
        return b.build()

    return build


def _sliced(b: GraphBuilder, y: Value, cuts: Sequence[tuple[int, ...]], *, computed: bool) -> Value:
    starts, ends = (np.array([cut[place] for cut in cuts]) for place in (1, 2))
    axes, steps = np.array([cut[0] for cut in cuts]), np.array([(*cut, 1)[3] for cut in cuts])
    first: Operand = b.input("starts", shape=starts.shape, dtype=DataType.INT64) if computed else starts
    return b.add(Slice(), y, first, ends, axes, steps, name="taken")


def activated(op: Convolution) -> Convolution:
    """The convolution with a fused Tanh."""
    return type(op)(**{**op.attributes(), "activation": Tanh()})


def automatic(op: Convolution, auto_pad: str) -> Convolution:
    """The convolution with a rule for its pads."""
    return type(op)(**{**op.attributes(), "auto_pad": auto_pad})
