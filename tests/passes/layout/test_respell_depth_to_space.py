"""Tables for respell-depth-to-space, and what it makes of networks that shuffle pixels."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.analysis.target import GenericTarget, OnnxruntimeCpu
from convgraph.compiler.optimize import optimize
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Conv, DepthToSpace, Mul, Relu, Reshape, Resize, Tanh, Transpose
from convgraph.ir.tensor import DataType, Dim
from convgraph.numerics.session import Session
from convgraph.passes import EXACT, FuseReshapesIntoDepthToSpace, Pipeline, RespellDepthToSpace


def shuffled(
    *shape: Dim, block: int = 2, mode: str = "DCR", dtype: type = np.float32, returned: bool = False
) -> Callable[[Draw], Graph]:
    """A pixel shuffle of what is given, between functions of elements; its own result may be ``returned``."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=shape, dtype=DataType.of(np.dtype(dtype)))
        plain = np.dtype(dtype).kind != "f"
        y = b.add(DepthToSpace(blocksize=block, mode=mode), x if plain else b.add(Relu(), x), node="shuffle")
        b.output(y if plain or returned else b.add(Relu(), y), name="y")
        return b.build()

    return build


EXAMPLES = {
    "block first": shuffled("N", 24, 36, 28),
    "channel first": shuffled("N", 24, 36, 28, mode="CRD"),
    "block of 3": shuffled("N", 27, 36, 28, block=3),
    "block of 3, channel first": shuffled("N", 27, 36, 28, block=3, mode="CRD"),
    "block of 4": shuffled("N", 32, 20, 28, block=4),
    "block of 4, channel first": shuffled("N", 32, 20, 28, block=4, mode="CRD"),
    "one channel": shuffled("N", 4, 112, 96, mode="CRD"),
    "samples": shuffled(3, 24, 36, 28),
    "samples, channel first": shuffled(3, 24, 36, 28, mode="CRD"),
    "row": shuffled("N", 32, 1, 1400),
    "row, channel first": shuffled("N", 4, 1, 14000, mode="CRD"),
    "returned": shuffled("N", 24, 36, 28, mode="CRD", returned=True),
    "double": shuffled("N", 24, 36, 28, dtype=np.float64),
    "half": shuffled("N", 24, 36, 28, mode="CRD", dtype=np.float16),
    "bytes": shuffled("N", 24, 36, 28, mode="CRD", dtype=np.uint8),
    "signed bytes": shuffled("N", 24, 36, 28, dtype=np.int8),
}

NEAR_MISSES = {
    "the_image_is_of_known_size": [
        shuffled(1, 24, "H", 28),
        shuffled(1, 24, 36, "W", mode="CRD"),
        shuffled(1, "C", 36, 28),
        shuffled(1, 24, 0, 28),
    ],
    "it_is_cheaper_on_the_target": [
        shuffled(1, 8, 3, 5),
        shuffled("N", 8, 3, 5, mode="CRD"),
        shuffled(1, 4096, 2, 2, mode="CRD"),
    ],
}


@pytest.mark.parametrize("graph", [shuffled(1, 24, 36, 28, block=1), shuffled(1, 24, 36, 28, dtype=np.int32)])
def test_anything_else_is_left_alone(graph: Callable[[Draw], Graph]) -> None:
    _, trace = Pipeline([RespellDepthToSpace()]).run(graph(Draw(dyadic=True)))
    assert not trace.applications
    assert not trace.refusals


def test_a_target_without_times_is_not_asked() -> None:
    pipeline = Pipeline([RespellDepthToSpace(target=GenericTarget())])
    for build in EXAMPLES.values():
        _, trace = pipeline.run(build(Draw(dyadic=True)))
        assert not trace.applications
        assert not trace.refusals


@pytest.mark.parametrize(
    ("graph", "on"),
    [
        (shuffled(1, 128, 7, 7), [1]),
        (shuffled(1, 512, 14, 14, mode="CRD"), [1]),
        (shuffled(1, 512, 14, 14), [None, 1, 2, 8]),
        (shuffled(1, 12, 112, 112, mode="CRD"), [None, 1, 2, 8]),
    ],
)
def test_several_threads_have_to_be_woken(graph: Callable[[Draw], Graph], on: list[int | None]) -> None:
    for threads in (None, 1, 2, 8):
        rewrite = RespellDepthToSpace(target=OnnxruntimeCpu(threads=threads))
        _, trace = Pipeline([rewrite]).run(graph(Draw(dyadic=True)))
        assert bool(trace.applications) == (threads in on)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize("samples", ["N", None])
