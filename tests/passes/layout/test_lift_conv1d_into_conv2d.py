"""Tables for lift-conv1d-into-conv2d, and whole networks on sequences."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from laws.draw import Draw
from laws.meaning import difference
from laws.sequences import C, classifier, conv, gated_network, residual, vocoder

from convgraph.analysis.target import OnnxruntimeCpu
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Add,
    AveragePool,
    BatchNormalization,
    Cast,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    Div,
    GlobalMaxPool,
    Greater,
    InstanceNormalization,
    LeakyRelu,
    MaxPool,
    Mul,
    Neg,
    Op,
    Pad,
    PRelu,
    Relu,
    Slice,
    Split,
    Sub,
    Sum,
    Tanh,
    Transpose,
    Unsqueeze,
    Where,
)
from convgraph.ir.tensor import Array, DataType, Dim
from convgraph.passes import EXACT, LiftConv1dIntoConv2d, Pipeline, PricedRewrite, Repeat

ONE = OnnxruntimeCpu(threads=1)
OPTIONS = {"target": ONE}
L = 48
Middle = Callable[[GraphBuilder, Value, Draw], Value]
Build = Callable[[Draw], Graph]


def between(
    middle: Middle, *, size: tuple[Dim, Dim] = (2, L), channels: int = C, opset: int = 17, k: int = 3
) -> Build:
    """A network between two convolutions of many channels; the second reads ``channels``."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=opset)
        x = b.input("x", shape=(size[0], C, size[1]))
        y = middle(b, conv(b, x, draw, k=k), draw)
        b.output(conv(b, y, draw, out=16, channels=channels, k=k), name="y")
        return b.build()

    return build


def does(op: Op) -> Middle:
    """An operation of one operand."""
    return lambda b, x, _: b.add(op, x)


def by_constant(op: Op, *shape: int) -> Middle:
    """Arithmetic with a constant."""
    return lambda b, x, draw: b.add(op, x, draw.factor(*shape))


def by_given(op: Op, *shape: int) -> Middle:
    """Arithmetic with what a caller gives."""
    return lambda b, x, _: b.add(op, x, b.input("given", shape=shape))


def by_convolution(op: Conv, *, k: int = 3, channels: int = C) -> Middle:
    """One more convolution."""
    return lambda b, x, draw: conv(b, x, draw, op=op, k=k, out=channels)


