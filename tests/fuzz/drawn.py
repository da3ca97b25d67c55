"""A random network under construction, and weights of the structures that rewrites look for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Value
from convgraph.ir.ops import (
    Mul,
    Op,
    Transpose,
)
from convgraph.ir.tensor import Array, DataType


@dataclass(slots=True)
class Network:
    """A network under construction; ``values`` are all (N, C, *spatial) with C known."""

    rng: Any
    builder: GraphBuilder
    dtype: DataType
    rank: int
    opset: int
    values: list[Value]
    shared: dict[tuple[int, ...], Value]
    inputs: int = 0

    def pick(self, *options: Any) -> Any:
        """One of the options."""
        return options[int(self.rng.integers(len(options)))]

    def number(self, *options: int) -> int:
        """One of the numbers."""
        return int(self.rng.choice(options))

    def chance(self, probability: float) -> bool:
        """Whether, with a probability."""
        return bool(self.rng.random() < probability)

    def per_axis(self, *options: int) -> tuple[int, ...]:
        """One of the numbers for each spatial axis, as often as not the same."""
        if self.chance(0.5):
            return (self.number(*options),) * self.rank
        return tuple(self.number(*options) for _ in range(self.rank))

    def shape(self, x: Value) -> tuple[object, ...]:
        """The shape of a value, its symbols as they are."""
        return tuple(self.builder.type(x).shape or ())

    def channels(self, x: Value) -> int:
        """The number of channels of a value."""
        return int(str(self.shape(x)[1]))

    def array(self, *shape: int) -> Array:
        """Signed numbers, now and then all of a few values, of which some are zero."""
        drawn = self.rng.integers(-2, 3, shape) if self.chance(0.2) else self.rng.normal(size=shape)
        return np.asarray(drawn, dtype=self.dtype.numpy)

    def positive(self, *shape: int) -> Array:
        """Numbers well away from zero."""
        return np.asarray(self.rng.uniform(0.5, 2, shape), dtype=self.dtype.numpy)

    def weight(self, *shape: int) -> Array | Value:
        """A convolution's weight of some structure; sometimes one that is there already."""
        if shape in self.shared and self.chance(0.15):
            return self.shared[shape]
        array = structured(self, shape) / math.sqrt(math.prod(shape[1:]))
        value = self.given(np.asarray(array, dtype=self.dtype.numpy))
        self.shared[shape] = value
        return value

    def given(self, array: Array) -> Value:
        """A constant; sometimes one that is computed from constants, or that a caller may override."""
        kind = self.number(*range(30))
        if kind == 0:
            return self.builder.overridable(self.fresh(), array)
        if kind == 1:
            turned = self.builder.constant(np.ascontiguousarray(array.T))
            return self.add(Transpose(), turned)
        if kind == 2:
            mask = np.asarray(self.rng.random(array.shape) < 0.7, dtype=array.dtype)
            return self.add(Mul(), self.builder.constant(array), mask)
        return self.builder.constant(array)

    def fresh(self) -> str:
        """A name for an input that has none yet."""
        self.inputs += 1
        return f"given{self.inputs}"

    def ints(self, numbers: Sequence[int]) -> Array:
        """Sizes, axes or places, as ONNX takes them."""
        return np.asarray(numbers, dtype=np.int64)

    def add(self, op: Op, *operands: Operand) -> Value:
        """The first result of an operation."""
        return self.builder.add(op, *operands)


def structured(net: Network, shape: tuple[int, ...]) -> Array:
    """Random numbers with, as often as not, a structure that some rewrite looks for."""
    full = net.rng.normal(size=shape)
    if full.size and net.chance(0.7):
        full = STRUCTURES[net.number(*range(len(STRUCTURES)))](net, full)
    if net.chance(0.1):  # channels of very different size
        full = full * 10.0 ** net.rng.integers(-4, 2, (len(full), *[1] * (full.ndim - 1)))
    return full


def idle_lines(net: Network, full: Array) -> Array:
    """Rows and columns of taps that do nothing."""
    for axis in range(2, full.ndim):
        np.moveaxis(full, axis, 0)[net.number(0, full.shape[axis] - 1)] = 0
    return full


def spread(_: Network, full: Array) -> Array:
    """A lattice of taps."""
    for axis in range(2, full.ndim):
        np.moveaxis(full, axis, 0)[1::2] = 0
    return full


def blocks(_: Network, full: Array) -> Array:
    """Channels that see every other channel."""
    rows, columns = full.shape[:2]
    seen = np.arange(rows)[:, None] % 2 == np.arange(columns) % 2
    return np.asarray(full * seen.reshape(rows, columns, *[1] * (full.ndim - 2)))


def depthwise(net: Network, full: Array) -> Array:
    """One kernel for each input channel, mixed."""
    return np.asarray(
        full[:, :, *[slice(0, 1)] * (full.ndim - 2)] * net.rng.normal(size=(1, *full.shape[1:]))
    )


def lines(net: Network, full: Array) -> Array:
    """Lines times lines."""
    product = full[:, :, *[slice(0, 1)] * (full.ndim - 2)]
    for axis in range(2, full.ndim):
        product = product * net.rng.normal(size=[n if i == axis else 1 for i, n in enumerate(full.shape)])
    return product


def twins(net: Network, full: Array) -> Array:
    """The last channel is the first, or so many times the first."""
    full[-1] = full[0] * net.number(1, 1, 2, -1, 0)
    return full


def unread(net: Network, full: Array) -> Array:
    """An input channel that nothing reads."""
    full[:, net.number(0, full.shape[1] - 1)] = 0
    return full


def boxes(_: Network, full: Array) -> Array:
    """Kernels of a single number."""
    full[...] = full[:, :, *[slice(0, 1)] * (full.ndim - 2)]
    return full


def identity(_: Network, full: Array) -> Array:
    """Each channel as it is, as far as there are as many."""
    full[...] = 0
    for channel in range(len(full)):
        full[channel, channel % full.shape[1], *[n // 2 for n in full.shape[2:]]] = 1
    return full


def sparse(net: Network, full: Array) -> Array:
    """Most weights zero."""
    return np.asarray(full * (net.rng.random(full.shape) < 0.4))


STRUCTURES = (idle_lines, spread, blocks, depthwise, lines, twins, unread, boxes, identity, sparse)
