"""Mix the channels of an image before it is enlarged, not after.

    conv1×1(resize(x), W, b)  ->  resize(conv1×1(x, W, b))

A pixel of the resized image is a weighted sum of pixels of x, whatever the channel, with weights that add up
to 1: mixing channels and adding a bias may come first. Nearest sampling copies pixels, so that an activation
fused into the convolution comes along. Enlarging by s on each of two axes leaves 1/s² of the multiplications.
Exact in real arithmetic. Heads of segmentation networks classify after they enlarge.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, Conv, Op, Resize
from convgraph.passes.algebra.outer_taps import convolution
from convgraph.passes.algebra.pointwise import BesideConv, MovePointwiseConv
from convgraph.passes.rewrite import requirement


@dataclass(frozen=True, kw_only=True)
class MovePointwiseConvBeforeResize(MovePointwiseConv[BesideConv]):
    """Mix the channels of an image before it is enlarged, not after."""

    name: ClassVar[str] = "move-pointwise-conv-before-resize"
    roots: ClassVar[tuple[type[Op], ...]] = (Conv,)

    def find(self, graph: Graph, node: int) -> BesideConv | None:
        """A convolution of a Resize."""
        value = graph.operand(node, 0)
        if value is None or not isinstance(graph.producer(value), Resize):
            return None
        return BesideConv(conv=node, other=value)

    @requirement
    def the_channels_stay(self, graph: Graph, m: BesideConv) -> bool:
        """The channel axis is not sampled anew."""
        return keeps_channels(graph, m.other.node)

    @requirement
    def sampling_weights_add_up_to_one(self, graph: Graph, m: BesideConv) -> bool:
        """No pixel is extrapolated to a fixed value (tf_crop_and_resize)."""
        return samples_the_image_alone(graph, m.other.node)

    @requirement
    def no_activation_stands_between(self, graph: Graph, m: BesideConv) -> bool:
        """The convolution has no activation, or the sampling copies pixels (nearest)."""
        return (
            convolution(graph, m.conv).activation is None or resize_at(graph, m.other.node).mode == "nearest"
        )

    def apply(self, edit: Edit, m: BesideConv) -> None:
        """Convolve x, then resize what comes out."""
        graph = edit.graph
        mixed = edit.add(graph.op(m.conv), graph.operand(m.other.node, 0), *graph.operands(m.conv)[1:])
        edit.replace(Value(m.conv, 0), resized_as(edit, m.other.node, mixed))


def resize_at(graph: Graph, node: int) -> Resize:
    """The operation of a node that is known to be a Resize."""
    op = graph.op(node)
    assert isinstance(op, Resize)
    return op


def samples_the_image_alone(graph: Graph, resize: int) -> bool:
    """Whether every result of a Resize is a weighted mean of pixels."""
    return resize_at(graph, resize).coordinate_transformation_mode != "tf_crop_and_resize"


def keeps_channels(graph: Graph, resize: int) -> bool:
    """Whether a Resize is known to leave axis 1 as it is."""
    op, (x, _, scales, *sizes) = resize_at(graph, resize), (*graph.operands(resize), None)[:4]
    assert x is not None
    before, after = graph.type(x), graph.type(Value(resize, 0))
    if op.axes is not None:
        return before.rank is not None and 1 not in op.resized_axes(before.rank)
    factors = graph.constant(scales)
    if factors is not None and factors.size:
        return bool(factors.numpy()[1] == 1)
    by_size = sizes not in ([], [None]) and op.keep_aspect_ratio_policy == "stretch"
    return by_size and before.dim(1) == after.dim(1) is not None


def resized_as(edit: Edit, resize: int, x: Value) -> Value:
    """``x`` resized as a Resize resizes its own operand, whose number of channels may be another.

    Sizes that name the channels name the new ones, also where they are computed while the model runs.
    """
    graph, op = edit.graph, resize_at(edit.graph, resize)
    data, *extents = graph.operands(resize)
    assert data is not None
    old, new = graph.type(data), graph.type(x).dim(1)
    if len(extents) == 3 and op.axes is None and new != old.dim(1):
        assert isinstance(new, int)
        more = np.asarray([0, new - int(old.dim(1) or 0), *(0 for _ in (old.shape or ())[2:])])
        sizes = graph.constant(extents[2])
        extents[2] = (
            edit.add(Add(), extents[2], edit.constant(more))
            if sizes is None
            else edit.constant(sizes.numpy() + more, like=extents[2])
        )
    return edit.add(op, x, *extents, like=resize)
