"""Tables for propagate-stride."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Add,
    AveragePool,
    BatchNormalization,
    Clip,
    Concat,
    Conv,
    MaxPool,
    Mul,
    Op,
    Pad,
    Pow,
    PRelu,
    Relu,
    Resize,
    Slice,
    Sum,
)
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import Pipeline
from convgraph.passes.algebra.propagate_stride import PropagateStride

Net = Callable[[GraphBuilder, Draw, Value], Value]

FAR = 2**63 - 1


def strided(op: Op | None = None, *, outside: int = 4, kernel: int = 1, **of: object) -> Net:
    """A 1×1 convolution of stride 2, or another operation of one operand."""

    def net(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        if op is not None:
            return b.add(op, x)
        inside, dtype = b.type(x).dim(1), b.type(x).dtype.numpy.type
        assert isinstance(inside, int)
        rank = (b.type(x).rank or 0) - 2
        conv = Conv.of(rank, **{"strides": 2, **of})  # type: ignore[arg-type] - the options of Conv.of
        weight = draw.weight(outside, inside // conv.group, *(kernel,) * rank, dtype=dtype)
        return b.add(conv, x, weight, draw.weight(outside, dtype=dtype))

    return net


def sliced(begins: Sequence[int], ends: Sequence[int], axes: Sequence[int], steps: Sequence[int]) -> Net:
    numbers = [np.asarray(n) for n in (begins, ends, axes, steps)]
    return lambda b, _, x: b.add(Slice(), x, *numbers)


def convolved(op: Conv | None = None, *, kernel: int = 3) -> Net:
    """A convolution to six channels."""

    def net(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        kind = b.type(x)
        conv, rank, inside = op or Conv.of(2, pads=1), (kind.rank or 0) - 2, kind.dim(1)
        assert isinstance(inside, int)
        weight = draw.weight(6, inside // conv.group, *(kernel,) * rank, dtype=kind.dtype.numpy.type)
        return b.add(conv, x, weight)

    return net


def skipped(
    *readers: Net,
    first: Net | None = None,
    then: Net = lambda _b, _, x: x,
    spatial: Sequence[Dim] = ("H", "W"),
    dtype: type = np.float32,
    returned: bool = False,
) -> Callable[[Draw], Graph]:
    """``first``, a convolution unless given, of x (N, 4, …), ``then`` something of that, and its readers."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=("N", 4, *spatial), dtype=DataType.of(np.dtype(dtype)))
        y = then(b, draw, (first or convolved())(b, draw, x))
        for reader in readers:
            b.output(reader(b, draw, y))
        if returned:
            b.output(y)
        return b.build()

    return build


