"""The textbook formulas of a layer with its own numbers in them: output sizes, parameters, operations.

    W2 = (W1 − F + 2P)/S + 1;  parameters = (C·F·F)·K + K;  operations = H2·W2·K·F·F·C

C is what one group sees of the input channels, K the number of filters, F a filter's size (with dilation d it
covers d·(F − 1) + 1), P the padding, S the stride. A transposed convolution: W2 = S·(W1 − 1) + F − 2P.
"""

import math
from collections.abc import Iterator, Sequence

from convgraph.analysis.cost import Types, node_cost
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Conv, ConvTranspose
from convgraph.ir.ops.pool import Pool

_AXES = "DHW"


def formulas(graph: Graph, node: int, *, types: Types) -> tuple[str, ...]:
    """A line for each output size, then for the parameters and the MACs, of a convolution or pool.

    Empty for other operations, and where a size is not known even under ``types``.
    """
    op, operands = graph.op(node), graph.operands(node)
    if not isinstance(op, (Conv, ConvTranspose, Pool)) or operands[0] is None or op.auto_pad != "NOTSET":
        return ()
    image, result = types[operands[0]].static_shape, types[Value(node, 0)].static_shape
    if image is None or result is None:
        return ()
    if isinstance(op, Pool):
        return tuple(_sizes(op, image[2:], kernel=op.kernel_shape, out=result[2:]))
    weight = None if operands[1] is None else types[operands[1]].static_shape
    if weight is None or (isinstance(op, ConvTranspose) and op.output_shape is not None):
        return ()
    sizes = _sizes(op, image[2:], kernel=weight[2:], out=result[2:])
    biased = len(operands) > 2 and operands[2] is not None
    # A convolution's weights meet every output position, a transposed convolution's every input position.
    positions = result[2:] if isinstance(op, Conv) else image[2:]
    macs = node_cost(graph, node, types=types).macs
    work = _product([*([image[0]] if image[0] > 1 else []), *positions, weight[0], *weight[2:], weight[1]])
    return (*sizes, _parameters(op, weight, biased=biased), f"operations = {work} = {macs:,}")


def _sizes(
    op: Conv | ConvTranspose | Pool, image: Sequence[int], *, kernel: Sequence[int], out: Sequence[int]
) -> Iterator[str]:
    for axis, letter in enumerate(_AXES[-op.spatial_rank :]):
        form = _transposed if isinstance(op, ConvTranspose) else _slid
        yield f"{letter}2 = {form(op, axis, image[axis], kernel[axis])} = {out[axis]}"


def _slid(op: Conv | ConvTranspose | Pool, axis: int, size: int, kernel: int) -> str:
    begin, end = op.pads[axis], op.pads[axis + op.spatial_rank]
    stride, reach = op.strides[axis], op.dilations[axis] * (kernel - 1) + 1
    whole = (size + begin + end - reach) % stride == 0
    quotient = f"({size} − {_covered(op, axis, kernel)} + {_padding(begin, end)})/{stride}"
    if whole:
        return f"{quotient} + 1"
    rounding = "ceil" if isinstance(op, Pool) and op.ceil_mode else "floor"
    return f"{rounding}({quotient}) + 1"


def _transposed(op: Conv | ConvTranspose | Pool, axis: int, size: int, kernel: int) -> str:
    assert isinstance(op, ConvTranspose)
    begin, end = op.pads[axis], op.pads[axis + op.spatial_rank]
    extra = f" + {op.output_paddings[axis]}" if op.output_paddings[axis] else ""
    covered = _covered(op, axis, kernel)
    return f"{op.strides[axis]}·({size} − 1) + {covered} − {_padding(begin, end, inner=True)}{extra}"


def _covered(op: Conv | ConvTranspose | Pool, axis: int, kernel: int) -> str:
    dilation = op.dilations[axis]
    return str(kernel) if dilation == 1 else f"({dilation}·({kernel} − 1) + 1)"


def _padding(begin: int, end: int, *, inner: bool = False) -> str:
    if begin == end:
        return f"2·{begin}"
    return f"({begin} + {end})" if inner else f"{begin} + {end}"


def _parameters(op: Conv | ConvTranspose, weight: tuple[int, ...], *, biased: bool) -> str:
    """(C·F·F)·K weights, and K biases."""
    forward = isinstance(op, Conv)
    seen = weight[1] if forward else weight[0] // op.group
    filters = weight[0] if forward else weight[1] * op.group
    total = math.prod(weight) + (filters if biased else 0)
    bias = f" + {filters}" if biased else ""
    return f"parameters = ({_product([seen, *weight[2:]])})·{filters}{bias} = {total:,}"


def _product(factors: Sequence[int]) -> str:
    return "·".join(map(str, factors))
