"""Windows that read a Pad, for the examples and near misses of the rewrites that absorb the Pad."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import AveragePool, Conv, MaxPool, Op, Pad
from convgraph.ir.tensor import DataType, Dim
from laws.draw import Draw

Window = Callable[[GraphBuilder, Draw, Value], Value]


def window_on_pad(
    window: Window,
    pads: Sequence[int],
    *,
    fill: object = None,
    axes: Sequence[int] | None = None,
    mode: str = "constant",
    spatial: Sequence[Dim] = ("H", "W"),
    dtype: type = np.float32,
    overridable: bool = False,
    asked: bool = False,
    before: Op | None = None,
    bordered: bool = False,
    readers: int = 1,
    returned: bool = False,
    opset: int = 19,
) -> Callable[[Draw], Graph]:
    """A Pad of x (N, 4, …), or of an operation ``before``, by ``pads`` with ``fill``, and windows of it.

    ``bordered`` adds a row and a column of zeros to the data first. ``overridable`` lets a caller choose the
    amounts, ``asked`` the number; ``returned`` makes the padded data an output too.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=opset)
        x = b.input("x", shape=("N", 4, *spatial), dtype=DataType.of(np.dtype(dtype)))
        x = x if before is None else b.add(before, x)
        x = b.add(Pad(), x, np.array([0, 0, 0, 1, 0, 0, 1, 0])) if bordered else x
        amounts: Operand = np.array(pads, np.int64)
        if overridable:
            amounts = b.overridable("pads", np.array(pads, np.int64))
        value: Operand | None = None if fill is None else np.asarray(fill, dtype)
        if asked:
            value = b.input("fill", shape=(), dtype=DataType.of(np.dtype(dtype)))
        named = None if axes is None else np.array(axes, np.int64)
        padded = b.add(Pad(mode=mode), x, amounts, value, named, name="padded")
        if returned:
            b.output(padded)
        for number in range(readers):
            b.output(window(b, draw, padded), name=f"y{number}")
        return b.build()

    return build


def conv(
    *, pads: int | Sequence[int] = 0, dtype: type = np.float32, kernel: Sequence[int] = (3, 2), **of: int
) -> Window:
    """A convolution to 6 channels with these pads."""

    def build(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        weight = draw.weight(6, 4 // of.get("group", 1), *kernel, dtype=dtype)
        op = Conv.of(len(kernel), pads=pads, **of)
        return b.add(op, x, weight, draw.weight(6, dtype=dtype))

    return build


def same_conv(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A strided convolution whose pads are a rule."""
    op = replace(Conv.of(2, strides=2), auto_pad="SAME_UPPER")
    return b.add(op, x, draw.weight(6, 4, 3, 3))


def pooled(op: MaxPool | AveragePool, *, indices: bool = False) -> Window:
    """A pool; with ``indices`` the graph returns them."""

    def build(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        del draw
        if not indices:
            return b.add(op, x)
        y, where = b.add_all(op, x, names=("", "where"))
        b.output(where)
        return y

    return build
