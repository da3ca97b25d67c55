"""What a window over a convolution's result meets beyond its border: zeros, where that would go on.

Two in a row are one only where the first, going on, would make zeros, too. Its bias it would go on adding:
what a bias makes in fewer windows at the border is a map, one number an output element.
"""

from collections.abc import Sequence

import numpy as np

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Op, Pool
from convgraph.ir.tensor import Array, TensorType
from convgraph.numerics.evaluate import evaluate_op
from convgraph.passes.algebra.outer_taps import convolution, known_pads
from convgraph.passes.fusion.channelwise import Vector
from convgraph.passes.fusion.sliced import least


def is_blank_beyond(graph: Graph, conv: int, pads: Sequence[int]) -> bool:
    """Whether, as far as ``pads`` reach beyond its result, windows of a Conv of known pads miss the image."""
    op, before, weight = convolution(graph, conv), known_pads(graph, conv), graph.operand(conv, 1)
    assert before is not None
    assert weight is not None
    rank = op.spatial_rank
    for axis, (size, step) in enumerate(zip((graph.type(weight).shape or ())[2:], op.dilations, strict=True)):
        if not isinstance(size, int):
            return False
        reach = step * (size - 1)
        if pads[axis] > 0 and reach >= op.strides[axis] + before[axis]:
            return False
        if pads[axis + rank] > 0 and reach > before[axis + rank]:
            return False
    return True


def windows_fit(op: Pool, kind: TensorType, pads: Sequence[int]) -> bool:
    """Whether a window of a pool fits in values of a type with these pads, whatever sizes are left open.

    Of less than a window, runtimes make something all the same.
    """
    reaches = [step * (size - 1) + 1 for size, step in zip(op.kernel_shape, op.dilations, strict=True)]
    padded = (least(kind.dim(2 + axis)) + sum(pads[axis :: len(reaches)]) for axis in range(len(reaches)))
    return all(size >= reach for size, reach in zip(padded, reaches, strict=True))


def border_map(op: Op, shift: Vector, *parameters: Array, sizes: Sequence[int]) -> Array:
    """What an operation makes of an image (1, C, *sizes) of one number a channel, in float64."""
    everywhere = np.broadcast_to(shift.reshape(1, -1, *(1,) * len(sizes)), (1, shift.size, *sizes))
    return evaluate_op(op, [everywhere, *(parameter.astype(np.float64) for parameter in parameters)])[0]


def known_sizes(graph: Graph, value: Value) -> tuple[int, ...] | None:
    """The spatial sizes of a value; None where one is open."""
    shape = graph.type(value).shape
    sizes = tuple(size for size in (shape or ())[2:] if isinstance(size, int))
    return sizes if shape is not None and len(sizes) == len(shape) - 2 else None


def map_bytes(graph: Graph, value: Value) -> int | None:
    """How many bytes a map for each sample of a value has; None where a size is open."""
    kind = graph.type(value)
    return kind.with_shape((1, *(kind.shape or (None,))[1:])).nbytes
