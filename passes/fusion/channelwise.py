"""Constants that act on each output channel of a convolution alike everywhere, and weights scaled by them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Convolution, ConvTranspose
from convgraph.ir.tensor import Array, Tensor

Vector = NDArray[np.float64]


def channel_vector(constant: Tensor, *, rank: int, channels: int, axis: int = 1) -> Vector | None:
    """The constant as one float64 number an output channel, or None when it is anything else.

    ``rank`` is that of the convolution's result, ``axis`` the one of its channels. A constant of one element,
    or of shape (C, 1, …, 1) once leading axes of length 1 are put in front, qualifies; one that merely has
    ``channels`` elements along another axis does not, nor does one that would raise the rank of the result.
    """
    shape = (1,) * (rank - len(constant.shape)) + constant.shape
    if len(shape) != rank or constant.size not in (1, channels):
        return None
    if constant.size != 1 and shape[axis] != constant.size:
        return None
    return np.broadcast_to(constant.numpy().astype(np.float64).reshape(-1), (channels,))


def output_channels(op: Convolution, weight_shape: tuple[int, ...]) -> int:
    """How many channels a convolution with this weight makes."""
    return weight_shape[1] * op.group if isinstance(op, ConvTranspose) else weight_shape[0]


def scaled(op: Convolution, weight: Array, scale: Vector) -> Vector:
    """The float64 weight whose convolution is ``scale[c]`` times the given weight's in output channel c.

    A ConvTranspose weight (C, M/group, *kernel) holds its output channels group by group along axis 1.
    """
    wide = weight.astype(np.float64)
    if not isinstance(op, ConvTranspose):
        return wide * scale.reshape(-1, *(1,) * (wide.ndim - 1))
    grouped = wide.reshape(op.group, -1, *wide.shape[1:])
    factors = scale.reshape(op.group, 1, wide.shape[1], *(1,) * (wide.ndim - 2))
    return (grouped * factors).reshape(wide.shape)


def beside_constants(graph: Graph, node: int) -> Iterator[tuple[Value, Tensor, bool]]:
    """Each operand whose fellow is constant, with that constant, and whether the constant comes first."""
    left, right = graph.operands(node)
    for value, other, first in ((left, right, False), (right, left, True)):
        constant = graph.constant(other)
        if value is not None and constant is not None:
            yield value, constant, first
