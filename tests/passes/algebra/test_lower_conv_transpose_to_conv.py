"""Tables for lower-conv-transpose-to-conv."""

from dataclasses import replace

import numpy as np
from laws.draw import Draw
from laws.weighted import Weight, convolved

from convgraph.ir.ops import Conv, ConvTranspose, LeakyRelu
from convgraph.passes import Pipeline
from convgraph.passes.algebra.lower_conv_transpose_to_conv import LowerConvTransposeToConv


def drawn(*shape: int) -> Weight:
    return lambda draw: draw.weight(*shape)


def cropping(rank: int = 2, *, pads: int | tuple[int, ...] = 2, **options: int) -> ConvTranspose:
    return ConvTranspose.of(rank, pads=pads, **options)


EXAMPLES = {
    "pads take more than the kernel adds": convolved(cropping(), drawn(4, 6, 3, 2)),
    "at one end": convolved(cropping(pads=(1, 1, 2, 1)), drawn(4, 6, 3, 3), bias=False),
    "pads beyond the kernel": convolved(cropping(pads=(3, 0, 1, 2)), drawn(4, 6, 2, 3), spatial=(7, 6)),
    "dilations": convolved(cropping(dilations=2, pads=3), drawn(4, 6, 3, 2), spatial=(9, 7)),
    "groups": convolved(cropping(group=2), drawn(4, 3, 3, 4), spatial=(9, 7)),
    "depthwise": convolved(cropping(group=4), drawn(4, 1, 3, 4), spatial=(9, 7)),
    "fused activation": convolved(
        replace(cropping(), activation=LeakyRelu(alpha=0.25)), drawn(4, 6, 3, 2), spatial=(7, 6)
    ),
    "1-D": convolved(cropping(1), drawn(4, 6, 3), spatial=("L",)),
    "3-D": convolved(cropping(3, pads=1), drawn(4, 6, 2, 2, 1), spatial=(5, 4, 6)),
    "output shape": convolved(
        replace(ConvTranspose.of(2), output_shape=(6, 5)), drawn(4, 6, 3, 2), spatial=(7, 6)
    ),
    "double": convolved(cropping(), drawn(4, 6, 3, 2), dtype=np.float64, spatial=(7, 6)),
    "half": convolved(cropping(), drawn(4, 6, 3, 2), dtype=np.float16, spatial=(7, 6)),
}

NEAR_MISSES = {
    "the_weights_are_constant": [
        convolved(cropping(), drawn(4, 6, 3, 2), given="overridable"),
        convolved(cropping(), drawn(4, 6, 3, 2), given="computed"),
    ],
    "the_pads_are_known": [convolved(replace(cropping(), output_shape=(5, 4)), drawn(4, 6, 3, 2))],
    "it_is_cheaper_on_the_target": [
        convolved(ConvTranspose.of(2, pads=1), drawn(4, 6, 3, 3)),
        convolved(ConvTranspose.of(2), drawn(4, 6, 3, 3), spatial=(7, 6)),
    ],
}


def test_channels_are_swapped_and_the_kernel_is_turned_round() -> None:
    graph = convolved(cropping(), drawn(4, 6, 3, 3), spatial=(7, 6))(Draw(dyadic=True))
    (old,) = (node for node in graph.compute_nodes() if isinstance(graph.op(node), ConvTranspose))
    result, _ = Pipeline([LowerConvTransposeToConv()]).run(graph)
    (conv,) = (node for node in result.compute_nodes() if isinstance(result.op(node), Conv))
    before, after = graph.constant(graph.operand(old, 1)), result.constant(result.operand(conv, 1))
    assert before is not None
    assert after is not None
    turned = np.flip(before.numpy(), axis=(2, 3)).swapaxes(0, 1)
    np.testing.assert_array_equal(after.numpy(), turned)
