"""Products counted as their kernels compute them, and what follows for their time."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from convgraph.analysis.cost import types_at_assumed_sizes
from convgraph.analysis.onnxruntime_cpu import products
from convgraph.analysis.onnxruntime_cpu.convolutions import MULTIPLYING, WITHIN, seconds, work_of
from convgraph.analysis.onnxruntime_cpu.plan import planned
from convgraph.analysis.onnxruntime_cpu.products import Axis
from convgraph.analysis.onnxruntime_cpu.rates import committed
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import (
    Activation,
    Add,
    Clip,
    Conv,
    ConvTranspose,
    Elu,
    Gemm,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    MatMul,
    Op,
    Relu,
    Sigmoid,
    Swish,
    Tanh,
)
from convgraph.ir.tensor import Array

RNG = np.random.default_rng(0)


def reals(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def graph_of(op: Op, x: Sequence[int], weight: Sequence[int], *, then: Op | None = None) -> Graph:
    builder = GraphBuilder("product", opset=21)
    y = builder.add(op, builder.input("x", shape=tuple(x)), reals(*weight))
    builder.output(y if then is None else builder.add(then, y))
    return builder.build()


def convolution(
    channels: int = 64, filters: int = 64, *, size: int = 28, kernel: int = 3, group: int = 1, stride: int = 1
) -> Graph:
    op = Conv.of(2, pads=kernel // 2, group=group, strides=stride)
    return graph_of(op, (1, channels, size, size), (filters, channels // group, kernel, kernel))


def the_product(graph: Graph) -> int:
    return next(node for node in graph.compute_nodes() if isinstance(graph.op(node), MULTIPLYING))


def counts_of(graph: Graph, *, block: int = 16) -> dict[str, float]:
    types = types_at_assumed_sizes(graph)
    plan = planned(graph, types, block=block)
    found = work_of(graph, the_product(graph), types=types, plan=plan, block=block)
    return {name: count for work in found for name, count in work.counts}


def time_of(graph: Graph) -> float:
    types, rates = types_at_assumed_sizes(graph), committed()
    plan = planned(graph, types, block=rates.block)
    return seconds(graph, the_product(graph), types=types, plan=plan, rates=rates)


def seen(axis: Axis) -> list[int]:
    """How many taps of each output lie inside, one by one."""
    reach = range(0, axis.kernel * axis.dilation, axis.dilation)
    firsts = [out * axis.stride - axis.pad for out in range(axis.out)]
    return [sum(0 <= first + tap < axis.size for tap in reach) for first in firsts]


GEOMETRIES = [
    Axis(size=size, out=out, kernel=kernel, stride=stride, dilation=dilation, pad=pad)
    for size, kernel, stride, dilation, pad, end in itertools.product(
        (1, 5, 12), (1, 3, 4), (1, 2, 3), (1, 2, 6), (0, 1, 6), (0, 1, 7)
    )
    if (out := (size + pad + end - dilation * (kernel - 1) - 1) // stride + 1) > 0
]


def test_taps_inside_are_those_counted_one_by_one() -> None:
    assert [axis.taps for axis in GEOMETRIES] == [sum(seen(axis)) for axis in GEOMETRIES]


def test_inner_outputs_see_all_taps() -> None:
    for axis in GEOMETRIES:
        span = axis.dilation * (axis.kernel - 1)
        firsts = [out * axis.stride - axis.pad for out in range(axis.out)]
        inner = [first for first in firsts if first >= 0 and first + span < axis.size]
        assert axis.inner == len(inner), axis


def test_a_tap_is_live_where_it_sees_input_at_all() -> None:
    for axis in GEOMETRIES:
        reach = range(0, axis.kernel * axis.dilation, axis.dilation)
        firsts = [out * axis.stride - axis.pad for out in range(axis.out)]
        assert axis.live == sum(any(0 <= first + tap < axis.size for first in firsts) for tap in reach), axis


def test_strips_and_loads_cover_the_outputs() -> None:
    axis = Axis(size=14, out=14, kernel=3, pad=1)
    assert axis.inner == 12
    assert (axis.strips(6), axis.loads(6)) == (2 + 2, 2 * 3 + 2 * 2)


KINDS = {
    "direct.row": convolution(),
    "pointwise.partial": convolution(kernel=1),
    "planar.partial": convolution(3),
    "depthwise.strip": convolution(group=64),
    "unfold.run": convolution(66),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_convolution_is_counted_as_itself(kind: str) -> None:
    counts = counts_of(KINDS[kind])
    assert counts[kind] > 0
    assert not (KINDS.keys() - {kind}) & counts.keys()


def test_channels_and_filters_count_in_whole_blocks() -> None:
    assert counts_of(convolution(20, 24))["blocked.mac"] == counts_of(convolution(32, 32))["blocked.mac"]
    narrow = [counts_of(convolution(20, 24), block=block)["blocked.mac"] for block in (8, 16)]
    assert narrow[0] * 32 * 32 == narrow[1] * 24 * 24


def test_a_convolution_multiplies_what_its_window_sees() -> None:
    assert counts_of(convolution(size=4))["blocked.mac"] == (4 * 3 - 2) ** 2 * 64 * 64
    assert counts_of(convolution(kernel=1, stride=2))["blocked.mac"] == 14 * 14 * 64 * 64


def test_a_transposed_convolution_multiplies_each_input_with_each_tap() -> None:
    op = ConvTranspose.of(2, strides=2, pads=1)
    counts = counts_of(graph_of(op, (1, 32, 8, 6), (32, 24, 4, 4)))
    assert counts["gemm.mac"] == 32 * 48 * 24 * 16
    assert counts["scatter.element"] == 48 * 24 * 16


def test_a_constant_on_the_right_is_packed_once_for_all() -> None:
    constant = counts_of(graph_of(MatMul(), (4, 32, 48), (48, 64)))
    assert constant["gemm.pack"] == 0
    builder = GraphBuilder("matmul")
    left, right = builder.input("x", shape=(4, 32, 48)), builder.input("z", shape=(4, 48, 64))
    builder.output(builder.add(MatMul(), left, right))
    computed = counts_of(builder.build())
    assert computed["gemm.pack"] == 4 * 48 * 64
    assert computed["gemm.mac"] == constant["gemm.mac"] == 4 * 32 * 48 * 64


def test_a_transposed_gemm_multiplies_as_much() -> None:
    plain, turned = graph_of(Gemm(), (8, 32), (32, 64)), graph_of(Gemm(transA=1), (32, 8), (32, 64))
    assert counts_of(plain) == counts_of(turned)


def test_weights_that_no_cache_keeps_are_read_from_memory() -> None:
    assert products.coldness(2**20) == 0
    assert products.coldness(2**26) == 1
    small, large = convolution(64, 64, size=4), convolution(1024, 1024, size=4)
    assert counts_of(small)["weights.first"] == 0
    assert counts_of(large)["weights.first"] == 4 * 1024 * 1024 * 9


def test_taps_that_see_only_padding_are_not_read() -> None:
    dilated = Conv.of(2, pads=12, dilations=12)
    wide = counts_of(graph_of(dilated, (1, 1024, 12, 12), (1024, 1024, 3, 3)))
    assert wide["weights.first"] == 4 * 1024 * 1024
    assert wide["blocked.mac"] == 12 * 12 * 1024 * 1024


def test_an_empty_image_takes_next_to_no_time() -> None:
    for weight in ((64, 64, 3, 3), (64, 64, 1, 1)):
        graph = graph_of(Conv.of(2, pads=weight[2] // 2), (0, 64, 8, 8), weight)
        assert 0 < time_of(graph) < 2e-6


@pytest.mark.parametrize("activation", [Swish(), Elu(), Sigmoid()])
def test_an_activation_of_its_own_takes_time(activation: Activation) -> None:
    op = replace(Conv.of(2, pads=1), activation=activation)
    with_it = graph_of(op, (1, 64, 28, 28), (64, 64, 3, 3))
    assert time_of(with_it) > time_of(convolution())


def test_an_activation_that_becomes_part_of_it_takes_as_long_within() -> None:
    within = graph_of(replace(Conv.of(2), activation=Sigmoid()), (1, 64, 28, 28), (64, 64, 1, 1))
    after = graph_of(Conv.of(2), (1, 64, 28, 28), (64, 64, 1, 1), then=Sigmoid())
    assert time_of(after) == time_of(within)
    relu = graph_of(Conv.of(2), (1, 64, 28, 28), (64, 64, 1, 1), then=Relu())
    assert time_of(relu) < time_of(after)


@pytest.mark.parametrize("activation", [HardSwish(), LeakyRelu(), HardSigmoid(), Tanh(), Clip()])
def test_what_an_activation_computes_within_takes_time(activation: Activation) -> None:
    op = replace(Conv.of(2), activation=activation)
    builder = GraphBuilder("within", opset=21)
    y = builder.add(op, builder.input("x", shape=(1, 64, 28, 28)), reals(64, 64, 1, 1))
    builder.output(builder.add(Conv.of(2), y, reals(16, 64, 1, 1)))
    plain = graph_of(Conv.of(2), (1, 64, 28, 28), (64, 64, 1, 1))
    spent = time_of(builder.build()) - time_of(plain)
    assert spent == pytest.approx(committed()[WITHIN[type(activation)]] * 64 * 28 * 28)


def test_an_added_value_is_read_as_well() -> None:
    builder = GraphBuilder("sum")
    x = builder.input("x", shape=(1, 64, 112, 112))
    y, z = (builder.add(Conv.of(2), x, reals(64, 64, 1, 1)) for _ in range(2))
    builder.output(builder.add(Add(), y, z))
    graph = builder.build()
    types = types_at_assumed_sizes(graph)
    plan = planned(graph, types, block=16)
    first, second = (n for n in graph.compute_nodes() if isinstance(graph.op(n), Conv))
    read = {n: work_of(graph, n, types=types, plan=plan, block=16)[0].bytes for n in (first, second)}
    assert plan.summed == {first}
    assert read[first] == 1.5 * read[second]


def test_fewer_of_anything_never_take_longer() -> None:
    times = [time_of(convolution(c, 64, size=s)) for c, s in ((64, 28), (64, 29), (128, 29), (256, 29))]
    assert times == sorted(times)
    times = [time_of(convolution(size=28, kernel=k)) for k in (1, 3, 5, 7)]
    assert times == sorted(times)


def test_without_blocks_convolutions_are_unfolded() -> None:
    assert "unfold.run" in counts_of(convolution(), block=1)