def test_of_no_samples_none_are_made(mode: str, samples: Dim) -> None:
    graph = shuffled(samples, 24, 36, 28, mode=mode)(Draw(dyadic=True))
    result, trace = Pipeline([RespellDepthToSpace()]).run(graph)
    assert trace.applications
    assert [result.type(y) for y in result.outputs] == [graph.type(y) for y in graph.outputs]
    x = {"x": np.zeros((0, 24, 36, 28), np.float32)}
    before, after = (Session(to_onnx(one)).run(x)["y"] for one in (graph, result))
    assert before.shape == after.shape == (0, 6, 72, 56)


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_whole_run_leaves_it_spelled_so(example: str) -> None:
    result, _ = Pipeline(EXACT).run(EXAMPLES[example](Draw(dyadic=True)))
    assert not counted(result)["DepthToSpace"]
    assert counted(result)["Transpose"] == (1 if example == "row, channel first" else 2)
    for pipeline in (Pipeline(EXACT), Pipeline([FuseReshapesIntoDepthToSpace()])):
        again, trace = pipeline.run(result)
        assert not trace.applications
        assert to_onnx(again) == to_onnx(result)


Made = Callable[[GraphBuilder, Draw, Value], Value]


def head(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """Super-resolution's sub-pixel convolution, and one of the larger image."""
    y = b.add(Conv.of(2, pads=1), x, draw.weight(64, 64, 3, 3))
    y = b.add(Relu(), b.add(DepthToSpace(blocksize=2, mode="CRD"), y))
    return b.add(Conv.of(2, pads=1), y, draw.weight(24, 16, 3, 3))


def enlarged(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """Pixels repeated before a convolution, and another one."""
    nearest = Resize(coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    y = b.add(nearest, x, None, np.asarray([1, 1, 2, 2], np.float32))
    y = b.add(Relu(), b.add(Conv.of(2, pads=1), y, draw.weight(32, 64, 3, 3)))
    return b.add(Conv.of(2, pads=1), y, draw.weight(24, 32, 3, 3))


def twice(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """Shuffles on both sides of a convolution of single pixels."""
    y = b.add(DepthToSpace(blocksize=2, mode="CRD"), x)
    y = b.add(DepthToSpace(blocksize=2), b.add(Conv.of(2), y, draw.weight(32, 16, 1, 1)))
    return b.add(Conv.of(2), y, draw.weight(24, 8, 1, 1))


def scaled(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A shuffle that a factor passes on its way into a convolution's weight."""
    y = b.add(DepthToSpace(blocksize=2), b.add(Conv.of(2), x, draw.weight(64, 64, 1, 1)))
    return b.add(Relu(), b.add(Mul(), y, 0.5))


def by_hand(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A shuffle as exporters write it."""
    del draw
    y = b.add(Reshape(), x, np.asarray([0, 16, 2, 2, 28, 20], np.int64))
    y = b.add(Transpose(perm=(0, 1, 4, 2, 5, 3)), y)
    return b.add(Tanh(), b.add(Reshape(), y, np.asarray([0, 16, 56, 40], np.int64)))


@pytest.mark.parametrize(
    ("made", "shuffles", "first"),
    [
        (head, 1, ()),
        (enlarged, 1, ("fold-nearest-resize-into-conv", "split-conv-transpose-into-phases")),
        (twice, 2, ()),
        (scaled, 1, ("commute-scale-with-reordering", "fold-scale-into-conv")),
        (by_hand, 1, ("fuse-reshapes-into-depth-to-space",)),
    ],
)
def test_what_looks_for_a_shuffle_or_makes_one_comes_first(
    made: Made, shuffles: int, first: tuple[str, ...]
) -> None:
    b = GraphBuilder("g", opset=17)
    b.output(made(b, Draw(dyadic=False), b.input("x", shape=("N", 64, 28, 20))), name="y")
    result = optimize(b.build())
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    applied = [application.rewrite for application in result.trace.applications]
    assert applied.count("respell-depth-to-space") == shuffles
    assert set(first) <= set(applied[: applied.index("respell-depth-to-space")])
    assert counted(result.graph)["DepthToSpace"] == 0
    assert counted(result.graph)["Transpose"] == 2 * shuffles
    assert not optimize(result.proto, verify=False).changed


def counted(graph: Graph) -> Counter[str]:
    """How many there are of each operation."""
    return Counter(graph.op(node).label for node in graph.compute_nodes())
