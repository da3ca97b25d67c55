"""Tables for crop-dead-taps."""

from dataclasses import replace

import numpy as np
from laws.draw import Draw
from laws.weighted import Weight, convolved

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Clip, Conv, ConvTranspose
from convgraph.passes import Pipeline
from convgraph.passes.algebra.crop_dead_taps import CropDeadTaps


def masked(*shape: int, kept: tuple[slice, ...]) -> Weight:
    """A weight that is zero but for the kept taps."""

    def weight(draw: Draw) -> np.ndarray:
        drawn = draw.weight(*shape)
        array = np.zeros_like(drawn)
        array[:, :, *kept] = drawn[:, :, *kept]
        array[0, 0, *(part.start or 0 for part in kept)] = 1  # no draw leaves an edge empty
        array[-1, -1, *((part.stop or size) - 1 for part, size in zip(kept, shape[2:], strict=True))] = 1
        return array

    return weight


def pixel_cnn(letter: str) -> Weight:
    """Mask A or B of PixelCNN: the rows above, and in its own row what is left of the centre (B: with it)."""

    def weight(draw: Draw) -> np.ndarray:
        array = draw.factor(6, 4, 5, 5)
        array[:, :, 3:] = 0
        array[:, :, 2, 2 + (letter == "B") :] = 0
        return array

    return weight


