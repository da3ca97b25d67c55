"""Tables for drop-taps-that-see-padding."""

from dataclasses import replace

from laws.draw import Draw
from laws.weighted import Weight, convolved

from convgraph.ir.ops import Conv, ConvTranspose
from convgraph.passes import Pipeline
from convgraph.passes.algebra.drop_taps_that_see_padding import DropTapsThatSeePadding


def drawn(*shape: int) -> Weight:
    return lambda draw: draw.factor(*shape)


ATROUS = Conv.of(2, dilations=(7, 6), pads=(7, 6, 7, 6))

EXAMPLES = {
    "dilated by the map's size": convolved(ATROUS, drawn(6, 4, 3, 3), spatial=(7, 6)),
    "one axis only": convolved(
        Conv.of(2, dilations=(7, 2), pads=(7, 2, 7, 2)), drawn(6, 4, 3, 3), spatial=(7, 6)
    ),
    "the other axis is dynamic": convolved(
        Conv.of(2, dilations=(7, 2), pads=(7, 2, 7, 2)), drawn(6, 4, 3, 3), spatial=(7, "W")
    ),
    "a map of one pixel": convolved(Conv.of(2, pads=1), drawn(6, 4, 3, 3), spatial=(1, 1), bias=False),
    "wider than high": convolved(Conv.of(2, pads=(2, 1, 2, 1)), drawn(6, 4, 5, 3), spatial=(2, 7)),
    "strides": convolved(Conv.of(2, strides=2, pads=2), drawn(6, 4, 5, 5), spatial=(2, 3)),
    "groups": convolved(replace(ATROUS, group=2), drawn(6, 2, 3, 3), spatial=(7, 6)),
    "depthwise": convolved(replace(ATROUS, group=4), drawn(4, 1, 3, 3), spatial=(7, 6)),
    "SAME": convolved(
        replace(Conv.of(2, strides=(1, 2)), auto_pad="SAME_UPPER"), drawn(6, 4, 3, 5), spatial=(1, 3)
    ),
    "1-D": convolved(Conv.of(1, dilations=8, pads=(16, 0)), drawn(6, 4, 3), spatial=(7,)),
    "3-D": convolved(Conv.of(3, pads=1), drawn(6, 4, 3, 3, 3), spatial=(1, 4, 3)),
    "transposed, a single pixel": convolved(
        ConvTranspose.of(2, strides=2, pads=1), drawn(4, 6, 4, 3), spatial=(1, 1)
    ),
    "transposed, two pixels under much padding": convolved(
        ConvTranspose.of(2, strides=(1, 2), pads=(3, 0, 2, 0)), drawn(4, 6, 6, 3), spatial=(2, "W")
    ),
    "transposed, dilations and groups": convolved(
        ConvTranspose.of(2, strides=3, dilations=(3, 1), pads=(3, 2, 3, 0), group=2),
        drawn(4, 3, 3, 5),
        spatial=(1, 1),
    ),
    "transposed, output shape": convolved(
        replace(ConvTranspose.of(1, strides=2), output_shape=(2,)), drawn(4, 6, 4), spatial=(1,)
    ),
    "strides over the input": convolved(
        Conv.of(2, strides=(5, 1), pads=(1, 0, 2, 0)), drawn(6, 4, 2, 3), spatial=(4, 6)
    ),
    "the output sees padding only": convolved(
        Conv.of(2, strides=(9, 1), pads=(2, 0, 0, 0)), drawn(6, 4, 2, 3), spatial=(3, 6)
    ),
}

NEAR_MISSES = {
    "the_weight_is_constant": [
        convolved(ATROUS, drawn(6, 4, 3, 3), spatial=(7, 6), given=given)
        for given in ("overridable", "computed")
    ],
    "the_padding_can_shrink": [
        convolved(Conv.of(2, dilations=6, pads=5), drawn(6, 4, 3, 3), spatial=(5, 5)),
        convolved(ConvTranspose.of(1, dilations=3, pads=2), drawn(4, 6, 3), spatial=(1,)),
    ],
}


def test_a_dilated_convolution_of_a_small_map_becomes_pointwise() -> None:
    graph = convolved(ATROUS, drawn(6, 4, 3, 3), spatial=(7, 6))(Draw(dyadic=True))
    result, _ = Pipeline([DropTapsThatSeePadding()]).run(graph)
    (conv,) = (node for node in result.compute_nodes() if isinstance(result.op(node), Conv))
    weight = result.constant(result.operand(conv, 1))
    assert weight is not None
    assert weight.shape == (6, 4, 1, 1)
    op = result.op(conv)
    assert isinstance(op, Conv)
    assert op.pads == (0, 0, 0, 0)


def test_taps_that_see_the_input_once_stay() -> None:
    graph = convolved(replace(ATROUS, dilations=(6, 5), pads=(6, 5, 6, 5)), drawn(6, 4, 3, 3), spatial=(7, 6))
    result, trace = Pipeline([DropTapsThatSeePadding()]).run(graph(Draw(dyadic=True)))
    assert not trace.applications
    assert not trace.refusals
    assert len(result)


def test_immense_paddings_take_no_time() -> None:
    immense = 1 << 50
    graph = convolved(Conv.of(2, pads=immense), drawn(6, 4, 3, 3), spatial=(7, 6))(Draw(dyadic=True))
    (conv,) = (node for node in graph.compute_nodes() if isinstance(graph.op(node), Conv))
    assert DropTapsThatSeePadding().find(graph, conv) is None
