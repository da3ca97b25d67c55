"""How much faster a typical graph of each rewrite runs in onnxruntime, rewritten by it alone.

Run it with ``python tests/benchmarks/rewrites.py [NAME …] [--threads N]``. Both sides have all optimisations
of the runtime on, so what it does by itself counts for nothing. Runs alternate; the ratio, before over after,
is the median of the paired ones, with its 95 % interval. On one thread times are those of the thread, so that
other programs count little. Below 0.98 a rewrite costs time.

Beside it stands how many values the runtime reorders, into blocks of channels or out of them, before and
after, counted in the graphs that it writes. What the target's prices refuse is measured all the same, and
said to be off.
"""

import argparse
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from convgraph.analysis.onnxruntime_cpu.rates import committed
from convgraph.analysis.target import OnnxruntimeCpu
from convgraph.compiler.calibration.block import block_here
from convgraph.compiler.calibration.timer import random_feeds
from convgraph.compiler.measure import Latencies, measure
from convgraph.compiler.selection import select
from convgraph.exporters.onnx_model import to_onnx
from convgraph.held import temporary_folder
from convgraph.ir.build import GraphBuilder
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Add,
    AveragePool,
    BatchNormalization,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    DepthToSpace,
    Div,
    Gather,
    GlobalAveragePool,
    GroupNormalization,
    LeakyRelu,
    MatMul,
    Max,
    MaxPool,
    Min,
    Mul,
    Op,
    Pad,
    PRelu,
    ReduceMean,
    Relu,
    Reshape,
    Resize,
    Sigmoid,
    Slice,
    SpaceToDepth,
    Split,
    Tanh,
    Transpose,
)
from convgraph.ir.tensor import Array
from convgraph.numerics.session import Session
from convgraph.passes import Pipeline
from convgraph.passes.rewrite import PRICE, PricedRewrite

SECONDS = 1.0  # for both sides together
BEFORE, AFTER = "before", "after"
_DRAW = np.random.default_rng(0)
_FAR = np.iinfo(np.int64).max


