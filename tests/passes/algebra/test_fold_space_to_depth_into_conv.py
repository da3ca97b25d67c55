"""Tables for fold-space-to-depth-into-conv."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from laws.before import before_conv
from laws.draw import Draw
from laws.orders import shuffled
from laws.weighted import Weight, convolved

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Clip, Conv, Relu, Reshape, SpaceToDepth, Transpose
from convgraph.passes import Pipeline
from convgraph.passes.algebra.fold_space_to_depth_into_conv import FoldSpaceToDepthIntoConv


def drawn(*shape: int) -> Weight:
    return lambda draw: draw.weight(*shape)


def squeezed(op: Conv, weight: Weight, *, block: int = 2, **options: object) -> Callable[[Draw], Graph]:
    """``op`` of SpaceToDepth of three channels of 12 × 8 pixels, unless the options say otherwise."""
    choice = {"spatial": (12, 8), "before": SpaceToDepth(blocksize=block), "channels": 3, **options}
    return convolved(op, weight, **choice)  # type: ignore[arg-type] - the options of convolved


def rearranged(
    perm: tuple[int, ...],
    *,
    block: tuple[int, int] = (2, 2),
    split: tuple[int, ...] = (),
    flat: tuple[int, ...] = (),
    returned: bool = False,
) -> Callable[[Draw], Graph]:
    """A convolution of what Reshape, Transpose, Reshape make of three channels of 12 × 8 pixels.

    ``split`` and ``flat`` are the two shapes, those of a squeeze by ``block`` unless given.
    """

    def build(draw: Draw) -> Graph:
        high, wide = block
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=("N", 3, 12, 8))
        apart = np.asarray(split or (-1, 3, 12 // high, high, 8 // wide, wide))
        together = np.asarray(flat or (-1, 3 * high * wide, 12 // high, 8 // wide))
        y = b.add(Transpose(perm=perm), b.add(Reshape(), x, apart))
        y = b.add(Reshape(), y, together)
        if returned:
            b.output(y, name="squeezed")
        inside = int(together[1])
        b.output(b.add(Conv.of(2, pads=1), y, draw.weight(5, inside, 3, 3), draw.weight(5)), name="y")
        return b.build()

    return build


def another_reader(draw: Draw) -> Graph:
    """The squeeze is read by a Relu too."""
    b = GraphBuilder("g", opset=17)
    y = b.add(SpaceToDepth(blocksize=2), b.input("x", shape=("N", 3, 12, 8)))
    b.output(b.add(Relu(), y), name="other")
    b.output(b.add(Conv.of(2, pads=1), y, draw.weight(5, 12, 3, 3)), name="y")
    return b.build()


def activated(draw: Draw) -> Graph:
    """A convolution without a bias that has a Clip fused into it."""
    b = GraphBuilder("g", opset=17)
    y = b.add(SpaceToDepth(blocksize=2), b.input("x", shape=("N", 3, 12, 8)))
    op = replace(Conv.of(2, pads=1), activation=Clip())
    low, high = (b.constant(np.asarray(number, np.float32)) for number in (-2, 6))
    b.output(b.add(op, y, b.constant(draw.weight(5, 12, 3, 3)), None, low, high), name="y")
    return b.build()


UNSHUFFLE = (0, 1, 3, 5, 2, 4)

EXAMPLES = {
    "by two": squeezed(Conv.of(2, pads=1), drawn(5, 12, 3, 3)),
    "by four, no bias": squeezed(Conv.of(2), drawn(5, 48, 1, 2), block=4, bias=False),
    "strides, odd pads": squeezed(Conv.of(2, strides=(2, 1), pads=(1, 2, 0, 3)), drawn(5, 12, 3, 4)),
    "SAME": squeezed(replace(Conv.of(2, strides=2), auto_pad="SAME_LOWER"), drawn(5, 12, 3, 3)),
    "VALID": squeezed(replace(Conv.of(2), auto_pad="VALID"), drawn(5, 12, 3, 3)),
    "double": squeezed(Conv.of(2, pads=1), drawn(5, 12, 3, 3), dtype=np.float64),
    "fused activation": activated,
    "pixel unshuffle": rearranged(UNSHUFFLE),
    "rows and columns first": rearranged((0, 3, 5, 1, 2, 4)),
    "column by column": rearranged((0, 5, 1, 3, 2, 4)),
    "oblong blocks": rearranged(UNSHUFFLE, block=(3, 2)),
}

NEAR_MISSES = {
    "the_weight_is_constant": [
        squeezed(Conv.of(2, pads=1), drawn(5, 12, 3, 3), given=given) for given in ("overridable", "computed")
    ],
    "the_pads_are_known": [
        squeezed(
            replace(Conv.of(2, strides=2), auto_pad="SAME_UPPER"), drawn(5, 12, 3, 3), spatial=("H", "W")
        ),
    ],
    "the_convolution_has_one_group": [
        squeezed(Conv.of(2, pads=1, group=3), drawn(6, 4, 3, 3)),
    ],
    "the_convolution_is_not_dilated": [
        squeezed(Conv.of(2, pads=2, dilations=2), drawn(5, 12, 3, 3)),
        squeezed(Conv.of(2, pads=1, dilations=(1, 2)), drawn(5, 12, 3, 2)),
    ],
    "it_is_cheaper_on_the_target": [another_reader, rearranged(UNSHUFFLE, returned=True)],
}


@pytest.mark.parametrize(
    "graph",
    [
        rearranged((0, 1, 3, 5, 4, 2), flat=(-1, 12, 4, 6)),  # the image is transposed as well
        rearranged((0, 1, 2, 3, 4, 5), flat=(-1, 12, 6, 4)),  # nothing moves
        rearranged((1, 0, 3, 5, 2, 4), split=(3, -1, 6, 2, 4, 2)),  # samples and channels change places
        rearranged(UNSHUFFLE, split=(-1, 3, 4, 3, 4, 2), flat=(-1, 12, 6, 4)),  # rows regrouped afterwards
    ],
)
def test_what_is_no_squeeze_is_left_alone(graph: Callable[[Draw], Graph]) -> None:
    _, trace = Pipeline([FoldSpaceToDepthIntoConv()]).run(graph(Draw(dyadic=True)))
    assert not trace.applications


def test_symbolic_sizes_stay_symbolic() -> None:
    graph = squeezed(Conv.of(2, pads=1), drawn(5, 12, 3, 3), spatial=("H", "W"))(Draw(dyadic=True))
    result, trace = Pipeline([FoldSpaceToDepthIntoConv()]).run(graph)
    assert len(trace.applications) == 1
    assert [result.op(n).label for n in result.compute_nodes()] == ["Conv", "Relu"]


def test_a_shuffle_of_the_channels_is_no_squeeze() -> None:
    graph = before_conv(shuffled(2, 2), spatial=(7, 5))(Draw(dyadic=True))
    assert not Pipeline([FoldSpaceToDepthIntoConv()]).run(graph)[1].applications
