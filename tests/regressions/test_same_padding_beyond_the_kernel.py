"""A transposed convolution that is to be larger than all it is made of.

With SAME padding, where the stride is beyond the kernel, it is not padded at all: ONNX's text gives it stride
times as many pixels all the same, ONNX's shape inference and onnxruntime do not. To an ``output_shape`` it
grows at the end.
"""

from dataclasses import replace

import numpy as np
import pytest
from laws.draw import Draw
from laws.meaning import in_onnxruntime

import convgraph as cg
from convgraph.ir.ops import ConvTranspose
from convgraph.numerics.evaluate import evaluate


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize(
    ("kernel", "dilations", "output_padding"),
    [((1, 2), (1, 1), ()), ((2, 4), (1, 1), ()), ((2, 2), (2, 1), (0, 1)), ((1, 1), (1, 1), (1, 2))],
)
def test_it_has_the_size_and_the_pixels_that_it_has_in_the_runtime(
    auto_pad: str,
    dynamic: bool,
    kernel: tuple[int, int],
    dilations: tuple[int, int],
    output_padding: tuple[int],
) -> None:
    draw = Draw(dyadic=True)
    op = replace(
        ConvTranspose.of(2, strides=(2, 3), dilations=dilations),
        auto_pad=auto_pad,
        output_padding=output_padding,
    )
    b = cg.GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", 4, "H", "W") if dynamic else (2, 4, 7, 5))
    b.output(b.add(op, x, draw.weight(4, 3, *kernel)), name="y")
    graph = b.build()
    feeds = {"x": draw.weight(2, 4, 7, 5)}
    found = in_onnxruntime(graph, feeds)["y"]
    np.testing.assert_array_equal(evaluate(graph, feeds)["y"], found)
    if not dynamic:
        assert graph.type(graph.outputs[0]).shape == found.shape
    result = cg.optimize(graph, without=["ConvTranspose"])
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason


@pytest.mark.parametrize("auto_pad", ["NOTSET", "SAME_UPPER"])
def test_it_grows_at_the_end(auto_pad: str) -> None:
    draw = Draw(dyadic=True)
    op = replace(ConvTranspose.of(2, strides=(4, 3)), auto_pad=auto_pad, output_shape=(28, 14))
    b = cg.GraphBuilder("g", opset=17)
    b.output(b.add(op, b.input("x", shape=(2, 4, 7, 5)), draw.weight(4, 3, 2, 2)), name="y")
    graph = b.build()
    feeds = {"x": draw.weight(2, 4, 7, 5)}
    found = in_onnxruntime(graph, feeds)["y"]
    assert found.shape == (2, 3, 28, 14)
    np.testing.assert_array_equal(evaluate(graph, feeds)["y"], found)