class Net:
    """A graph under construction; each method adds to the value that is given."""

    def __init__(self, opset: int) -> None:
        self.builder = GraphBuilder("typical", opset=opset)

    def image(self, channels: int, size: int) -> Value:
        """The input."""
        return self.builder.input("x", shape=(1, channels, size, size))

    def sequence(self, channels: int, length: int) -> Value:
        """The input, along one axis."""
        return self.builder.input("x", shape=(1, channels, length))

    def volume(self, channels: int, *sizes: int) -> Value:
        """The input, along three axes."""
        return self.builder.input("x", shape=(1, channels, *sizes))

    def add(self, op: Op, *operands: Value | Array | float | None) -> Value:
        """Any operation."""
        return self.builder.add(op, *operands)

    def width(self, x: Value) -> int:
        """How many channels."""
        channels = self.builder.type(x).dim(1)
        assert isinstance(channels, int)
        return channels

    def conv(self, x: Value, out: int, size: int = 3, weight: Array | None = None, **options: int) -> Value:
        """A convolution of odd size, padded to keep the image's unless told otherwise."""
        group = options.setdefault("group", 1)
        options.setdefault("pads", size // 2)
        array = numbers(out, self.width(x) // group, size, size) if weight is None else weight
        return self.add(Conv.of(2, **options), x, array, np.ones(out, np.float32))

    def norm(self, x: Value) -> Value:
        """A batch normalisation."""
        width = self.width(x)
        return self.add(BatchNormalization(), x, *(numbers(width) for _ in range(3)), positive(width))

    def up(self, x: Value) -> Value:
        """Twice as large, by repeating pixels."""
        nearest = Resize(coordinate_transformation_mode="asymmetric", nearest_mode="floor")
        return self.add(nearest, x, None, np.asarray([1, 1, 2, 2], np.float32))

    def pixels(self, x: Value, start: int, step: int = 1, end: int = _FAR) -> Value:
        """A Slice of both spatial axes."""
        return self.add(Slice(), x, *(ints([n, n]) for n in (start, end)), ints([2, 3]), ints([step, step]))


def numbers(*shape: int) -> Array:
    """Random float32 numbers, as large as keeps a convolution's result in bounds."""
    return np.asarray(_DRAW.normal(size=shape) / math.sqrt(math.prod(shape[1:]) or 1), np.float32)


def positive(*shape: int) -> Array:
    """Random float32 numbers away from zero."""
    return np.asarray(_DRAW.uniform(0.5, 2, shape), np.float32)


def ints(values: object) -> Array:
    """An int64 vector."""
    return np.asarray(values, np.int64)


def around(*sides: int) -> Array:
    """Pads of the two spatial axes, the same at both ends."""
    return ints([0, 0, *sides] * 2)


def halved(weight: Array, axis: int) -> Array:
    """The weight with the first half of an axis zero."""
    np.moveaxis(weight, axis, 0)[: weight.shape[axis] // 2] = 0
    return weight


def blocks(channels: int) -> Array:
    """A dense weight of two blocks of channels."""
    weight = numbers(channels, channels, 3, 3)
    half = channels // 2
    weight[:half, half:] = weight[half:, :half] = 0
    return weight


def lattice(channels: int) -> Array:
    """A 5x5 weight that skips every other tap."""
    weight = numbers(channels, channels, 5, 5)
    weight[:, :, 1::2] = 0
    weight[:, :, :, 1::2] = 0
    return weight


def twins(channels: int) -> Array:
    """A weight that makes a quarter of its channels twice."""
    weight = numbers(channels, channels, 3, 3)
    weight[: channels // 4] = weight[-(channels // 4) :]
    return weight


def merged(n: Net, x: Value) -> Value:
    """RepVGG's block, its normalisations folded."""
    return n.add(Add(), n.add(Add(), n.conv(x, 128), n.conv(x, 128, 1)), x)


def shuffled(n: Net, x: Value) -> Value:
    """ShuffleNet's order of channels."""
    apart = n.add(Reshape(), x, ints([0, 4, n.width(x) // 4, 28, 28]))
    return n.add(Reshape(), n.add(Transpose(perm=(0, 2, 1, 3, 4)), apart), ints([0, n.width(x), 28, 28]))


def focus(n: Net, x: Value) -> Value:
    """YOLO's first layer: every other pixel, four times."""
    parts = [
        n.add(Slice(), x, ints(corner), ints([_FAR, _FAR]), ints([2, 3]), ints([2, 2]))
        for corner in ((0, 0), (1, 0), (0, 1), (1, 1))
    ]
    return n.conv(n.add(Concat(axis=1), *parts), 32)


def rows(n: Net, x: Value, *matrices: Array) -> Value:
    """Matrix products of the pixels' channels."""
    y = n.add(Transpose(perm=(0, 2, 3, 1)), x)
    for matrix in matrices:
        y = n.add(MatMul(), y, matrix)
    return y


def along(n: Net, x: Value) -> Value:
    """A convolution of a sequence, and a Relu."""
    width = n.width(x)
    return n.add(Relu(), n.add(Conv.of(1, pads=1), x, numbers(width, width, 3), numbers(width)))


def gated(n: Net, x: Value) -> Value:
    """A gated convolution: one half of the channels times the logistic function of the other."""
    feature, gate = n.builder.add_all(Split(axis=1), n.conv(x, 128), ints([64, 64]), names=["a", "b"])
    return n.conv(n.add(Mul(), n.add(Tanh(), feature), n.add(Sigmoid(), gate)), 64, 1)


def excited(n: Net, x: Value) -> Value:
    """Squeeze and excitation, and a convolution after it."""
    squeezed = n.add(Relu(), n.conv(n.add(GlobalAveragePool(), x), 32, 1))
    gate = n.add(Sigmoid(), n.conv(squeezed, n.width(x), 1))
    return n.conv(n.add(Mul(), x, gate), 64, 1)


def residual(n: Net, x: Value) -> Value:
    """A depthwise convolution and what it is added to."""
    wide = n.conv(x, n.width(x), 1)
    return n.add(Add(), n.conv(n.add(Relu(), wide), n.width(x), group=n.width(x)), wide)


def affine(n: Net, x: Value) -> Value:
    """A scale and a shift of each channel."""
    return n.add(Add(), n.add(Mul(), x, positive(n.width(x), 1, 1)), numbers(n.width(x), 1, 1))


def grouped(n: Net, x: Value) -> Value:
    """A normalisation of groups of channels."""
    width = n.width(x)
    return n.add(GroupNormalization(num_groups=32), x, positive(width), numbers(width))


HALVES = Resize(coordinate_transformation_mode="half_pixel", nearest_mode="round_prefer_floor")

Typical = Callable[[Net], Value]
GRAPHS: Mapping[str, Typical] = {
    "fold-batchnorm-into-conv": lambda n: n.norm(n.conv(n.image(128, 28), 128)),
    "fold-scale-into-conv": lambda n: n.add(Mul(), n.conv(n.image(128, 28), 128), positive(128, 1, 1)),
    "fold-shift-into-conv": lambda n: n.add(Add(), n.conv(n.image(128, 28), 128), numbers(128, 1, 1)),
    "fuse-max-into-clip": lambda n: n.add(Min(), n.add(Max(), n.conv(n.image(128, 28), 128), 0.0), 6.0),
    "fuse-clip-into-hard-sigmoid": lambda n: n.add(
        Div(), n.add(Clip(), n.add(Add(), n.conv(n.image(128, 28), 128), 3.0), 0.0, 6.0), 6.0
    ),
    "fuse-max-into-leaky-relu": lambda n: n.add(
        Max(), y := n.conv(n.image(128, 28), 128), n.add(Mul(), y, 0.25)
    ),
    "fold-prelu-into-leaky-relu": lambda n: n.add(
        PRelu(), n.conv(n.image(128, 28), 128), np.full((128, 1, 1), 0.25, np.float32)
    ),
    "fuse-transposed-matmul-into-conv": lambda n: n.add(
        Transpose(perm=(0, 3, 1, 2)), rows(n, n.conv(n.image(128, 28), 128), numbers(128, 128))
    ),
    "absorb-pad-into-conv": lambda n: n.conv(n.add(Pad(), n.image(128, 28), around(1, 1), 0.0), 128, pads=0),
    "absorb-pad-into-max-pool": lambda n: n.add(
        MaxPool.of([3, 3], strides=2), n.add(Pad(), n.image(128, 56), around(1, 1), -math.inf)
    ),
    "absorb-pad-into-average-pool": lambda n: n.add(
        AveragePool(
            kernel_shape=(3, 3), strides=(2, 2), pads=(0,) * 4, dilations=(1, 1), count_include_pad=1
        ),
        n.add(Pad(), n.image(128, 56), around(1, 1), 0.0),
    ),
    "absorb-slice-into-conv": lambda n: n.pixels(n.conv(n.image(128, 28), 128), 1, end=-1),
    "commute-slice-with-conv": lambda n: n.pixels(n.conv(n.image(128, 56), 128, 1), 4, end=-4),
    "fold-batchnorm-into-next-conv": lambda n: n.conv(n.norm(n.add(Relu(), n.image(128, 28))), 128, pads=0),
    "fold-scale-into-next-conv": lambda n: n.conv(n.add(Mul(), n.image(128, 28), positive(128, 1, 1)), 128),
    "fold-shift-into-next-conv": lambda n: n.conv(
        n.add(Add(), n.image(128, 28), numbers(128, 1, 1)), 128, pads=0
    ),
    "fold-channel-order-into-next-conv": lambda n: n.conv(shuffled(n, n.image(128, 28)), 128),
    "fold-channel-order-into-conv": lambda n: n.add(
        Tanh(), n.add(Gather(axis=1), n.conv(n.image(128, 28), 128), ints(_DRAW.permutation(128)))
    ),
    "fold-scale-into-gemm": lambda n: n.add(
        Mul(), rows(n, n.image(128, 28), numbers(128, 256)), positive(256)
    ),
    "fold-shift-into-gemm": lambda n: n.add(
        Add(), n.add(Add(), rows(n, n.image(128, 28), numbers(128, 256)), numbers(256)), numbers(256)
    ),
    "compose-matmuls": lambda n: rows(n, n.image(128, 28), *(numbers(128, 128) for _ in range(3))),
    "merge-added-constants": lambda n: n.add(
        Add(), n.add(Add(), n.image(128, 28), numbers(128, 1, 1)), numbers(128, 28, 28)
    ),
    "compose-convs": lambda n: n.conv(n.conv(n.image(64, 28), 256, 1), 64, 1),
    "move-pointwise-conv-before-resize": lambda n: n.conv(n.up(n.image(256, 28)), 64, 1),
    "move-pointwise-conv-after-average-pool": lambda n: n.add(
        AveragePool.of([2, 2], strides=2), n.conv(n.image(256, 28), 128, 1)
    ),
    "distribute-pointwise-conv-over-concat": lambda n: n.conv(
        n.add(Concat(axis=1), x := n.image(128, 56), n.up(n.conv(x, 128, strides=2))), 64, 1
    ),
    "merge-parallel-branches": lambda n: merged(n, n.image(128, 28)),
    "fold-nearest-resize-into-conv": lambda n: n.conv(n.up(n.image(128, 28)), 64),
    "fold-nearest-resize-through-concat-into-conv": lambda n: n.conv(
        n.add(Concat(axis=1), x := n.image(64, 56), n.up(n.conv(x, 128, strides=2))), 64
    ),
    "crop-dead-taps": lambda n: n.conv(n.image(64, 28), 64, 5, halved(numbers(64, 64, 5, 5), 2)),
    "crop-interior-taps": lambda n: n.conv(n.image(64, 28), 64, 5, lattice(64)),
    "drop-redundant-channels": lambda n: n.conv(n.conv(n.image(128, 28), 128, 3, twins(128)), 128),
    "drop-taps-that-see-padding": lambda n: n.conv(n.image(256, 14), 128, pads=18, dilations=18),
    "split-conv-into-groups": lambda n: n.conv(n.image(128, 28), 128, 3, blocks(128)),
    "fold-space-to-depth-into-conv": lambda n: n.conv(n.add(SpaceToDepth(blocksize=2), n.image(32, 56)), 64),
    "fuse-slices-into-space-to-depth": lambda n: focus(n, n.image(4, 224)),
    "compose-channel-orders": lambda n: n.add(
        Tanh(), n.add(Gather(axis=1), shuffled(n, n.image(64, 28)), ints(range(63, -1, -1)))
    ),
    "lower-conv-transpose-of-pixel-to-conv": lambda n: n.add(
        ConvTranspose.of(2), n.image(128, 1), numbers(128, 256, 4, 4)
    ),
    "propagate-stride": lambda n: n.pixels(n.conv(n.image(128, 56), 128), 0, 2),
    "fold-coordinate-channels": lambda n: n.conv(
        n.add(Concat(axis=1), n.image(64, 56), numbers(1, 2, 56, 56)), 64
    ),
    "compose-average-pool-into-conv": lambda n: n.add(
        AveragePool.of([2, 2], strides=2), n.conv(n.image(64, 28), 64)
    ),
    "transform-conv-into-winograd": lambda n: n.conv(n.conv(n.image(256, 28), 256), 256),
    "transform-conv-transpose-into-winograd": lambda n: n.conv(
        n.add(ConvTranspose.of(2, strides=2, pads=1), n.image(256, 28), numbers(256, 128, 4, 4)), 64, 1
    ),
    "spread-factor-over-image": lambda n: excited(n, n.conv(n.image(64, 28), 128)),
    "fuse-mean-into-global-average-pool": lambda n: n.conv(
        n.add(ReduceMean(), n.conv(n.image(64, 28), 256), ints([2, 3])), 64, 1
    ),
    "respell-enlarging-resize": lambda n: n.conv(
        n.add(HALVES, n.conv(n.image(64, 28), 64), None, np.asarray([1, 1, 2, 2], np.float32)), 64, 1
    ),
    "split-conv-by-multiplier": lambda n: n.conv(
        n.conv(n.conv(n.image(64, 56), 64, 1), 128, 3, numbers(128, 1, 3, 3), group=64), 64, 1
    ),
    "merge-groups-of-conv": lambda n: n.conv(
        n.conv(n.conv(n.image(64, 28), 128, 1), 128, 3, group=32), 64, 1
    ),
    "append-channels-to-conv": lambda n: n.conv(
        n.conv(n.conv(n.image(64, 28), 150, 1), 150, 3, group=150), 64, 1
    ),
    "respell-affine-as-conv": lambda n: n.conv(n.add(Relu(), affine(n, residual(n, n.image(64, 56)))), 64, 1),
    "respell-activation-as-conv": lambda n: n.conv(
        n.add(LeakyRelu(alpha=0.1), residual(n, n.image(64, 56))), 64, 1
    ),
    "respell-group-normalization": lambda n: n.conv(
        n.add(Relu(), grouped(n, n.conv(n.image(64, 56), 64, 1))), 64, 1
    ),
    "respell-depth-to-space": lambda n: n.conv(
        n.add(Relu(), n.add(DepthToSpace(blocksize=2, mode="CRD"), n.conv(n.image(64, 56), 64))), 64, 1
    ),
    "split-conv-along-concat": lambda n: n.conv(
        n.add(Concat(axis=1), n.conv(x := n.image(64, 56), 64, 1), n.conv(x, 12, 1)), 64, 1
    ),
    "lift-conv1d-into-conv2d": lambda n: along(n, along(n, n.sequence(128, 512))),
    "lower-conv3d-to-conv2d": lambda n: n.add(
        Conv.of(3, pads=1), n.volume(32, 8, 28, 28), numbers(32, 32, 3, 3, 3), numbers(32)
    ),
    "split-conv-along-split": lambda n: gated(n, n.image(64, 56)),
    "move-monotone-after-max-pool": lambda n: n.add(
        MaxPool.of([2, 2], strides=2), n.add(Tanh(), n.image(128, 56))
    ),
}

OPSETS = {"respell-group-normalization": 21}
"""The opset of a graph whose operators are younger than 17."""


def typical(name: str) -> Graph:
    """The graph of a rewrite."""
    net = Net(OPSETS.get(name, 17))
    net.builder.output(GRAPHS[name](net), name="y")
    return net.builder.build()


def compared(before: Graph, after: Graph, *, threads: int) -> Latencies:
    """How long both take, in turns."""
    models = {side: to_onnx(graph) for side, graph in ((BEFORE, before), (AFTER, after))}
    return measure(models, feeds=random_feeds(before), threads=threads, seconds=SECONDS)


def reorders(graph: Graph) -> int:
    """How many values the runtime brings into blocks of channels, or out of them."""
    with temporary_folder() as folder:
        kept = folder / "kept.onnx"
        Session(to_onnx(graph), optimized=True, kept=str(kept))
        return sum(node.op_type.startswith("Reorder") for node in onnx.load(kept).graph.node)


def forced(rewrite: PricedRewrite[Any], graph: Graph) -> Graph | None:
    """The graph rewritten where only its price speaks against it; None where it is not found."""
    result = graph.copy()
    for node in graph.nodes():
        match = rewrite.find(result, node) if isinstance(graph.op(node), rewrite.roots) else None
        if match is not None and rewrite.refusal(result, match, at="", but=PRICE) is None:
            edit = Edit(result, near=node)
            rewrite.apply(edit, match)
            edit.sweep()
            return result
    return None


def main() -> None:
    """Print one line for each rewrite that onnxruntime-cpu has by default and that has a graph here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    here = OnnxruntimeCpu(replace(committed(), block=block_here()))
    default = select(level="exact", passes=None, skip=(), options={"target": here})
    for name, rewrite in {rewrite.name: rewrite for rewrite in default}.items():
        if name not in GRAPHS or (given.names and name not in given.names):
            continue
        graph = typical(name)
        after, trace = Pipeline([rewrite]).run(graph)
        off = "" if trace.applications else "  off"
        made = forced(rewrite, graph) if off and isinstance(rewrite, PricedRewrite) else after
        if made is None or (off and made is after):
            print(f"{name:46} left alone: {trace.refusals[0].reason if trace.refusals else 'not found'}")
            continue
        found = compared(graph, made, threads=given.threads)
        milliseconds, ratio = 1000 * found.median(BEFORE), found.ratio(BEFORE, AFTER)
        interval = f"({ratio.low:.2f} to {ratio.high:.2f})"
        moved = f"reorders {reorders(graph)} -> {reorders(made)}"
        print(
            f"{name:46} {milliseconds:8.2f} ms  {ratio.median:5.2f} x  {interval}  {moved}{off}", flush=True
        )


if __name__ == "__main__":
    main()
