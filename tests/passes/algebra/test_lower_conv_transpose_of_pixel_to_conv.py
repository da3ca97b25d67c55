"""Tables for lower-conv-transpose-of-pixel-to-conv."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from laws.draw import Draw
from laws.weighted import Weight, convolved

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import ConvTranspose, LeakyRelu, PRelu


def drawn(*shape: int) -> Weight:
    return lambda draw: draw.weight(*shape)


def of_pixel(op: ConvTranspose, *shape: int, **options: object) -> Callable[[Draw], Graph]:
    return convolved(op, drawn(*shape), spatial=(1,) * op.spatial_rank, **options)  # type: ignore[arg-type]  # passed on


def sloped(draw: Draw) -> Graph:
    """A transposed convolution without a bias that has a slope for each channel fused into it."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", 4, 1, 1))
    op = replace(ConvTranspose.of(2, strides=2), activation=PRelu())
    slope = b.constant(draw.factor(3, 1, 1), name="slope")
    b.output(b.add(op, x, draw.weight(4, 3, 4, 3), None, slope), name="y")
    return b.build()


EXAMPLES = {
    "a generator's first layer": of_pixel(ConvTranspose.of(2), 4, 6, 4, 3),
    "stride and padding": of_pixel(ConvTranspose.of(2, strides=2, pads=1), 4, 6, 4, 5, bias=False),
    "padding at one end": of_pixel(ConvTranspose.of(2, strides=(1, 3), pads=(0, 2, 1, 0)), 4, 6, 3, 5),
    "dilation, one output pixel": of_pixel(ConvTranspose.of(2, dilations=3, pads=3), 4, 6, 3, 3),
    "dilation, no tap reaches the output": of_pixel(
        ConvTranspose.of(2, dilations=(1, 2), pads=(0, 1, 0, 1)), 4, 6, 2, 2
    ),
    "more padding than the taps reach": of_pixel(
        replace(ConvTranspose.of(2, strides=(3, 1), pads=(1, 0, 0, 2)), output_padding=(2, 0)), 4, 6, 1, 4
    ),
    "more pixels than taps on one axis": of_pixel(
        ConvTranspose.of(2, dilations=(2, 1), pads=(0, 2, 0, 1)), 4, 6, 2, 5
    ),
    "output padding": of_pixel(
        replace(ConvTranspose.of(2, strides=2, pads=1), output_padding=(0, 1)), 4, 6, 4, 5
    ),
    "groups": of_pixel(ConvTranspose.of(2, group=2), 4, 3, 2, 5),
    "depthwise": of_pixel(ConvTranspose.of(2, group=4, strides=2), 4, 1, 3, 2),
    "fused activation": of_pixel(replace(ConvTranspose.of(2), activation=LeakyRelu(alpha=0.25)), 4, 6, 3, 2),
    "fused slopes": sloped,
    "1-D": of_pixel(ConvTranspose.of(1, strides=2, pads=1), 4, 6, 5),
    "3-D": of_pixel(ConvTranspose.of(3, strides=2, pads=(1, 0, 1, 0, 1, 0)), 4, 6, 3, 2, 4),
    "output shape": of_pixel(replace(ConvTranspose.of(2), output_shape=(2, 4)), 4, 6, 3, 4),
    "SAME": of_pixel(replace(ConvTranspose.of(2, strides=2), auto_pad="SAME_LOWER"), 4, 6, 3, 5),
    "double": of_pixel(ConvTranspose.of(2, pads=1), 4, 6, 4, 3, dtype=np.float64),
    "half": of_pixel(ConvTranspose.of(2, pads=1), 4, 6, 4, 3, dtype=np.float16),
}

NEAR_MISSES = {
    "the_weights_are_constant": [
        of_pixel(ConvTranspose.of(2), 4, 6, 4, 3, given="overridable"),
        of_pixel(ConvTranspose.of(2), 4, 6, 4, 3, given="computed"),
    ],
    "there_are_no_more_output_pixels_than_taps": [
        of_pixel(ConvTranspose.of(2, dilations=2), 4, 6, 3, 2),
        of_pixel(replace(ConvTranspose.of(2, strides=3), output_padding=(0, 2)), 4, 6, 2, 2),
    ],
}
