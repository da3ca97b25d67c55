"""Networks on sequences: their convolutions, and three networks as they are used."""

import numpy as np

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Add,
    Concat,
    Conv,
    ConvTranspose,
    Div,
    Flatten,
    Gemm,
    GlobalMaxPool,
    LeakyRelu,
    Mul,
    Relu,
    Sigmoid,
    Split,
    Sum,
    Tanh,
    Transpose,
)
from convgraph.ir.tensor import Dim
from laws.draw import Draw

C = 32
"""Channels, unless it is said."""


def conv(
    b: GraphBuilder,
    x: Value,
    draw: Draw,
    *,
    out: int = C,
    channels: int = C,
    op: Conv | None = None,
    k: int = 3,
) -> Value:
    """A convolution along L that keeps the length, unless ``op`` says otherwise."""
    op = Conv.of(1, pads=k // 2) if op is None else op
    return b.add(op, x, draw.weight(out, channels // op.group, k), draw.weight(out))


def residual(b: GraphBuilder, x: Value, draw: Draw) -> Value:
    """Two dilated convolutions, and what they read besides."""
    for step in (1, 3):
        y = conv(b, b.add(LeakyRelu(alpha=0.5), x), draw, op=Conv.of(1, pads=step, dilations=step))
        x = b.add(Add(), y, x)
    return x


def vocoder(draw: Draw, *, size: tuple[Dim, Dim]) -> Graph:
    """Sequences that are enlarged twice, each time with residual blocks (HiFi-GAN)."""
    b = GraphBuilder("g", opset=17)
    x = conv(b, b.input("x", shape=(size[0], C, size[1])), draw, k=7)
    for kernel in (4, 8):
        up = ConvTranspose.of(1, strides=kernel // 2, pads=kernel // 4)
        x = b.add(up, b.add(LeakyRelu(alpha=0.1), x), draw.weight(C, C, kernel), draw.weight(C))
        x = b.add(Div(), b.add(Add(), residual(b, x, draw), residual(b, x, draw)), 2.0)
    y = conv(b, b.add(LeakyRelu(), x), draw, out=1, k=7)
    b.output(b.add(Tanh(), y), name="y")
    return b.build()


def classifier(draw: Draw, *, size: tuple[Dim, Dim]) -> Graph:
    """The largest answers to kernels of several lengths (TextCNN)."""
    b, found = GraphBuilder("g", opset=17), []
    x = b.add(Transpose(perm=(0, 2, 1)), b.input("x", shape=(size[0], size[1], 3 * C)))
    for k in (3, 4, 5):
        y = b.add(Relu(), conv(b, x, draw, op=Conv.of(1), k=k, channels=3 * C))
        found.append(b.add(Flatten(), b.add(GlobalMaxPool(), y)))
    joined_answers = b.add(Concat(axis=1), *found)
    b.output(b.add(Gemm(), joined_answers, draw.weight(3 * C, 5), draw.weight(5)), name="y")
    return b.build()


def gated_network(draw: Draw, *, size: tuple[Dim, Dim]) -> Graph:
    """Dilated convolutions with gates, their sums returned (WaveNet)."""
    b, skips = GraphBuilder("g", opset=17), list[Value]()
    x = b.input("x", shape=(size[0], C, size[1]))
    for step in (1, 2, 4):
        x = b.add(Add(), x, conv(b, x, draw, op=Conv.of(1), k=1))
        wide = conv(b, x, draw, out=2 * C, op=Conv.of(1, pads=step, dilations=step))
        left, right = b.add_all(Split(axis=1), wide, np.array([C, C]), names=("", ""))
        x = b.add(Mul(), b.add(Tanh(), left), b.add(Sigmoid(), right))
        skips.append(conv(b, x, draw, op=Conv.of(1), k=1))
    y = b.add(Relu(), b.add(Sum(), *skips))
    b.output(conv(b, y, draw, op=Conv.of(1), k=1, out=16), name="y")
    return b.build()
