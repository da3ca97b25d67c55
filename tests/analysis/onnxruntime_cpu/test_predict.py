"""The predicted time of a graph: the sum of its nodes', the same every time, from the committed rates."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest

from convgraph import load, to_onnx
from convgraph.analysis.onnxruntime_cpu.predict import node_seconds, seconds
from convgraph.analysis.onnxruntime_cpu.rates import Rates, committed
from convgraph.compiler.calibration.calibrate import measured
from convgraph.importers.demo import demo_names
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, BatchNormalization, Conv, MaxPool, Mul, Op, Relu, Sigmoid, Softmax
from convgraph.ir.tensor import Array

Layer = Callable[[GraphBuilder, Value], Value]

RNG = np.random.default_rng(0)


class Recorded(Mapping[str, float]):
    """A table that notes which of its names are asked for."""

    def __init__(self, table: Mapping[str, float]) -> None:
        self.table, self.read = table, set[str]()

    def __getitem__(self, name: str) -> float:
        self.read.add(name)
        return self.table[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __len__(self) -> int:
        return len(self.table)


def weight(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def block(builder: GraphBuilder, x: Value) -> Value:
    """Convolutions with an activation, an addition and a pool."""
    y = builder.add(Relu(), builder.add(Conv.of(2, pads=1), x, weight(32, 32, 3, 3)))
    return builder.add(MaxPool.of((2, 2), strides=2), builder.add(Add(), x, y))


def head(builder: GraphBuilder, x: Value) -> Value:
    """What is computed outside of blocks."""
    return builder.add(Softmax(axis=1), builder.add(Sigmoid(), x))


def graph_of(*branches: Layer) -> Graph:
    """A graph whose branches have nothing to do with each other."""
    builder = GraphBuilder("branches", opset=18)
    for i, branch in enumerate(branches):
        builder.output(branch(builder, builder.input(f"x{i}", shape=(1, 32, 24, 20))), name=f"y{i}")
    return builder.build()


@pytest.mark.parametrize("name", demo_names())
def test_every_node_has_a_time_and_the_graph_their_sum(name: str) -> None:
    graph = load(f"demo:{name}")
    spent = node_seconds(graph, committed())
    assert set(spent) == set(graph.compute_nodes())
    assert all(math.isfinite(time) and time >= 0 for time in spent.values())
    assert seconds(graph, committed()) == pytest.approx(math.fsum(spent.values()))
    assert 0 < seconds(graph, committed()) < 10


def after_blocks(op: Op, *numbers: Array) -> Graph:
    """Something done to blocks of channels, a Relu of that, and a convolution."""

    def layer(builder: GraphBuilder, x: Value) -> Value:
        y = block(builder, x)
        y = builder.add(Relu(), builder.add(op, y, *numbers))
        return builder.add(Conv.of(2), y, weight(32, 32, 1, 1))

    return graph_of(layer)


def test_constants_beside_blocks_take_as_long_as_the_convolution_that_is_made_of_them() -> None:
    ones, many = np.ones(32, np.float32), weight(32, 1, 1)
    spelled = (
        after_blocks(Mul(), many),
        after_blocks(BatchNormalization(), ones, ones, ones, ones),
        after_blocks(Conv.of(2, group=32), many[:, None]),
    )
    times = [seconds(graph, committed()) for graph in spelled]
    assert times == pytest.approx([times[0]] * 3, rel=1e-6)


def test_branches_apart_take_the_sum_of_what_they_take_alone() -> None:
    both = seconds(graph_of(block, head), committed())
    assert both == pytest.approx(sum(seconds(graph_of(branch), committed()) for branch in (block, head)))
    assert seconds(graph_of(block, block), committed()) == pytest.approx(
        2 * seconds(graph_of(block), committed())
    )


@pytest.mark.parametrize("name", demo_names())
def test_the_same_model_always_has_the_same_time(name: str) -> None:
    graph = load(f"demo:{name}")
    again = load(to_onnx(graph))
    assert seconds(graph, committed()) == seconds(graph, committed()) == seconds(again, committed())


def test_a_graph_of_open_sizes_is_counted_as_at_the_assumed_ones() -> None:
    def sized(batch: int | str) -> Graph:
        builder = GraphBuilder("sized", opset=18)
        builder.output(block(builder, builder.input("x", shape=(batch, 32, 24, 20))), name="y")
        return builder.build()

    assert seconds(sized("N"), committed()) == seconds(sized(1), committed())


def test_every_committed_rate_is_read_and_no_other() -> None:
    """Every kind of work is in some probe, and each rate in some prediction."""
    table = Recorded(committed().table)
    rates = replace(committed(), table=table)

    def read(graph: Graph) -> float:
        return seconds(graph, rates)

    measured(read)
    for name in demo_names():
        seconds(load(f"demo:{name}"), rates)
    assert table.read == set(committed().table)


def test_a_rate_that_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match="'of another version'"):
        Rates(block=8, table={})["of another version"]
