"""The rates of what multiplies: from graphs of a few convolutions each, fitted all at once.

What a graph does is counted as the prediction counts it, product by product. Its time is then a sum of counts
times rates, together with what every run takes and what the reordering of its ends does. The rates are those
that make the relative errors of all sums smallest, none below zero. How fast memory is plays next to no part:
nearly all probes stay in the caches.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from convgraph.analysis.cost import types_at_assumed_sizes
from convgraph.analysis.onnxruntime_cpu.convolutions import MULTIPLYING, work_of
from convgraph.analysis.onnxruntime_cpu.plan import planned
from convgraph.analysis.onnxruntime_cpu.work import elements
from convgraph.compiler.calibration.block import block_here
from convgraph.compiler.calibration.timer import Timer
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Clip, Conv, ConvTranspose, Gemm, MatMul
from convgraph.ir.tensor import Array

CALL = "product.call"
_RUN, _REORDERED = "run", "reordered"  # of each graph, beside its products
_TIGHT = 0.1  # relative errors from which on a probe counts less
_ROUNDS = 10
_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A convolution of a chain, padded so that it keeps the size of the image at stride 1."""

    filters: int
    kernel: int | tuple[int, int] = 3
    stride: int = 1
    group: int = 1
    clipped: bool = False


def measured(timer: Timer) -> dict[str, float]:
    """All rates that ``convolutions`` counts with, in seconds, from some seventy probes."""
    block = block_here()
    probes = list(all_probes())
    return fitted([counted(graph, block=block) for graph in probes], [timer(graph) for graph in probes])


def fitted(counts: list[Mapping[str, float]], times: list[float]) -> dict[str, float]:
    """The rates, none negative, whose sums over the counts come nearest to the times, relatively.

    One that no probe counts is 0. A probe that fits no others weighs less.
    """
    names = sorted({name for count in counts for name in count})
    shares = np.array([[count.get(name, 0.0) for name in names] for count in counts])
    shares /= np.array(times)[:, None]
    scale = np.linalg.norm(shares, axis=0)
    kept = [i for i in range(len(names)) if scale[i] > 0]
    while True:
        found = _solved(shares[:, kept] / scale[kept])
        if found.min() >= 0:
            break
        kept.pop(int(found.argmin()))
    rates = dict.fromkeys(names, 0.0) | {names[i]: v / scale[i] for i, v in zip(kept, found, strict=True)}
    return {name: float(rate) for name, rate in rates.items() if name not in (_RUN, _REORDERED)}


def _solved(shares: Array) -> Array:
    """What brings all sums of shares nearest to 1, those that stay away from it counting less."""
    weights = np.ones(len(shares))
    for _ in range(_ROUNDS):
        found = np.linalg.lstsq(shares * weights[:, None], weights, rcond=None)[0]
        weights = 1 / np.sqrt(np.maximum(1, np.abs(shares @ found - 1) / _TIGHT))
    return np.asarray(found)


def counted(graph: Graph, *, block: int) -> dict[str, float]:
    """What one run of a graph of products does, by the names of the rates."""
    types = types_at_assumed_sizes(graph)
    plan = planned(graph, types, block=block)
    total = {_RUN: 1.0, _REORDERED: float(sum(elements(types[v], block=block) for v in plan.reordered))}
    for node in graph.compute_nodes():
        if node in plan.fused or not isinstance(graph.op(node), MULTIPLYING):
            continue
        total[CALL] = total.get(CALL, 0.0) + 1
        for work in work_of(graph, node, types=types, plan=plan, block=block):
            for name, count in work.counts:
                total[name] = total.get(name, 0.0) + count
    return total


def all_probes() -> Iterator[Graph]:
    """Every kind of product, in shapes that tell its rates apart."""
    yield from _direct_probes()
    yield from _pointwise_probes()
    yield from _few_channel_probes()
    yield from _unfolded_probes()
    yield from _transposed_probes()
    yield from _matrix_probes()


def _direct_probes() -> Iterator[Graph]:
    for channels, size, times in (
        (64, 28, 4),
        (64, 7, 8),
        (64, 4, 8),
        (128, 14, 4),
        (32, 56, 4),
        (48, 12, 8),
    ):
        yield _chain(channels, size, *[Layer(filters=channels)] * times)
    for kernel in ((1, 3), (3, 1), 2, 5):
        yield _chain(64, 24, *[Layer(filters=64, kernel=kernel)] * 4)
    for channels, group, size in ((128, 8, 14), (512, 32, 7), (256, 4, 14)):
        yield _chain(channels, size, *[Layer(filters=channels, group=group)] * 4)
    for channels, size in ((256, 7), (256, 14), (512, 4), (512, 7), (512, 14), (1024, 4), (1024, 7)):
        yield _chain(channels, size, Layer(filters=channels))
    yield _chain(64, 56, Layer(filters=128, stride=2))


