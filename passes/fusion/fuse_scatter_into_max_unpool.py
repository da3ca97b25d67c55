"""Undo a max pooling by one operation, where a model scatters what was pooled among zeros.

    reshape(scatter(0, i − first(i), x; each channel))  ->  max_unpool(x, i)        i, j from max_pool
    reshape(scatter(0, i − first(i) + starts, x; all channels))  ->  max_unpool(x, i)

i count through all samples and channels; first(i) is the number of the first pixel of the channel, and so are
the constants starts. PyTorch counts within a channel: its exporters take the first away, and what unpools
scatters channel by channel, or adds it again. The window of the result has to give back its size, no more.
Exact: elements are moved; where windows overlap, the last one stays either way.

Source: the switches of Zeiler and Fergus, Visualizing and Understanding Convolutional Networks (2014).
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from onnx import AttributeProto, helper, numpy_helper

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Add,
    Cast,
    Expand,
    MaxPool,
    MaxUnpool,
    Op,
    Opaque,
    Reshape,
    Sub,
    Unsqueeze,
)
from convgraph.ir.tensor import DataType
from convgraph.passes.algebra.drop_pool_that_numbers_pixels import DropPoolThatNumbersPixels, NumberedPixels
from convgraph.passes.rewrite import Measure, Rewrite, requirement

_FIRST_PIXELS = DropPoolThatNumbersPixels()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScatteredMaxima:
    """Numbers of maxima less those of first pixels, what is scattered where they say, and the result.

    ``starts`` is what is added to the difference, None where elements are scattered channel by channel.
    """

    numbered: NumberedPixels
    starts: Value | None
    maxima: Value
    scattered: Value
    result: Value


def scatters(graph: Graph) -> int:
    """Measure: how many operations scatter."""
    return sum(_is(graph.op(node), "ScatterElements", "ScatterND") for node in graph.compute_nodes())


@dataclass(frozen=True, kw_only=True)
class FuseScatterIntoMaxUnpool(Rewrite[ScatteredMaxima]):
    """Undo a max pooling by one operation, where a model scatters what was pooled among zeros."""

    name: ClassVar[str] = "fuse-scatter-into-max-unpool"
    roots: ClassVar[tuple[type[Op], ...]] = (Reshape,)
    measure: ClassVar[Measure] = staticmethod(scatters)

    def find(self, graph: Graph, node: int) -> ScatteredMaxima | None:
        """A Reshape of elements scattered where the numbers of a pool, less others, say."""
        scattered = graph.operand(node, 0)
        if scattered is None or not _is(graph.producer(scattered), "ScatterElements", "ScatterND"):
            return None
        _, indices, updates = graph.operands(scattered.node)
        difference, starts = _parted(graph, _before(graph, indices))
        if difference is None or not isinstance(graph.producer(difference), Sub):
            return None
        numbered = _FIRST_PIXELS.find(graph, difference.node)
        maxima = None if numbered is None else _before(graph, updates, like=numbered.pooled)
        # Runtimes lack a MaxUnpool of other elements.
        if numbered is None or maxima is None or graph.type(maxima).dtype is not DataType.FLOAT:
            return None
        return ScatteredMaxima(
            numbered=numbered, starts=starts, maxima=maxima, scattered=scattered, result=Value(node, 0)
        )

    @requirement
    def the_first_pixel_is_taken_away(self, graph: Graph, m: ScatteredMaxima) -> bool:
        """What is taken away is the number of the first pixel of each channel, of a size that is known."""
        return (
            _FIRST_PIXELS.the_pool_takes_single_pixels(graph, m.numbered)
            and _FIRST_PIXELS.the_first_pixel_of_each_channel_is_taken(graph, m.numbered)
            and _FIRST_PIXELS.the_size_of_a_channel_is_known(graph, m.numbered)
        )

    @requirement
    def each_maximum_has_a_place(self, graph: Graph, m: ScatteredMaxima) -> bool:
        """There are as many elements as numbers, in the same order, on every axis."""
        shape = graph.type(m.maxima).shape
        return shape is not None and None not in shape and shape == graph.type(m.numbered.pooled).shape

    @requirement
    def channels_lie_one_after_the_other(self, graph: Graph, m: ScatteredMaxima) -> bool:
        """The numbers are scattered along rows that are one channel each, or along all of them."""
        return _within_channels(graph, m) if m.starts is None else _through_all(graph, m)

    @requirement
    def they_replace_zeros(self, graph: Graph, m: ScatteredMaxima) -> bool:
        """What they are scattered among is zero, and goes."""
        how = _attribute(graph.producer(m.scattered), "reduction", default=b"none")
        return how == b"none" and _is_zero(graph, graph.operand(m.scattered.node, 0))

    @requirement
    def the_result_has_the_channels_that_were_pooled(self, graph: Graph, m: ScatteredMaxima) -> bool:
        """The Reshape makes as many samples, channels and axes as the pool saw."""
        shape, pooled = graph.type(m.result).shape or (), graph.type(_pooled(graph, m)).shape or ()
        return None not in shape and len(shape) == len(pooled) and shape[:2] == pooled[:2]

    @requirement
    def nothing_else_reads_what_is_scattered(self, graph: Graph, m: ScatteredMaxima) -> bool:
        """Only the Reshape reads it, so that the scattering goes."""
        return graph.sole_reader(m.scattered) is not None

    def apply(self, edit: Edit, m: ScatteredMaxima) -> None:
        """Unpool with a window that gives back the sizes."""
        pool = edit.graph.producer(m.numbered.pooled)
        assert isinstance(pool, MaxPool)
        large, small = (_sizes(edit.graph, value) for value in (m.result, m.maxima))
        steps = zip(large, pool.strides, small, strict=True)
        windows = [_window(size - stride * (count - 1)) for size, stride, count in steps]
        kernel, crops = (tuple(numbers) for numbers in zip(*windows, strict=True))
        op = MaxUnpool(kernel_shape=kernel, strides=pool.strides, pads=crops * 2)
        edit.replace(m.result, edit.add(op, m.maxima, m.numbered.pooled, like=m.scattered.node))


def _is(op: Op | None, *op_types: str) -> bool:
    return isinstance(op, Opaque) and not op.domain and op.op_type in op_types


def _attribute(op: Op, name: str, *, default: Any) -> Any:
    assert isinstance(op, Opaque)
    stated = op.encoded.get(name)
    return default if stated is None else helper.get_attribute_value(AttributeProto.FromString(stated))


def _before(graph: Graph, value: Value | None, *, like: Value | None = None) -> Value | None:
    """The value whose elements a value has, in the same order, of the rank of ``like`` or as it was first."""
    rank = None if like is None else graph.type(like).rank
    while value is not None and (rank is None or graph.type(value).rank != rank):
        source = graph.operand(value.node, 0)
        op = graph.producer(value)
        spread = isinstance(op, Expand) and source and graph.type(source).shape != graph.type(value).shape
        if spread or not isinstance(op, (Reshape, Unsqueeze, Expand)):
            break
        value = source
    return value


def _parted(graph: Graph, value: Value | None) -> tuple[Value | None, Value | None]:
    """A difference and what is added to it, None where nothing is."""
    if value is None or not isinstance(graph.producer(value), Add):
        return value, None
    left, right = graph.operands(value.node)
    return (left, right) if graph.constant(left) is None else (right, left)


def _pooled(graph: Graph, m: ScatteredMaxima) -> Value:
    x = graph.operand(m.numbered.pooled.node, 0)
    assert x is not None
    return x


def _sizes(graph: Graph, value: Value) -> list[int]:
    return [size for size in (graph.type(value).shape or ())[2:] if isinstance(size, int)]


def _within_channels(graph: Graph, m: ScatteredMaxima) -> bool:
    """Whether (N, C, pixels) numbers and elements are scattered along the last axis."""
    op, operands = graph.producer(m.scattered), graph.operands(m.scattered.node)
    if not _is(op, "ScatterElements") or _attribute(op, "axis", default=0) not in (2, -1):
        return False
    channels = graph.type(_pooled(graph, m)).dim(1)
    pixels = [math.prod(_sizes(graph, value)) for value in (_pooled(graph, m), m.maxima, m.maxima)]
    found = [(graph.type(value).shape or ())[1:] for value in operands if value is not None]
    return found == [(channels, count) for count in pixels]


def _through_all(graph: Graph, m: ScatteredMaxima) -> bool:
    """Whether elements of one axis are scattered along it, to numbers that start where each channel does."""
    data, starts, pixels = (
        graph.operand(m.scattered.node, 0),
        graph.constant(m.starts),
        math.prod(_sizes(graph, _pooled(graph, m))),
    )
    shape = graph.type(_pooled(graph, m)).static_shape
    if shape is None or data is None or starts is None or not _is(graph.producer(m.scattered), "ScatterND"):
        return False
    first = np.arange(math.prod(shape[:2])).reshape(*shape[:2], *(1 for _ in shape[2:])) * pixels
    return graph.type(data).shape == (math.prod(shape),) and np.array_equal(starts.numpy(), first)


def _is_zero(graph: Graph, value: Value | None) -> bool:
    """Whether a value is nothing but zeros, whatever its size."""
    while value is not None and isinstance(graph.producer(value), (Reshape, Expand, Cast)):
        value = graph.operand(value.node, 0)
    if value is None:
        return False
    op, constant = graph.producer(value), graph.constant(value)
    if constant is not None:
        return not constant.numpy().any()
    filled = _is(op, "ConstantOfShape") and _attribute(op, "value", default=None)
    return filled is None or (filled is not False and not numpy_helper.to_array(filled).any())


def _window(missing: int) -> tuple[int, int]:
    """A window, and what it leaves out at each end, that adds so many pixels to the steps."""
    return (missing, 0) if missing > 0 else (2 - missing, 1 - missing)
