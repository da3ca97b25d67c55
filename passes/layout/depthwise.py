"""Convolutions of one pixel and one channel each: what stays in blocks of channels and carries something."""

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Conv
from convgraph.ir.tensor import Array, DataType
from convgraph.passes.fusion.channelwise import Vector

IMAGE, _FOURS = 4, 4  # axes of a batch of images; channels that fill registers of four


def channels_of_image(graph: Graph, value: Value | None) -> int | None:
    """How many channels a batch of images has that may lie in blocks; None for anything else.

    Those are of float32, and their channels come in fours.
    """
    if value is None or graph.type(value).rank != IMAGE or graph.type(value).dtype is not DataType.FLOAT:
        return None
    channels = graph.type(value).dim(1)
    return channels if isinstance(channels, int) and channels % _FOURS == 0 else None


def pointwise(channels: int) -> Conv:
    """The convolution of each of so many channels by itself, pixel by pixel."""
    return Conv.of(IMAGE - 2, group=channels)


def weight_of(edit: Edit, scale: Vector) -> Value:
    """The weight that multiplies each channel with its own number."""
    return edit.constant(rounded(scale).reshape(-1, *(1,) * (IMAGE - 1)), name="scale")


def rounded(numbers: Vector) -> Array:
    """The numbers in float32, infinite where they are too large."""
    with np.errstate(over="ignore"):
        return numbers.astype(np.float32)