def by_transposed(op: ConvTranspose, *, k: int = 4) -> Middle:
    """A transposed convolution."""
    return lambda b, x, draw: b.add(op, x, draw.weight(C, C // op.group, k), draw.weight(C))


def padded(numbers: Sequence[int], axes: Sequence[int] | None = None, mode: str = "constant") -> Middle:
    """Elements around the sequences."""

    def middle(b: GraphBuilder, x: Value, draw: Draw) -> Value:
        del draw
        listed = () if axes is None else (np.asarray(axes, np.int64),)
        fill = np.asarray(3, np.float32) if mode == "constant" else None
        return b.add(Pad(mode=mode), x, np.asarray(numbers, np.int64), fill, *listed)

    return middle


def cut(*numbers: Sequence[int]) -> Middle:
    """A Slice by starts, ends, axes and steps."""
    return lambda b, x, _: b.add(Slice(), x, *(np.asarray(n, np.int64) for n in numbers))


def gated(b: GraphBuilder, x: Value, draw: Draw) -> Value:
    """One half of the channels says how much of the other passes."""
    wide = conv(b, x, draw, out=2 * C)
    left, right = b.add_all(Split(axis=-2), wide, np.array([C, C]), names=("", ""))
    return b.add(Mul(), b.add(Relu(), left), b.add(Clip(), right, -1.0, 2.0))


def normalised(b: GraphBuilder, x: Value, draw: Draw) -> Value:
    """A normalisation by channel, its statistics given."""
    scale, shift, mean = draw.factor(C), draw.weight(C), draw.weight(C)
    return b.add(BatchNormalization(epsilon=draw.epsilon), x, scale, shift, mean, draw.variance(C))


def normalised_by_sample(b: GraphBuilder, x: Value, draw: Draw) -> Value:
    """A normalisation by sample and channel, of which nothing remains but the shift."""
    return b.add(InstanceNormalization(epsilon=draw.epsilon), x, np.zeros(C, np.float32), draw.weight(C))


def returned(b: GraphBuilder, x: Value, draw: Draw) -> Value:
    """Values inside that the graph returns."""
    del draw
    b.output(x, name="before")
    y = b.add(Relu(), x)
    b.output(y, name="after")
    return y


def read_elsewhere(b: GraphBuilder, x: Value, draw: Draw) -> Value:
    """A value that is read inside and outside, once for what is read inside again."""
    del draw
    b.output(b.add(Transpose(perm=(1, 0, 2)), x), name="turned")
    weights = b.add(Transpose(perm=(0, 2, 1)), b.add(Transpose(perm=(0, 2, 1)), x))
    return b.add(Sub(), b.add(Relu(), x), weights)


def selected(b: GraphBuilder, x: Value, draw: Draw) -> Value:
    """One of two values, by a condition, times a truth value that is cast."""
    chosen = b.add(Greater(), x, draw.weight(C, 1))
    return b.add(Mul(), b.add(Where(), chosen, x, b.add(Neg(), x)), b.add(Cast(to=DataType.FLOAT), chosen))


def joined(axis: int) -> Middle:
    """Side by side with what else is there."""

    def middle(b: GraphBuilder, x: Value, draw: Draw) -> Value:
        given = b.input("given", shape=(2, C, L))
        constant = draw.weight(2, C, L)
        return b.add(Concat(axis=axis), b.add(Relu(), x), given, b.constant(constant), x)

    return middle


def activated(activation: PRelu | Clip, *parameters: Array) -> Middle:
    """A convolution with an activation of its own."""
    op = replace(Conv.of(1, pads=1), activation=activation)
    return lambda b, x, draw: b.add(op, x, draw.weight(C, C, 3), None, *parameters)


def weighed(b: GraphBuilder, x: Value, draw: Draw) -> Value:
    """A weight that a caller may override, and one that is computed."""
    y = b.add(Conv.of(1, pads=1), x, b.overridable("weight", draw.weight(C, C, 3)))
    computed = b.add(Neg(), b.input("given", shape=(C, C, 1)))
    return conv(b, b.add(Conv.of(1), y, computed), draw)


def with_one_weight(draw: Draw) -> Graph:
    """Convolutions that share a weight, which is read elsewhere, too."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=(2, C, L))
    weight = b.constant(draw.weight(C, C, 3))
    y = b.add(Conv.of(1, pads=1), b.add(Relu(), b.add(Conv.of(1, pads=1), x, weight)), weight)
    b.output(y, name="y")
    b.output(b.add(Neg(), weight), name="weight")
    return b.build()


def two_networks(draw: Draw) -> Graph:
    """Two that exchange nothing that is convolved."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=(2, C, L))
    for name in ("y", "z"):
        b.output(conv(b, b.add(Relu(), conv(b, x, draw)), draw), name=name)
    return b.build()


def pixels_beside(draw: Draw) -> Graph:
    """Single pixels that are convolved beside a network, on what it reads, too."""
    b = GraphBuilder("g", opset=17)
    x = b.add(Neg(), b.input("x", shape=(2, C, L)))
    b.output(conv(b, x, draw, k=1), name="pixels")
    b.output(conv(b, b.add(Relu(), conv(b, x, draw)), draw), name="y")
    return b.build()


def small(channels: int, *, dtype: DataType = DataType.FLOAT, length: int = L, batch: int = 2) -> Build:
    """A convolution of this many channels."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=(batch, channels, length), dtype=dtype)
        kind = np.float32 if dtype is DataType.FLOAT else np.float64
        weight = draw.weight(channels, channels, 3, dtype=kind)
        b.output(b.add(Conv.of(1, pads=1), x, weight), name="y")
        return b.build()

    return build


ADDED = np.array([0, 0, 2, 0, 0, 3])

EXAMPLES = {
    "two": between(does(Relu())),
    "open sizes": between(does(Relu()), size=("N", "L")),
    "old opset": between(does(Relu()), opset=11),
    "residual": between(residual),
    "residual, open sizes": between(residual, size=("N", "L")),
    "gated": between(gated),
    "strides": between(by_convolution(Conv.of(1, strides=2, pads=(2, 0)))),
    "groups": between(by_convolution(Conv.of(1, group=2))),
    "one channel in each group": between(by_convolution(Conv.of(1, group=C, pads=(1, 3)), k=5)),
    **{
        f"pads by rule, {rule}": between(by_convolution(replace(Conv.of(1, strides=2), auto_pad=rule), k=4))
        for rule in ("SAME_UPPER", "SAME_LOWER", "VALID")
    },
    "pads by rule, open sizes": between(
        by_convolution(replace(Conv.of(1, strides=2), auto_pad="SAME_LOWER"), k=4), size=("N", "L")
    ),
    "transposed": between(by_transposed(ConvTranspose.of(1, strides=2, pads=(1, 0)))),
    "transposed, in groups": between(by_transposed(ConvTranspose.of(1, dilations=3, group=2))),
    "transposed, more at the end": between(
        by_transposed(replace(ConvTranspose.of(1, strides=3), output_padding=(1,)))
    ),
    "transposed, to a length": between(
        by_transposed(replace(ConvTranspose.of(1, strides=2), output_shape=(2 * L + 1,)))
    ),
    "transposed, pads by rule": between(
        by_transposed(replace(ConvTranspose.of(1, strides=2), auto_pad="SAME_LOWER"), k=5)
    ),
    "a number for each channel": between(by_constant(Mul(), C, 1)),
    "a number for each channel of one sample": between(by_constant(Add(), 1, C, 1)),
    "a number for each place": between(by_constant(Sub(), L)),
    "a number for each channel and place": between(by_constant(Add(), C, L)),
    "a number": between(by_constant(Div())),
    "a given number for each channel": between(by_given(Mul(), C, 1)),
    "a given number for each place": between(by_given(Add(), L)),
    "a given sequence": between(by_given(Sum(), 2, C, L), k=7),
    "joined along channels": between(joined(1), channels=4 * C),
    "joined along L": between(joined(-1)),
    "joined along samples": between(joined(-3)),
    "largest": between(does(MaxPool.of((3,), strides=2, pads=(1, 0), ceil_mode=1))),
    "mean": between(does(replace(AveragePool.of((4,), strides=2, pads=(1, 2)), count_include_pad=1))),
    "mean by rule": between(does(replace(AveragePool.of((2,), strides=2), auto_pad="SAME_UPPER"))),
    "largest of all": between(lambda b, x, _: b.add(Mul(), b.add(GlobalMaxPool(), x), x)),
    "padded": between(padded(ADDED)),
    "padded along an axis": between(padded((2, 3), axes=(-1,)), opset=18),
    "padded along channels": between(padded((16, 2, 16, 3), axes=(1, 2)), channels=2 * C, opset=18),
    "padded by reflection": between(padded(ADDED, mode="reflect")),
    "cut": between(cut([3], [-2], [2], [2])),
    "cut, axes left out": between(cut([0, 0, 5], [1, C, L])),
    "cut along channels": between(cut([0], [16], [-2]), channels=16, k=7),
    "normalised": between(normalised),
    "normalised by sample": between(normalised_by_sample),
    "slopes": between(by_constant(PRelu(), C, 1)),
    "own slopes": between(activated(PRelu(), np.linspace(-1, 1, C, dtype=np.float32)[:, None].round(1))),
    "own bounds": between(activated(Clip(), np.array(-3, np.float32), np.array(70, np.float32))),
    "selected": between(selected),
    "returned inside": between(returned, k=7),
    "returned inside, open sizes": between(returned, size=("N", "L"), k=7),
    "read elsewhere": between(read_elsewhere, k=7),
    "weights that are not constant": between(weighed),
    "one weight": with_one_weight,
    "two networks": two_networks,
    "single pixels beside it": pixels_beside,
    "alone": small(64),
}

NEAR_MISSES = {
    "it_is_cheaper_on_the_target": [small(4), small(6), small(64, dtype=DataType.DOUBLE), small(16, length=7)]
}


NETWORKS = [vocoder, classifier, gated_network]
SIZES: list[tuple[Dim, Dim]] = [(1, L), ("N", "L")]


def deployed(graph: Graph, folder: Path) -> dict[str, int]:
    """How many plain convolutions and how many blocked ones onnxruntime makes of a graph."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    ort.InferenceSession(to_onnx(graph).SerializeToString(), options, providers=["CPUExecutionProvider"])
    nodes = [n for n in onnx.load(options.optimized_model_filepath).graph.node if n.op_type.endswith("Conv")]
    blocked = sum("nchwc" in node.domain for node in nodes)
    return {"blocked": blocked, "plain": len(nodes) - blocked}


def for_one_thread() -> Pipeline:
    """The whole pipeline, for a single thread."""
    return Pipeline(
        Repeat(*(replace(r, target=ONE) if isinstance(r, PricedRewrite) else r for r in step.rewrites))
        for step in Pipeline(EXACT).steps
    )


def lifted(graph: Graph) -> Graph:
    """The graph after the rewrite alone."""
    return Pipeline([LiftConv1dIntoConv2d(target=ONE)]).run(graph)[0]


def sequences_convolved(graph: Graph) -> int:
    """How many convolutions on sequences a graph has."""
    ops = [graph.op(node) for node in graph.compute_nodes()]
    return sum(isinstance(op, Conv) and op.spatial_rank == 1 for op in ops)


@pytest.mark.parametrize("size", SIZES, ids=["static", "open"])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_is_lifted_as_a_whole_and_comes_to_rest(network: Any, size: tuple[Dim, Dim]) -> None:
    graph = network(Draw(dyadic=False), size=size)
    result, trace = for_one_thread().run(graph)
    assert "lift-conv1d-into-conv2d" in {one.rewrite for one in trace.applications}
    assert sequences_convolved(result) == 0
    assert sum(isinstance(result.op(n), Unsqueeze) for n in result.compute_nodes()) == 1
    again, second = for_one_thread().run(result)
    assert not second.applications
    assert to_onnx(again) == to_onnx(result)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_means_the_same(network: Any) -> None:
    graph = network(Draw(dyadic=False), size=("N", "L"))
    assert not difference(graph, for_one_thread().run(graph)[0], dyadic=False)


@pytest.mark.parametrize("network", NETWORKS)
def test_onnxruntime_then_convolves_blocks_of_channels(network: Any, tmp_path: Path) -> None:
    graph = network(Draw(dyadic=False), size=("N", "L"))
    pipeline = for_one_thread()
    as_it_is, _ = pipeline.without(["lift-conv1d-into-conv2d"]).run(graph)
    before, after = (deployed(one, tmp_path) for one in (as_it_is, pipeline.run(graph)[0]))
    assert before["blocked"] == after["plain"] == 0
    assert before["plain"] > 1
    assert after["blocked"] > 1


@pytest.mark.parametrize(("channels", "on"), [(64, [1]), (128, [None, 1, 2]), (192, [1, 3])])
def test_more_threads_have_to_share_it_as_well(channels: int, on: list[int | None]) -> None:
    graph = small(channels, length=400, batch=1)(Draw(dyadic=False))
    for threads in (None, 1, 2, 3, 8):
        rewrite = LiftConv1dIntoConv2d(target=OnnxruntimeCpu(threads=threads))
        assert bool(Pipeline([rewrite]).run(graph)[1].applications) == (threads in on)


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("activation", [Relu(), Tanh(), LeakyRelu(alpha=0.5)])
def test_single_pixels_are_not_put_on_rows_and_taken_off_again(depth: int, activation: Op) -> None:
    b, draw = GraphBuilder("g", opset=17), Draw(dyadic=False)
    x = b.input("x", shape=(1, 64, 4000))
    for _ in range(depth):
        x = b.add(activation, conv(b, x, draw, out=64, channels=64, k=1))
    b.output(x, name="y")
    result, trace = for_one_thread().run(b.build())
    assert sequences_convolved(result) == (depth == 1)
    assert "remove-reshapes-around-conv" not in {one.rewrite for one in trace.applications}
    assert not for_one_thread().run(result)[1].applications


def test_a_value_inside_does_not_keep_its_name() -> None:
    graph = EXAMPLES["residual"](Draw(dyadic=True))
    result = lifted(graph)
    names = [{g.value_name(v) for n in g.compute_nodes() for v in g.results(n)} for g in (graph, result)]
    assert names[0] & names[1] == {"y"}


def test_one_sequence_is_put_on_a_row_once_and_one_weight_kept_once() -> None:
    result = lifted(with_one_weight(Draw(dyadic=True)))
    weights = [result.operand(n, 1) for n in result.compute_nodes() if isinstance(result.op(n), Conv)]
    assert len(weights) == 2
    assert len(set(weights)) == 1


def lone(op: Conv, shape: Sequence[Dim] | None, *kernel: int) -> Graph:
    """One convolution of a caller's sequences, however many axes those are known to have."""
    b, draw = GraphBuilder("g", opset=17), Draw(dyadic=True)
    b.output(b.add(op, b.input("x", shape=shape), draw.weight(64, 64, *kernel)), name="y")
    return b.build()


@pytest.mark.parametrize(
    "graph",
    [lone(Conv.of(1), (2, 64, 400), 1), lone(Conv.of(2), (2, 64, 20, 19), 3, 3), lone(Conv.of(1), None, 3)],
    ids=["single pixels", "images", "any number of axes"],
)
def test_what_cannot_be_lifted_is_not_asked_about(graph: Graph) -> None:
    result, trace = Pipeline([LiftConv1dIntoConv2d(target=ONE)]).run(graph)
    assert not trace.applications
    assert not trace.refusals
    assert to_onnx(result) == to_onnx(graph)


def test_where_the_largest_were_is_told_of_sequences() -> None:
    b, draw = GraphBuilder("g", opset=17), Draw(dyadic=True)
    x = conv(b, b.input("x", shape=(2, C, L)), draw, k=9)
    y, places = b.add_all(MaxPool.of((2,), strides=2), x, names=("", ""))
    b.output(conv(b, y, draw, k=9), name="y")
    b.output(places, name="places")
    graph = b.build()
    result = lifted(graph)
    assert sequences_convolved(result) < 2
    assert not difference(graph, result, dyadic=True)