def _pointwise_probes() -> Iterator[Graph]:
    pairs = ((64, 64, 28), (128, 128, 14), (256, 64, 28), (32, 192, 28), (512, 512, 7), (960, 160, 7))
    for low, high, size in (*pairs, (16, 96, 40), (128, 128, 3), (64, 64, 1)):
        yield _chain(low, size, *[Layer(filters=high, kernel=1), Layer(filters=low, kernel=1)] * 3)
    for channels, filters, size in ((512, 256, 56), (1024, 512, 40), (256, 256, 112)):
        yield _chain(channels, size, Layer(filters=filters, kernel=1))


def _few_channel_probes() -> Iterator[Graph]:
    """A first layer's, and one channel a group."""
    for channels, size, filters, kernel, stride in (
        (3, 112, 16, 3, 1),
        (3, 112, 32, 7, 2),
        (1, 64, 64, 5, 1),
        (3, 64, 64, 3, 1),
        (6, 64, 32, 1, 1),
        (4, 56, 32, 3, 1),
        (3, 112, 96, 4, 4),
    ):
        yield _chain(channels, size, Layer(filters=filters, kernel=kernel, stride=stride))
    for channels, size, kernel in (
        (64, 28, 3),
        (64, 28, 5),
        (64, 14, 7),
        (256, 14, 3),
        (16, 56, 3),
        (512, 7, 3),
    ):
        yield _chain(channels, size, *[Layer(filters=channels, kernel=kernel, group=channels)] * 8)
    for channels, size in ((64, 28), (128, 14), (32, 56)):
        yield _chain(channels, size, *[Layer(filters=channels, kernel=1, clipped=True)] * 6)


def _unfolded_probes() -> Iterator[Graph]:
    """What is not blocked: channels that are no multiple of four, or too few in each group."""
    for channels, size, kernel in (
        (66, 14, 3),
        (66, 28, 3),
        (66, 28, 1),
        (130, 14, 1),
        (34, 7, 3),
        (258, 14, 3),
    ):
        yield _chain(channels, size, *[Layer(filters=channels, kernel=kernel)] * 4)
    for channels, group, size in ((128, 32, 14), (240, 60, 28), (66, 3, 28)):
        yield _chain(channels, size, *[Layer(filters=channels, group=group)] * 4)


def _transposed_probes() -> Iterator[Graph]:
    for channels, filters, size, kernel in (
        (64, 64, 8, 4),
        (64, 64, 16, 4),
        (64, 64, 16, 2),
        (32, 16, 32, 4),
        (128, 64, 32, 3),
        (64, 64, 48, 4),
        (256, 128, 32, 4),
        (512, 256, 16, 4),
        (512, 512, 16, 3),
        (1024, 512, 16, 4),
        (128, 64, 128, 4),
    ):
        builder = GraphBuilder(f"transposed.{channels}.{filters}.{size}.{kernel}")
        x = builder.input("x", shape=(1, channels, size, size))
        op = ConvTranspose.of(2, strides=2, pads=(kernel - 1) // 2)
        builder.output(builder.add(op, x, _random(channels, filters, kernel, kernel), _random(filters)))
        yield builder.build()


def _matrix_probes() -> Iterator[Graph]:
    for rows, size in ((1, 384), (4, 384), (16, 256), (64, 256), (512, 64)):
        builder = GraphBuilder(f"gemm.{rows}.{size}")
        x = builder.input("x", shape=(rows, size))
        for _ in range(4):
            x = builder.add(Gemm(), x, _random(size, size), _random(size))
        builder.output(x)
        yield builder.build()
    for times, rows, inner, columns in ((8, 64, 64, 64), (4, 128, 32, 192), (2, 64, 256, 128)):
        builder = GraphBuilder(f"matmul.{times}.{rows}.{inner}.{columns}")
        left = builder.input("x", shape=(times, rows, inner))
        builder.output(builder.add(MatMul(), left, builder.input("z", shape=(times, inner, columns))))
        yield builder.build()


def _chain(channels: int, size: int, *layers: Layer) -> Graph:
    """Convolutions one after the other, on a square image."""
    builder = GraphBuilder(f"convolutions.{channels}.{size}.{layers[0]}.{len(layers)}")
    x = builder.input("x", shape=(1, channels, size, size))
    for layer in layers:
        kernel = layer.kernel if isinstance(layer.kernel, tuple) else (layer.kernel, layer.kernel)
        before = [(k - 1) // 2 for k in kernel]
        op = Conv.of(
            2,
            strides=layer.stride,
            pads=(*before, *[k - 1 - b for k, b in zip(kernel, before, strict=True)]),
            group=layer.group,
        )
        weight = _random(layer.filters, channels // layer.group, *kernel)
        x = builder.add(op, x, weight, _random(layer.filters))
        x = builder.add(Clip(), x, np.array(-3, np.float32), np.array(3, np.float32)) if layer.clipped else x
        channels = layer.filters
    builder.output(x)
    return builder.build()


def _random(*shape: int) -> Array:
    """Numbers that keep values at about their size from layer to layer; never zeros, which run faster."""
    fan = max(1, int(np.prod(shape[1:])))
    return np.random.default_rng(_SEED).standard_normal(shape, dtype=np.float32) / np.float32(np.sqrt(fan))