def activated(draw: Draw) -> Graph:
    """A convolution without a bias that has a Clip fused into it."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", 4, "H", "W"))
    op = replace(Conv.of(2, pads=1), activation=Clip())
    low, high = (b.constant(np.asarray(number, np.float32)) for number in (-2, 6))
    weight = b.constant(masked(6, 4, 3, 3, kept=(slice(0, 2), slice(0, 3)))(draw), name="weight")
    b.output(b.add(op, x, weight, None, low, high), name="y")
    return b.build()


def same(padding: str, **options: int) -> Conv:
    return replace(Conv.of(2, **options), auto_pad=padding)


TOP = (slice(0, 2), slice(0, 3))
LEFT = (slice(0, 3), slice(0, 2))
MIDDLE = (slice(1, 3), slice(1, 3))
ALL = slice(0, 3)
TRANSPOSED = ConvTranspose.of(2, strides=2, pads=1)

EXAMPLES = {
    "mask A": convolved(Conv.of(2, pads=2), pixel_cnn("A")),
    "mask B": convolved(Conv.of(2, pads=2), pixel_cnn("B"), bias=False),
    "first row": convolved(Conv.of(2, pads=1), masked(6, 4, 3, 3, kept=(slice(1, 3), ALL))),
    "last column": convolved(Conv.of(2, pads=1), masked(6, 4, 3, 3, kept=LEFT), spatial=(7, 6)),
    "both ends": convolved(Conv.of(2, pads=(2, 1, 2, 1)), masked(6, 4, 5, 3, kept=(slice(1, 3), ALL))),
    "one tap is left": convolved(Conv.of(2, pads=1), masked(6, 4, 3, 3, kept=(slice(1, 2), slice(1, 2)))),
    "strides": convolved(Conv.of(2, strides=(2, 3), pads=1), masked(6, 4, 3, 3, kept=TOP)),
    "dilations": convolved(Conv.of(2, dilations=(2, 1), pads=(2, 1, 2, 1)), masked(6, 4, 3, 3, kept=TOP)),
    "odd padding": convolved(Conv.of(2, dilations=2, pads=(3, 2, 3, 2)), masked(6, 4, 3, 3, kept=TOP)),
    "groups": convolved(Conv.of(2, pads=1, group=2), masked(6, 2, 3, 3, kept=LEFT)),
    "depthwise": convolved(Conv.of(2, pads=1, group=4), masked(4, 1, 3, 3, kept=TOP)),
    "causal 1-D": convolved(
        Conv.of(1, dilations=2, pads=4), masked(6, 4, 5, kept=(slice(0, 3),)), spatial=("L",)
    ),
    "3-D": convolved(Conv.of(3, pads=1), masked(6, 4, 3, 3, 3, kept=(slice(0, 2), slice(1, 3), ALL))),
    "nothing but zeros": convolved(Conv.of(2, pads=1), lambda _: np.zeros((6, 4, 3, 3), np.float32)),
    "zeros, little padding": convolved(
        Conv.of(2, pads=(1, 0, 0, 0)), lambda _: np.zeros((6, 4, 3, 2), np.float32)
    ),
    "no more than the padding": convolved(Conv.of(2, pads=1), masked(6, 4, 5, 3, kept=(slice(2, 5), ALL))),
    "SAME": convolved(same("SAME_UPPER"), masked(6, 4, 3, 3, kept=TOP)),
    "SAME, strided": convolved(
        same("SAME_LOWER", strides=2), masked(6, 4, 3, 3, kept=(slice(1, 3), ALL)), spatial=(7, 6)
    ),
    "transposed": convolved(TRANSPOSED, masked(4, 6, 4, 4, kept=(slice(1, 4), slice(0, 3)))),
    "transposed, one end of the padding": convolved(
        replace(TRANSPOSED, pads=(1, 0, 0, 2)), masked(4, 6, 4, 4, kept=(slice(1, 3), slice(1, 3)))
    ),
    "transposed, dilations and groups": convolved(
        replace(TRANSPOSED, dilations=(2, 1), pads=(3, 1, 2, 1), group=2),
        masked(4, 3, 3, 4, kept=(slice(1, 2), slice(1, 4))),
    ),
    "transposed, output padding": convolved(
        replace(TRANSPOSED, output_padding=(1, 0)), masked(4, 6, 3, 3, kept=LEFT), bias=False
    ),
    "transposed, 1-D": convolved(
        ConvTranspose.of(1, strides=3, pads=2), masked(4, 6, 6, kept=(slice(2, 5),)), spatial=("L",)
    ),
    "transposed, 3-D": convolved(
        ConvTranspose.of(3, strides=(1, 2, 3), pads=1), masked(4, 6, 3, 3, 3, kept=(slice(0, 2), ALL, ALL))
    ),
    "transposed, SAME": convolved(
        replace(ConvTranspose.of(2, strides=2), auto_pad="SAME_UPPER"), masked(4, 6, 4, 4, kept=MIDDLE)
    ),
    "transposed, output shape": convolved(
        replace(ConvTranspose.of(2, strides=2), output_shape=(14, 12)),
        masked(4, 6, 4, 4, kept=MIDDLE),
        spatial=(7, 6),
    ),
    "fused activation": activated,
    "double": convolved(Conv.of(2, pads=1), masked(6, 4, 3, 3, kept=TOP), dtype=np.float64),
    "half": convolved(Conv.of(2, pads=1), masked(6, 4, 3, 3, kept=TOP), dtype=np.float16),
}

NEAR_MISSES = {
    "the_pads_are_known": [
        convolved(same("SAME_UPPER", strides=2), masked(6, 4, 3, 3, kept=TOP)),
        convolved(same("SAME_LOWER", strides=2), masked(6, 4, 3, 3, kept=LEFT)),
        convolved(replace(TRANSPOSED, output_shape=(14, 12)), masked(4, 6, 4, 4, kept=MIDDLE)),
        convolved(
            replace(TRANSPOSED, output_shape=(15, 12)),
            masked(4, 6, 2, 4, kept=(slice(0, 2), slice(1, 3))),
            spatial=(7, 6),
        ),
    ],
    "the_weight_is_constant": [
        convolved(Conv.of(2, pads=1), masked(6, 4, 3, 3, kept=TOP), given="overridable"),
    ],
    "the_padding_can_shrink": [
        convolved(Conv.of(2), masked(6, 4, 3, 3, kept=TOP)),
        convolved(Conv.of(2, pads=(1, 1, 0, 1)), masked(6, 4, 3, 3, kept=TOP)),
        convolved(Conv.of(2, dilations=2, pads=1), masked(6, 4, 3, 3, kept=TOP), spatial=(7, 6)),
        convolved(replace(Conv.of(2), auto_pad="VALID"), masked(6, 4, 3, 3, kept=TOP)),
        convolved(
            replace(TRANSPOSED, pads=(0, 1, 1, 1)), masked(4, 6, 4, 4, kept=(slice(1, 4), slice(0, 4)))
        ),
    ],
}


def test_masks_lose_the_rows_and_columns_that_the_articles_crop() -> None:
    for letter, kernel in (("A", (3, 5)), ("B", (3, 5))):
        graph = convolved(Conv.of(2, pads=2), pixel_cnn(letter))(Draw(dyadic=True))
        result, _ = Pipeline([CropDeadTaps()]).run(graph)
        (conv,) = (node for node in result.compute_nodes() if isinstance(result.op(node), Conv))
        weight = result.constant(result.operand(conv, 1))
        assert weight is not None
        assert weight.shape[2:] == kernel
        op = result.op(conv)
        assert isinstance(op, Conv)
        assert op.pads == (2, 2, 0, 2)


def test_a_weight_without_filters_is_left() -> None:
    graph = convolved(Conv.of(2, pads=1), lambda _: np.zeros((0, 4, 3, 3)))(Draw(dyadic=True))
    assert not Pipeline([CropDeadTaps()]).run(graph)[1].applications
