"""Drop the pool of one pixel whose indices only tell where each channel begins.

    i − j[:, :, :1, :1]  ->  i − (i[:, :, :1, :1] / HW) · HW

i are the indices of a MaxPool of x, j those of one that takes single pixels; H and W are the height and width
of x. Indices count through all samples and channels, HW to each, and a division of whole numbers leaves the
number of the channel. So PyTorch's exporters spell switches that count within their channel, as max unpooling
reads them (Zeiler and Fergus, 2014); the pool they add goes through the whole of x. Exact.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Div, MaxPool, Mul, Op, Slice, Sub
from convgraph.passes.rewrite import Measure, PricedRewrite, requirement, target_cost


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedPixels:
    """The indices of a pool, those of another one of the same value, and the Slice of these."""

    pooled: Value
    numbers: Value
    first: Value


@dataclass(frozen=True, kw_only=True)
class DropPoolThatNumbersPixels(PricedRewrite[NumberedPixels]):
    """Drop the pool of one pixel whose indices only tell where each channel begins."""

    name: ClassVar[str] = "drop-pool-that-numbers-pixels"
    roots: ClassVar[tuple[type[Op], ...]] = (Sub,)
    measure: ClassVar[Measure] = staticmethod(target_cost)

    def find(self, graph: Graph, node: int) -> NumberedPixels | None:
        """A difference of indices and a Slice of indices, of pools that read the same."""
        pooled, first = graph.operands(node)
        if pooled is None or first is None or not isinstance(graph.producer(first), Slice):
            return None
        numbers = graph.operand(first.node, 0)
        if numbers is None or not _are_indices(graph, pooled) or not _are_indices(graph, numbers):
            return None
        if graph.operand(pooled.node, 0) != graph.operand(numbers.node, 0):
            return None
        return NumberedPixels(pooled=pooled, numbers=numbers, first=first)

    @requirement
    def the_pool_takes_single_pixels(self, graph: Graph, m: NumberedPixels) -> bool:
        """The window of the pool whose indices are sliced is one pixel, without padding."""
        pool = graph.producer(m.numbers)
        assert isinstance(pool, MaxPool)
        return set(pool.kernel_shape) == {1} and not any(pool.pads)

    @requirement
    def the_first_pixel_of_each_channel_is_taken(self, graph: Graph, m: NumberedPixels) -> bool:
        """The Slice takes the first place of every spatial axis, and constant numbers say so."""
        op, (data, *numbers) = graph.producer(m.first), graph.operands(m.first.node)
        assert isinstance(op, Slice)
        assert data is not None
        if any(value is None or graph.constant(value) is None for value in numbers):
            return False
        kind = graph.type(data)
        starts, ends, *rest = (graph.type(value) for value in numbers if value is not None)
        cuts = op.cuts(kind, starts, ends, *rest) or {}
        return all(axis in cuts and cuts[axis][:2] == (0, 1) for axis in range(2, kind.rank or 3))

    @requirement
    def the_size_of_a_channel_is_known(self, graph: Graph, m: NumberedPixels) -> bool:
        """Every spatial axis of what is pooled has a size that is a number."""
        return bool(_plane(graph, m))

    def replaces(self, graph: Graph, match: NumberedPixels) -> tuple[int, ...]:
        """Both pools and the Slice; the one whose indices remain comes along for them to be known."""
        return (match.pooled.node, match.numbers.node, match.first.node)

    def apply(self, edit: Edit, m: NumberedPixels) -> None:
        """Compute where channels begin from the indices that there are anyway."""
        graph = edit.graph
        first = edit.add(
            graph.producer(m.first), m.pooled, *graph.operands(m.first.node)[1:], like=m.first.node
        )
        size = edit.constant(np.asarray(_plane(graph, m), np.int64), name="pixels")
        edit.replace(m.first, edit.add(Mul(), edit.add(Div(), first, size), size))


def _are_indices(graph: Graph, value: Value) -> bool:
    return isinstance(graph.producer(value), MaxPool) and value.output == 1


def _plane(graph: Graph, m: NumberedPixels) -> int:
    """How many pixels a channel has; 0 when that is not known."""
    x = graph.operand(m.numbers.node, 0)
    shape = None if x is None else graph.type(x).shape
    sizes = [size for size in (shape or ())[2:] if isinstance(size, int)]
    return math.prod(sizes) if shape is not None and len(sizes) == len(shape) - 2 else 0
