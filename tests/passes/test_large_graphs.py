"""The default passes on long and wide graphs: no stack overflows, and work that grows with the graph."""

from collections.abc import Callable, Mapping
from functools import reduce

import numpy as np
import pytest

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Add,
    BatchNormalization,
    Concat,
    Conv,
    Gather,
    MatMul,
    Mul,
    Op,
    Relu,
    Sigmoid,
    Split,
    Sum,
)
from convgraph.passes import DEFAULT, Pipeline

CHANNELS = 4
FEW, MANY = 250, 1000  # the second is as deep as Python's stack
MOST_GROWTH = 4.9  # of the work, for four times the nodes

Step = Callable[[GraphBuilder, Value, int], Value]
STATISTICS = (1.5, -0.25, 0.125, 2.0)


def weight(b: GraphBuilder, number: int, *, inside: int = CHANNELS, size: int = 1) -> Value:
    """A weight of its own for each number."""
    rng = np.random.default_rng(number)
    return b.constant(rng.normal(size=(CHANNELS, inside, size, size)).astype(np.float32))


def conv(b: GraphBuilder, x: Value, number: int) -> Value:
    """A pointwise convolution."""
    return b.add(Conv.of(2), x, weight(b, number))


def three(b: GraphBuilder, x: Value, number: int) -> Value:
    """A 3 x 3 convolution that keeps the size."""
    return b.add(Conv.of(2, pads=(1, 1, 1, 1)), x, weight(b, number, size=3))


def depthwise(b: GraphBuilder, x: Value, number: int) -> Value:
    """A depthwise 3 x 3 convolution."""
    op = Conv.of(2, pads=(1, 1, 1, 1), group=CHANNELS)
    return b.add(op, x, weight(b, number, inside=1, size=3))


def normalised(b: GraphBuilder, x: Value, number: int) -> Value:
    """Convolution, batch normalisation, activation."""
    statistics = [b.constant(np.full(CHANNELS, value, np.float32)) for value in STATISTICS]
    return b.add(Relu(), b.add(BatchNormalization(), conv(b, x, number), *statistics))


def beside(op: Op, *shape: int) -> Step:
    """An operation on a constant of a shape."""

    def step(b: GraphBuilder, x: Value, number: int) -> Value:
        data = np.random.default_rng(number).normal(size=shape).astype(np.float32)
        return b.add(op, x, b.constant(data))

    return step


def product(b: GraphBuilder, x: Value, number: int) -> Value:
    """A matrix product and its bias."""
    return beside(Add(), 8)(b, beside(MatMul(), 8, 8)(b, x, number), number)


def reordered(b: GraphBuilder, x: Value, _: int) -> Value:
    """Channels in another order."""
    return b.add(Gather(axis=1), x, b.constant(np.array([3, 0, 2, 1])))


def cut_and_joined(b: GraphBuilder, x: Value, number: int) -> Value:
    """Halves of the channels, the first worked on, joined again."""
    halves = b.add_all(Split(axis=1), x, b.constant(np.array([2, 2])), names=("", ""))
    return b.add(Concat(axis=1), b.add((Relu(), Sigmoid())[number % 2], halves[0]), halves[1])


CHAINS: Mapping[str, Step] = {
    "convolutions": conv,
    "depthwise convolutions": depthwise,
    "normalised convolutions": normalised,
    "residual convolutions": lambda b, x, n: b.add(Add(), x, three(b, x, n)),
    "gated": lambda b, x, _: b.add(Mul(), x, b.add(Sigmoid(), x)),
    "doubled": lambda b, x, _: b.add(Add(), x, x),
    "added constants": beside(Add(), 1, CHANNELS, 1, 1),
    "scales": beside(Mul(), 1, CHANNELS, 1, 1),
    "scales, added to": lambda b, x, n: b.add(Add(), x, beside(Mul(), 1, CHANNELS, 1, 1)(b, x, n)),
    "matrix products": product,
    "orders of channels": reordered,
    "orders of channels, activations": lambda b, x, n: b.add(Sigmoid(), x) if n else reordered(b, x, n),
    "halves": cut_and_joined,
}


def chain(step: Step, *, count: int) -> Graph:
    """So many steps, one after the other."""
    b = GraphBuilder("chain")
    x = b.input("x", shape=(1, CHANNELS, 6, 8))
    for number in range(count):
        x = step(b, x, number)
    b.output(x, name="y")
    return b.build()


def fan(step: Step, join: Op | None, *, count: int) -> Graph:
    """So many steps from one value, joined by one operation, added one by one, or all returned."""
    b = GraphBuilder("fan")
    x = b.input("x", shape=("N", CHANNELS, "H", "W"))
    ends = [step(b, x, number) for number in range(count)]
    if isinstance(join, Add):
        ends = [reduce(lambda total, end: b.add(join, total, end), ends)]
    elif join is not None:
        ends = [b.add(join, *ends)]
    for number, end in enumerate(ends):
        b.output(end, name=f"y{number}")
    return b.build()


FANS: Mapping[str, tuple[Step, Op | None]] = {
    "convolutions": (three, None),
    "normalised convolutions": (normalised, None),
    "activations": (lambda b, x, n: b.add((Relu(), Sigmoid())[n % 2], x), None),
    "normalised convolutions, joined": (normalised, Concat(axis=1)),
    "convolutions, added": (lambda b, x, n: b.add(Relu(), conv(b, x, n)), Sum()),
    "convolutions, added one by one": (conv, Add()),
}


def work(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often the default passes look at an operation of the graph."""
    looks, look = 0, Graph.op

    def counted(self: Graph, node: int) -> Op:
        nonlocal looks
        looks += 1
        return look(self, node)

    with monkeypatch.context() as patch:
        patch.setattr(Graph, "op", counted)
        Pipeline(DEFAULT).run(graph)
    return looks


@pytest.mark.parametrize("name", CHAINS)
def test_long_chains(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = (work(chain(CHAINS[name], count=count), monkeypatch) for count in (FEW, MANY))
    assert many < MOST_GROWTH * few


@pytest.mark.parametrize("name", FANS)
def test_wide_fans(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = (work(fan(*FANS[name], count=count), monkeypatch) for count in (FEW // 8, MANY // 8))
    assert many < MOST_GROWTH * few


def test_channels_without_number_are_not_listed() -> None:
    b = GraphBuilder("bomb")
    x = b.input("x", shape=(1, CHANNELS, 2, 3))
    for _ in range(40):
        x = b.add(Concat(axis=1), x, x)
    b.output(x, name="y")
    _, trace = Pipeline(DEFAULT).run(b.build())
    assert not trace.applications
