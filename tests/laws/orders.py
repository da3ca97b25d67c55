"""Channels put in another order, in every spelling, for examples and near misses."""

from collections.abc import Callable

import numpy as np

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Value
from convgraph.ir.ops import Concat, Gather, Op, Reshape, Slice, Split, Transpose
from convgraph.ir.tensor import DataType
from laws.draw import Draw

Step = Callable[[GraphBuilder, Draw, Value], Value]


def gathered(*channels: int, axis: int = 1, indices: str = "constant") -> Step:
    """The channels with these numbers, the numbers "constant", "computed" or in a "matrix"."""

    def step(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        del draw
        numbers = np.array(channels)
        if indices == "computed":
            return b.add(Gather(axis=axis), x, b.input("places", shape=numbers.shape, dtype=DataType.INT64))
        return b.add(Gather(axis=axis), x, numbers.reshape(-1, 1) if indices == "matrix" else numbers)

    return step


def sliced(start: int, end: int, stride: int = 1, *, axis: int = 1) -> Step:
    """The channels from ``start`` to before ``end``."""

    def step(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        del draw
        return b.add(Slice(), x, *(np.array([number]) for number in (start, end, axis, stride)))

    return step


def shuffled(*sizes: int, perm: tuple[int, ...] = (0, 2, 1, 3, 4), flat: bool = False) -> Step:
    """The channels on axes of these sizes, the axes permuted; ``flat``: with all pixels on one axis."""

    def step(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        del draw
        shape = b.type(x).shape or ()
        apart = [0, *sizes, -1] if flat else [0, *sizes, *_spelled(shape[2:])]
        y = b.add(Transpose(perm=perm), b.add(Reshape(), x, np.array(apart)))
        return b.add(Reshape(), y, np.array([0, int(np.prod(sizes)), *_spelled(shape[2:])]))

    return step


def _spelled(sizes: tuple[object, ...]) -> list[int]:
    return [size if isinstance(size, int) else -1 for size in sizes]


def joined(*steps: Step) -> Step:
    """What the steps make of x, joined on the channel axis."""

    def step(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        return b.add(Concat(axis=1), *(make(b, draw, x) for make in steps))

    return step


def halves_swapped(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """The second half of the channels, by a Split, then the first."""
    del draw
    first, second = b.add_all(Split(axis=1, num_outputs=2), x, names=("", ""))
    return b.add(Concat(axis=-3), second, first)


def whole(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """X itself."""
    del b, draw
    return x


def then(*steps: Step | Op) -> Step:
    """One step after the other; an operation is a step of its own."""

    def step(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        for make in steps:
            x = b.add(make, x) if isinstance(make, Op) else make(b, draw, x)
        return x

    return step


def also_returned(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """X, which the graph returns as well."""
    del draw
    b.output(x)
    return x


def depthwise(op: Op, channels: int, *kernel: int, bias: bool = True, dtype: type = np.float32) -> Step:
    """A convolution of each channel alone."""

    def step(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        rest = [draw.weight(channels, dtype=dtype)] if bias else []
        return b.add(op, x, draw.weight(channels, 1, *kernel, dtype=dtype), *rest)

    return step
