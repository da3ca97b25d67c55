"""Tables for remove-reshapes-around-conv."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import onnx
from laws.draw import Draw

from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Abs, Conv, Flatten, Op, PRelu, Relu, Reshape, Squeeze, Unsqueeze
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import Pipeline
from convgraph.passes.fusion.remove_reshapes_around_conv import RemoveReshapesAroundConv

Step = tuple[Op, *tuple[Sequence[int], ...]]
LINE = Conv.of(1)


def reshape(*sizes: int) -> Step:
    """A Reshape to these sizes."""
    return Reshape(), sizes


FLAT, BACK = reshape(0, 4, -1), reshape(0, 6, 5, 3)


def pixels(
    first: Step = FLAT,
    last: Step = BACK,
    *,
    conv: Conv = LINE,
    kernel: int = 1,
    shape: Sequence[Dim] = ("N", 4, 5, 3),
    bias: bool = True,
    dtype: type = np.float32,
    overridable: bool = False,
    read: str = "",
) -> Callable[[Draw], Graph]:
    """x, arranged, convolved to 6 channels, and arranged again; ``read``: a value that is read elsewhere."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=shape, dtype=DataType.of(np.dtype(dtype)))
        flat = b.add(first[0], x, *(np.asarray(numbers) for numbers in first[1:]))
        inside, rank = b.type(flat).dim(1), conv.spatial_rank
        assert isinstance(inside, int)
        drawn = draw.weight(6, inside // conv.group, *(kernel,) * rank, dtype=dtype)
        weight = b.overridable("weight", drawn) if overridable else b.constant(drawn, name="weight")
        parameters = [draw.weight(6, dtype=dtype)] if bias else []
        if isinstance(conv.activation, PRelu):
            parameters.append(draw.weight(6, *(1,) * rank, dtype=dtype))
        mixed = b.add(conv, flat, weight, *parameters, node="mixed")
        b.output(b.add(last[0], mixed, *(np.asarray(numbers) for numbers in last[1:])), name="y")
        between = {"flat": flat, "mixed": mixed}
        if read:
            b.output(b.add(Abs(), between[read]), name="z")
        return b.build()

    return build


EXAMPLES = {
    "image": pixels(),
    "no bias": pixels(bias=False),
    "groups": pixels(conv=replace(LINE, group=2)),
    "activation": pixels(conv=replace(LINE, activation=Relu())),
    "SAME": pixels(conv=replace(LINE, auto_pad="SAME_UPPER")),
    "spread": pixels(conv=Conv.of(1, dilations=3)),
    "half": pixels(dtype=np.float16),
    "sequence read elsewhere": pixels(read="flat"),
    "volume": pixels(last=reshape(0, 6, 5, 3, 2), shape=("N", 4, 5, 3, 2)),
    "volume in two axes": pixels(
        reshape(0, 4, 15, 2), reshape(0, 6, 5, 3, 2), conv=Conv.of(2), shape=("N", 4, 5, 3, 2)
    ),
    "line as an image": pixels((Unsqueeze(), (2,)), (Squeeze(), (2,)), conv=Conv.of(2), shape=("N", 4, "L")),
    "fixed batch": pixels(reshape(2, 4, 15), reshape(2, 6, 5, 3), shape=(2, 4, 5, 3)),
}

NEAR_MISSES = {
    "the_convolution_is_pointwise": [
        pixels(kernel=3, conv=Conv.of(1, pads=1)),
        pixels(reshape(0, 4, 30), conv=Conv.of(1, strides=2), shape=("N", 4, 5, 6)),
    ],
    "only_the_pixels_are_arranged": [
        pixels(last=reshape(0, 6, 3, 5)),
        pixels(last=reshape(0, 6, 15)),
        pixels(reshape(-1, 4, 5), reshape(-1, 6, 5, 3), shape=(2, 4, 5, 3)),
        pixels(reshape(0, 4, -1), reshape(0, 6, 5, -1), shape=("N", 4, "H", 5)),
        pixels((Flatten(axis=1),), (Unsqueeze(), (2,)), conv=Conv.of(0), shape=("N", 4)),
    ],
    "the_weight_is_constant": [pixels(overridable=True)],
    "nothing_else_reads_the_convolution": [pixels(read="mixed")],
}


def test_slopes_stay_on_the_axes_they_have() -> None:
    graph = pixels(conv=replace(LINE, activation=PRelu()))(Draw(dyadic=True))
    assert not Pipeline([RemoveReshapesAroundConv()]).run(graph)[1].applications


def test_an_input_needs_no_arranging() -> None:
    b = GraphBuilder("g", opset=17)
    mixed = b.add(Conv.of(1), b.input("x", shape=("N", 4, 15)), Draw(dyadic=True).weight(6, 4, 1))
    b.output(b.add(Reshape(), mixed, np.asarray([0, 6, 5, 3])), name="y")
    assert not Pipeline([RemoveReshapesAroundConv()]).run(b.build())[1].applications


def test_pixels_in_an_unknown_shape_are_left() -> None:
    """That of what is made of them is stated."""
    text = """<ir_version: 8, opset_import: ["" : 17]>
        g (float[N, 2, 5, 3] x, int64[R] r) => (float[N, 1, 5, 3] y)
        <float[1, 2, 1] w = {1, 2}, int64[4] back = {0, 1, 5, 3}, float[N, 1, 15] mixed> {
        flat = Reshape(x, r) mixed = Conv(flat, w) y = Reshape(mixed, back) }"""
    graph = from_onnx(onnx.parser.parse_model(text))
    assert [graph.type(graph.value(name)).shape for name in ("flat", "mixed")] == [None, ("N", 1, 15)]
    assert not Pipeline([RemoveReshapesAroundConv()]).run(graph)[1].applications
