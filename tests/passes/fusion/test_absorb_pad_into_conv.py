"""Tables for absorb-pad-into-conv."""

from dataclasses import replace

import numpy as np
from laws.draw import Draw
from laws.padded import conv, same_conv, window_on_pad

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Value
from convgraph.ir.ops import Conv, ConvTranspose, Pad, Relu
from convgraph.passes import Pipeline
from convgraph.passes.fusion.absorb_pad_into_conv import AbsorbPadIntoConv


def activated(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A convolution with an activation and no bias."""
    return b.add(replace(Conv.of(2), activation=Relu()), x, draw.weight(6, 4, 3, 2), None)


def padded_twice(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A second Pad on the first."""
    amounts = np.array([0, 0, 0, 2, 0, 0, 1, 0], np.int64)
    return conv()(b, draw, b.add(Pad(), x, amounts))


def computed_weight(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A convolution whose weight the caller supplies."""
    del draw
    return b.add(Conv.of(2, strides=(2, 1)), x, b.input("weight", shape=(6, 4, 3, 2)))


def transposed(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """A transposed convolution."""
    return b.add(ConvTranspose.of(2, pads=1), x, draw.weight(4, 6, 3, 2))


PADS = (0, 0, 1, 3, 0, 0, 2, 0)
EXAMPLES = {
    "2-D": window_on_pad(conv(), PADS),
    "own pads": window_on_pad(conv(pads=(0, 2, 1, 0)), PADS, fill=0.0),
    "negative zero": window_on_pad(conv(), PADS, fill=-0.0),
    "axes": window_on_pad(conv(), (2, 1, 0, 3), axes=(3, -2), fill=0.0),
    "stride, dilation, groups": window_on_pad(conv(strides=2, dilations=2, group=2), PADS),
    "1-D causal": window_on_pad(conv(kernel=(3,)), (0, 0, 2, 0, 0, 0), spatial=("L",)),
    "3-D": window_on_pad(conv(kernel=(3, 2, 2)), (0, 0, 1, 0, 2, 0, 0, 0, 1, 0), spatial=("H", "W", 5)),
    "more than the kernel": window_on_pad(conv(), (0, 0, 4, 3, 0, 0, 5, 6), spatial=(7, 5)),
    "one element": window_on_pad(conv(), PADS, fill=[0.0]),
    "half": window_on_pad(conv(dtype=np.float16), PADS, dtype=np.float16),
    "double": window_on_pad(conv(dtype=np.float64), PADS, dtype=np.float64),
    "several readers": window_on_pad(conv(), PADS, readers=3),
    "returned": window_on_pad(conv(), PADS, returned=True),
    "activation": window_on_pad(activated, PADS),
    "two Pads": window_on_pad(padded_twice, PADS),
    "weight from outside": window_on_pad(computed_weight, PADS),
    "old opset": window_on_pad(conv(), PADS, opset=9),
}

NEAR_MISSES = {
    "it_pads_with_zero": [window_on_pad(conv(), PADS, fill=1.0), window_on_pad(conv(), PADS, fill=-np.inf)],
    "it_pads_with_one_number": [
        window_on_pad(conv(), PADS, mode=mode, opset=19) for mode in ("reflect", "edge", "wrap")
    ],
    "the_amounts_are_known": [window_on_pad(conv(), PADS, overridable=True)],
    "only_spatial_axes_are_padded": [
        window_on_pad(conv(), (1, 0, 1, 1, 0, 0, 1, 1)),
        window_on_pad(conv(), (0, -1, 1, 1, 0, 1, 1, 1)),
    ],
    "nothing_is_cropped": [window_on_pad(conv(pads=1), (0, 0, 1, -1, 0, 0, 1, 1))],
    "the_window_states_its_own_pads": [window_on_pad(same_conv, PADS)],
}


def test_a_transposed_convolution_keeps_its_pad() -> None:
    graph = window_on_pad(transposed, PADS)(Draw(dyadic=True))
    _, trace = Pipeline([AbsorbPadIntoConv()]).run(graph)
    assert not trace.applications
    assert not trace.refusals
