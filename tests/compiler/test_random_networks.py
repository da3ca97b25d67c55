"""Random networks, whole: built, exported, imported, optimised, exported, run and compared."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from fuzz.networks import Subject, faults, ways
from hypothesis import HealthCheck, given, settings

from convgraph.compiler.optimize import optimize
from convgraph.exporters.onnx_model import to_onnx
from convgraph.exporters.staged import serialised
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Value
from convgraph.ir.ops import (
    Add,
    AveragePool,
    BatchNormalization,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    Div,
    Dropout,
    Identity,
    LeakyRelu,
    MaxPool,
    Mul,
    PRelu,
    Relu,
    Sigmoid,
    Sub,
)

Draw = Callable[[st.SearchStrategy[Any]], Any]


class Network:
    """A network under construction: values so far, all (N, channels, H, W) with known channels."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.builder = GraphBuilder("random", opset=draw(st.sampled_from([9, 11, 13, 17, 21])))
        height = draw(st.sampled_from([9, 12, "H"]))
        self.values = [(self.builder.input("x", shape=("N", 4, height, 11)), 4)]

    def array(self, *shape: int, positive: bool = False) -> np.ndarray:
        """Random float32 numbers."""
        drawn = self.rng.uniform(0.3, 2, shape) if positive else self.rng.normal(size=shape)
        return drawn.astype(np.float32)

    def grow(self) -> None:
        """Add one operation to a value so far."""
        x, channels = self.draw(st.sampled_from(self.values))
        step = self.draw(st.sampled_from([conv, conv, norm, norm, scale, shift, activate, other, join]))
        self.values.append(step(self, x, channels))


def conv(net: Network, x: Value, channels: int) -> tuple[Value, int]:
    """A Conv or ConvTranspose that keeps the spatial sizes."""
    group = net.draw(st.sampled_from([1, 2, channels]))
    out = group * net.draw(st.integers(1, 2)) if group > 1 else net.draw(st.sampled_from([2, 4, 6]))
    transposed = net.draw(st.booleans())
    shape = (channels, out // group, 3, 3) if transposed else (out, channels // group, 3, 3)
    bias = [net.array(out)] if net.draw(st.booleans()) else []
    kind = ConvTranspose if transposed else Conv
    return net.builder.add(kind.of(2, pads=1, group=group), x, net.array(*shape) / 3, *bias), out


def norm(net: Network, x: Value, channels: int) -> tuple[Value, int]:
    """A batch normalisation."""
    statistics = [net.array(channels), net.array(channels), net.array(channels)]
    return net.builder.add(BatchNormalization(), x, *statistics, net.array(channels, positive=True)), channels


def scale(net: Network, x: Value, channels: int) -> tuple[Value, int]:
    """A product with, or quotient by, constants of several shapes."""
    shape = net.draw(st.sampled_from([(), (1,), (channels, 1, 1), (1, channels, 1, 1), (11,)]))
    constant = net.builder.constant(net.array(*shape, positive=True))
    if net.draw(st.booleans()):
        return net.builder.add(Div(), x, constant), channels
    return net.builder.add(Mul(), *net.draw(st.permutations([x, constant]))), channels


def shift(net: Network, x: Value, channels: int) -> tuple[Value, int]:
    """A sum with, or difference from, constants of several shapes, on either side."""
    shape = net.draw(st.sampled_from([(), (channels, 1, 1), (1, channels, 1, 1), (1, 1, 1, 11)]))
    operands = net.draw(st.permutations([x, net.builder.constant(net.array(*shape))]))
    return net.builder.add(net.draw(st.sampled_from([Add(), Sub()])), *operands), channels


def activate(net: Network, x: Value, channels: int) -> tuple[Value, int]:
    """An activation."""
    kind = net.draw(st.sampled_from(["Relu", "LeakyRelu", "Clip", "Sigmoid", "PRelu"]))
    if kind == "PRelu":
        return net.builder.add(PRelu(), x, net.array(channels, 1, 1)), channels
    if kind == "Clip":
        return net.builder.add(Clip(), x, 0.0, 6.0), channels
    plain = {"Relu": Relu(), "LeakyRelu": LeakyRelu(alpha=0.2), "Sigmoid": Sigmoid()}[kind]
    return net.builder.add(plain, x), channels


def other(net: Network, x: Value, channels: int) -> tuple[Value, int]:
    """An operation that a rewrite removes, or one that stands in the way."""
    pools = {
        "max": MaxPool(kernel_shape=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1), dilations=(1, 1)),
        "average": AveragePool(kernel_shape=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1), dilations=(1, 1)),
    }
    plain = {"identity": Identity(), "dropout": Dropout(), **pools}
    return net.builder.add(plain[net.draw(st.sampled_from(sorted(plain)))], x), channels


def join(net: Network, x: Value, channels: int) -> tuple[Value, int]:
    """The sum of, or the concatenation with, another value."""
    alike = [value for value, c in net.values if c == channels]
    y = net.draw(st.sampled_from(alike))
    if net.draw(st.booleans()):
        return net.builder.add(Add(), x, y), channels
    return net.builder.add(Concat(axis=1), x, y), 2 * channels


@st.composite
def networks(draw: Draw) -> bytes:
    """A random network as ONNX bytes; its last value, and perhaps an earlier one, are returned."""
    net = Network(draw)
    for _ in range(draw(st.integers(2, 10))):
        net.grow()
    computed = [value for value, _ in net.values[1:]]
    net.builder.output(computed[-1], name="y")
    extra = draw(st.sampled_from(computed))
    if extra != computed[-1]:
        net.builder.output(extra, name="z")
    return bytes(to_onnx(net.builder.build()).SerializeToString())


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(model=networks())
def test_random_networks_stay_the_same_function(model: bytes) -> None:
    result = optimize(model, trials=2)
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    again = optimize(result.proto, verify=False)
    assert not again.changed
    assert serialised(again.proto) == serialised(result.proto)


@pytest.mark.parametrize("first", range(0, 60, 12))
def test_wide_random_networks_stay_the_same_function_in_every_way(first: int) -> None:
    """Sixty of those that ``tests/fuzz/networks.py`` makes by the thousand."""
    counts: Counter[str] = Counter()
    for seed in range(first, first + 12):
        subject = Subject(seed)
        for way, pipeline in ways():
            assert not list(faults(subject, way, pipeline, run=way == "generic", counts=counts)), (seed, way)
    assert len(counts) > 20