def block(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A residual block with a bottleneck, rectified at the end."""
    y = b.add(Relu(), b.add(Conv.of(2), x, draw.weight(2, 6, 1, 1)))
    y = b.add(Relu(), b.add(Conv.of(2, pads=1), y, draw.weight(2, 2, 3, 3)))
    return b.add(Relu(), b.add(Add(), b.add(Conv.of(2), y, draw.weight(6, 2, 1, 1)), x))


def plus(op: Op, *shape: int) -> Net:
    """An operation with a constant of this shape."""
    return lambda b, draw, x: b.add(op, x, draw.weight(*shape))


def computed_clip(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """Bounds that are inputs."""
    del draw
    return b.add(Clip(), x, b.input("low", shape=()), b.input("high", shape=()))


def normalised(*, training: int = 0) -> Net:
    """A batch normalisation of six channels."""

    def net(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        statistics = [draw.factor(6), draw.weight(6), draw.weight(6), draw.variance(6)]
        return b.add(BatchNormalization(epsilon=draw.epsilon, training_mode=training), x, *statistics)

    return net


def joined(axis: int = 1) -> Net:
    """Two convolutions side by side."""
    return lambda b, draw, x: b.add(
        Concat(axis=axis), *(b.add(Relu(), convolved()(b, draw, x)) for _ in "ab")
    )


def thinned(*scales: float, mode: str = "nearest", coordinates: str = "asymmetric") -> Net:
    """A Resize."""
    op = Resize(mode=mode, coordinate_transformation_mode=coordinates, nearest_mode="floor")
    return lambda b, _, x: b.add(op, x, None, np.asarray(scales, np.float32))


def power(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """Whole exponents, one a pixel."""
    return b.add(Pow(), x, draw.rng.integers(0, 3, (1, 1, 7, 5)))


def sum_of_five(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """Pooling five operands costs more than pooling what is made of them."""
    del draw
    return b.add(Sum(), x, *(b.input(f"x{number}", shape=b.type(x).shape) for number in range(4)))


def slopes(*shape: int) -> Net:
    """A convolution with a fused PRelu of slopes of this shape."""
    conv = replace(Conv.of(2, pads=1), activation=PRelu())

    def net(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        return b.add(conv, x, draw.weight(6, 4, 3, 3), None, b.constant(draw.weight(*shape)))

    return net


def padded(*, mode: str = "constant", fill: float | None = None) -> Net:
    """A row and a column more at either end, and a Relu of that."""

    def net(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        del draw
        value = None if fill is None else np.asarray(fill, np.float32)
        return b.add(Relu(), b.add(Pad(mode=mode), x, np.array([0, 0, 1, 1, 0, 0, 1, 1]), value))

    return net


SKIP = MaxPool.of((1, 1), strides=2)
NOTHING: Net = lambda _b, _, x: x  # noqa: E731 - a net of its own

EXAMPLES = {
    "convolution": skipped(strided()),
    "two readers": skipped(strided(), strided(group=2)),
    "pools": skipped(strided(SKIP), strided(AveragePool.of((1, 1), strides=2)), strided()),
    "VALID pool": skipped(strided(replace(SKIP, auto_pad="VALID"))),
    "slice": skipped(sliced([0, 0], [FAR, FAR], [2, -1], [2, 3])),
    "slice of known size": skipped(sliced([0], [7], [2], [2]), spatial=(7, 5)),
    "oblong strides": skipped(strided(strides=(1, 3))),
    "strided before": skipped(strided(), first=convolved(Conv.of(2, strides=(2, 1), pads=(0, 1, 2, 0)))),
    "SAME": skipped(
        strided(), first=convolved(replace(Conv.of(2, strides=2), auto_pad="SAME_LOWER")), spatial=(7, 6)
    ),
    "fused activations": skipped(strided(), first=slopes(6, 1, 1)),
    "fused activation of its own everywhere": skipped(strided(), first=slopes(1, 6, 7, 5), spatial=(7, 5)),
    "relu": skipped(strided(), then=strided(Relu())),
    "clip": skipped(strided(), then=computed_clip),
    "shift a channel": skipped(strided(), then=plus(Add(), 6, 1, 1)),
    "constant row": skipped(strided(), then=plus(Add(), 1, 6, 1, 5), spatial=(7, 5)),
    "constant map": skipped(strided(), then=plus(Mul(), 1, 1, 7, 5), spatial=(7, 5)),
    "sum with itself": skipped(strided(), then=lambda b, _, x: b.add(Sum(), x, x, x)),
    "normalised": skipped(strided(), then=normalised()),
    "side by side": skipped(strided(), first=joined()),
    "side by side, from the last axis": skipped(strided(), first=joined(-3)),
    "every other pixel copied": skipped(thinned(1, 1, 0.5, 0.25), strided(strides=(2, 4)), spatial=(8, 12)),
    "pixels of an open axis": skipped(thinned(1, 1, 1, 0.5), spatial=("H", 6)),
    "residual block": skipped(strided(), strided(outside=5), then=block),
    "1-D": skipped(strided(), first=convolved(Conv.of(1, pads=1)), spatial=("L",)),
    "3-D": skipped(strided(), first=convolved(Conv.of(3, pads=1)), spatial=("H", "W", 5)),
    "border of zeros": skipped(strided(), first=NOTHING, then=padded()),
    "border of stated zeros": skipped(strided(), first=NOTHING, then=padded(fill=0)),
    "border of copies": skipped(strided(), first=NOTHING, then=padded(mode="edge")),
    "border of ones": skipped(strided(), first=NOTHING, then=padded(fill=1)),
    "half": skipped(strided(), then=strided(Relu()), dtype=np.float16),
    "double": skipped(strided(), dtype=np.float64),
}

NEAR_MISSES = {
    "the_graph_does_not_return_it": [skipped(strided(), returned=True)],
    "the_pads_are_known": [
        skipped(strided(), first=convolved(replace(Conv.of(2, strides=2), auto_pad="SAME_LOWER"))),
    ],
    "each_operand_has_all_axes_or_one_pixel": [
        skipped(strided(), first=NOTHING, then=plus(Mul(), 7, 1), spatial=(7, 5)),
    ],
    "it_is_cheaper_on_the_target": [skipped(strided(SKIP), first=NOTHING, then=sum_of_five)],
}


@pytest.mark.parametrize(
    "readers",
    [
        [strided(), strided(strides=1)],
        [strided(), strided(strides=(2, 1))],
        [strided(), strided(Relu())],
        [strided(kernel=3)],
        [strided(pads=1)],
        [strided(MaxPool.of((2, 1), strides=2))],
        [strided(MaxPool.of((1, 1), strides=2, pads=0)), sliced([1], [FAR], [2], [2])],
        [sliced([0], [6], [2], [2])],
        [sliced([0], [FAR], [1], [2])],
        [sliced([FAR], [-FAR], [3], [-2])],
        [thinned(1, 1, 0.5, 0.5)],
        [thinned(1, 1, 1 / 3, 1 / 3)],
        [thinned(1, 0.5, 0.5, 0.5)],
        [thinned(1, 1, 0.5, 0.5, coordinates="half_pixel")],
        [thinned(1, 1, 0.5, 0.5, mode="linear")],
        [thinned(1, 1, 2, 0.5)],
    ],
)
def test_readers_that_look_at_other_pixels_keep_them(readers: list[Net]) -> None:
    _, trace = Pipeline([PropagateStride()]).run(skipped(*readers, spatial=(7, 9))(Draw(dyadic=True)))
    assert not trace.applications


@pytest.mark.parametrize("first", [normalised(training=1), joined(2)])
def test_what_looks_at_other_pixels_keeps_them(first: Net) -> None:
    graph = skipped(strided(), then=first)(Draw(dyadic=True))
    assert not Pipeline([PropagateStride()]).run(graph)[1].applications


def test_whole_numbers_are_not_pooled() -> None:
    graph = skipped(strided(), first=NOTHING, then=power, spatial=(7, 5))(Draw(dyadic=True))
    _, trace = Pipeline([PropagateStride()]).run(graph)
    assert not trace.applications


def test_a_stride_wanders_up_a_residual_block() -> None:
    graph = EXAMPLES["residual block"](Draw(dyadic=True))
    result, _ = Pipeline([PropagateStride()]).run(graph)
    ops = [result.op(n) for n in result.compute_nodes()]
    strides = [op.strides for op in ops if isinstance(op, (Conv, MaxPool))]
    assert strides == [(1, 1), (1, 1), (2, 2), (1, 1), (2, 2), (1, 1), (1, 1)]


def test_pixels_of_an_axis_of_unknown_size_are_not_counted() -> None:
    graph = skipped(thinned(1, 1, 0.5, 0.5), spatial=("H", "W"))(Draw(dyadic=True))
    assert not Pipeline([PropagateStride()]).run(graph)[1].applications
