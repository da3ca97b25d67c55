"""The worked examples of introductions to convolution, counted by the census as their authors count them.

The notation is theirs: W1 the input's width, F the filter's, P the padding, S the stride, K the number of
filters. An operation there is a multiplication with its addition: a MAC here.
"""

import numpy as np
import pytest

from convgraph.analysis.census import Census, census
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Value
from convgraph.ir.ops import Conv, ConvTranspose, MaxPool
from convgraph.ir.tensor import Dim


def spatial(report: Census, layer: int = -1) -> tuple[Dim, ...]:
    """Height and width of what a layer returns."""
    (result,) = report.layers[layer].results
    assert result.shape is not None
    return result.shape[2:]


def convolved(
    b: GraphBuilder, x: Value, *, filters: int, size: int, pads: int = 0, strides: int = 1
) -> Value:
    channels = b.type(x).dim(1)
    assert isinstance(channels, int)
    weight = np.ones((filters, channels, size, size), np.float32)
    return b.add(Conv.of(2, pads=pads, strides=strides), x, weight, np.ones(filters, np.float32))


def test_sixteen_masks_on_64_maps_take_7225344_operations() -> None:
    b = GraphBuilder("direct")
    x = b.input("x", shape=(1, 64, 28, 28))
    b.output(convolved(b, x, filters=16, size=3, pads=1))
    report = census(b.build())
    assert report.cost.macs == 28 * 28 * 16 * 3 * 3 * 64 == 7_225_344
    assert spatial(report) == (28, 28)


def test_through_four_maps_they_take_652288() -> None:
    b = GraphBuilder("reduced first")
    reduced = convolved(b, b.input("x", shape=(1, 64, 28, 28)), filters=4, size=1)
    b.output(convolved(b, reduced, filters=16, size=3, pads=1))
    report = census(b.build())
    assert [layer.cost.macs for layer in report.layers] == [
        28 * 28 * 4 * 1 * 1 * 64,  # 200,704
        28 * 28 * 4 * 3 * 3 * 16,  # 451,584
    ]
    assert report.cost.macs == 200_704 + 451_584 == 652_288
    assert round(1 - report.cost.macs / 7_225_344, 1) == 0.9, "about 90 % fewer"


@pytest.mark.parametrize(
    ("width", "size", "padding", "stride"),
    [
        pytest.param(227, 11, 0, 4, id="AlexNet's first layer"),
        pytest.param(5, 3, 0, 1, id="valid"),
        pytest.param(28, 3, 1, 1, id="3x3 padded by 1 keeps the size"),
        pytest.param(32, 4, 1, 2, id="stride 2 halves"),
        pytest.param(10, 3, 0, 2, id="rounded down"),
    ],
)
def test_output_sizes_and_parameters(width: int, size: int, padding: int, stride: int) -> None:
    """W2 = (W1 - F + 2P)/S + 1, H2 alike, D2 = K; (channels·F·F)·K weights and K biases."""
    channels, filters, height = 3, 7, width + 2
    b = GraphBuilder("sizes")
    x = b.input("x", shape=(1, channels, height, width))
    b.output(convolved(b, x, filters=filters, size=size, pads=padding, strides=stride))
    report = census(b.build())
    h2, w2 = ((side - size + 2 * padding) // stride + 1 for side in (height, width))
    (result,) = report.layers[0].results
    assert result.shape == (1, filters, h2, w2)
    assert report.parameters == (channels * size * size) * filters + filters
    assert report.cost.macs == h2 * w2 * filters * (channels * size * size)


def test_the_sizes_stay_formulas_where_the_width_is_open() -> None:
    b = GraphBuilder("open")
    b.output(convolved(b, b.input("x", shape=("N", 3, "H1", "W1")), filters=2, size=5, pads=1, strides=2))
    assert spatial(census(b.build())) == ("(H1-3)//2+1", "(W1-3)//2+1")


def test_pooling_has_no_parameters() -> None:
    """W2 = (W1 - F)/S + 1, D2 = D1; a fixed function."""
    b = GraphBuilder("pool")
    b.output(b.add(MaxPool.of((2, 2), strides=2), b.input("x", shape=(1, 6, 28, 24))))
    report = census(b.build())
    assert spatial(report) == ((28 - 2) // 2 + 1, (24 - 2) // 2 + 1)
    assert (report.parameters, report.cost.macs) == (0, 0)


def test_a_2x2_input_and_a_3x3_kernel_make_5x5() -> None:
    """A transposed convolution of stride 2: S(W1 - 1) + F."""
    b = GraphBuilder("transposed")
    weight = np.ones((1, 1, 3, 3), np.float32)
    b.output(b.add(ConvTranspose.of(2, strides=2), b.input("x", shape=(1, 1, 2, 2)), weight))
    report = census(b.build())
    assert spatial(report) == (5, 5)
    assert report.parameters == 3 * 3 * 1 == 9


def test_a_dilated_3x3_kernel_covers_5x5_with_9_weights() -> None:
    b = GraphBuilder("dilated")
    weight = np.ones((1, 1, 3, 3), np.float32)
    b.output(b.add(Conv.of(2, dilations=2), b.input("x", shape=(1, 1, 5, 5)), weight))
    report = census(b.build())
    assert spatial(report) == (1, 1), "one position: the window spans all of 5 x 5"
    assert report.cost.macs == report.parameters == 9


def test_separable_layers_multiply_less() -> None:
    """Depthwise then pointwise: H·W·C·(F·F + K) in place of H·W·C·F·F·K."""
    b = GraphBuilder("separable")
    x = b.input("x", shape=(1, 8, 12, 10))
    depthwise = b.add(Conv.of(2, pads=1, group=8), x, np.ones((8, 1, 3, 3), np.float32))
    b.output(b.add(Conv.of(2), depthwise, np.ones((16, 8, 1, 1), np.float32)))
    report = census(b.build())
    assert report.cost.macs == 12 * 10 * 8 * (3 * 3 + 16)
    assert report.parameters == 8 * (3 * 3 + 16)


def test_groups_divide_parameters_and_work() -> None:
    def work(groups: int) -> tuple[int, int]:
        b = GraphBuilder("groups")
        weight = np.ones((12, 8 // groups, 3, 3), np.float32)
        b.output(b.add(Conv.of(2, group=groups), b.input("x", shape=(1, 8, 9, 7)), weight))
        report = census(b.build())
        return report.parameters, report.cost.macs

    assert work(1) == tuple(4 * number for number in work(4))
