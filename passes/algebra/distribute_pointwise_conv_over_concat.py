"""Mix the channels of joined images one by one, each at the size it had before it was enlarged.

    conv1×1(concat(resize(a), …, c), W, b)  ->  resize(conv1×1(a, W_a)) + … + conv1×1(c, W_c, b)
    conv1×1(concat(resize(g), …, c), W, b)  ->  conv1×1(g, W_g) + … + conv1×1(c, W_c, b)        g of one pixel

W_a are the columns of W for the channels of a. What is resized is mixed before, as in
move-pointwise-conv-before-resize; one pixel spread over the whole image, by a Resize or by an Expand, is
broadcast by the sum. Heads of segmentation networks join maps of several sizes (Xiao et al., Unified
Perceptual Parsing, 2018), among them an average of the image (Chen et al., DeepLab v3, 2017). Exact in real
arithmetic.
"""

from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, Conv, Expand, Op, Resize
from convgraph.passes.algebra.joined import ConvOfConcat, SumOverParts, convolved, joined_parts
from convgraph.passes.algebra.move_pointwise_conv_before_resize import (
    keeps_channels,
    resized_as,
    samples_the_image_alone,
)
from convgraph.passes.algebra.pointwise import is_pointwise
from convgraph.passes.rewrite import PricedRewrite, requirement


@dataclass(frozen=True, kw_only=True)
class DistributePointwiseConvOverConcat(SumOverParts[ConvOfConcat], PricedRewrite[ConvOfConcat]):
    """Mix the channels of joined images one by one, each at the size it had before it was enlarged."""

    name: ClassVar[str] = "distribute-pointwise-conv-over-concat"
    roots: ClassVar[tuple[type[Op], ...]] = (Conv,)

    def find(self, graph: Graph, node: int) -> ConvOfConcat | None:
        """A convolution of a Concat of something that is resized or expanded."""
        found = joined_parts(graph, node)
        if found is None or not any(isinstance(graph.producer(p), (Resize, Expand)) for p in found[1]):
            return None
        return ConvOfConcat(conv=node, joined=found[0], parts=found[1])

    @requirement
    def the_convolution_is_pointwise(self, graph: Graph, m: ConvOfConcat) -> bool:
        """The kernel is one pixel, moved by one, without padding."""
        return is_pointwise(graph, m.conv)

    @requirement
    def a_part_is_smaller_before(self, graph: Graph, m: ConvOfConcat) -> bool:
        """A part is one pixel, or its pixels alone are sampled, and some part has all the pixels."""
        return any(_moves(graph, m, part) for part in m.parts) and any(_fills(graph, m, p) for p in m.parts)

    def replaces(self, graph: Graph, match: ConvOfConcat) -> tuple[int, ...]:
        """The convolution, the Concat, and what makes the parts that move."""
        moving = (part.node for part in match.parts if _moves(graph, match, part))
        return (match.conv, match.joined.node, *dict.fromkeys(moving))

    def apply(self, edit: Edit, m: ConvOfConcat) -> None:
        """Put the sum of the convolved parts in place of the convolution."""
        graph, bias = edit.graph, edit.graph.operand(m.conv, 2)
        still = [place for place, part in enumerate(m.parts) if not _moves(graph, m, part)]
        moving = [place for place in range(len(m.parts)) if place not in still]
        moving.sort(
            key=lambda place: not _fills(graph, m, m.parts[place])
        )  # the bias goes with a whole image
        terms = []
        if still:
            sources = [m.parts[place] for place in still]
            terms.append(convolved(edit, m, places=still, sources=sources, bias=bias))
        for place in moving:
            part = m.parts[place]
            small = [graph.operand(part.node, 0)]
            mixed = convolved(edit, m, places=[place], sources=small, bias=None if terms else bias)
            terms.append(resized_as(edit, part.node, mixed) if _fills(graph, m, part) else mixed)
        edit.replace(Value(m.conv, 0), reduce(lambda total, term: edit.add(Add(), total, term), terms))


def _moves(graph: Graph, m: ConvOfConcat, part: Value) -> bool:
    """Whether the convolution may come before what makes a part."""
    op = graph.producer(part)
    if isinstance(op, Resize):
        return keeps_channels(graph, part.node) and samples_the_image_alone(graph, part.node)
    return isinstance(op, Expand) and _is_spread(graph, m, part)


def _is_spread(graph: Graph, m: ConvOfConcat, part: Value) -> bool:
    """Whether a Resize or an Expand makes a part that is one pixel everywhere, sample by sample."""
    source = graph.operand(part.node, 0)
    assert source is not None
    before, after, joined = graph.type(source), graph.type(part), graph.type(m.joined)
    sizes = (before.dim(0), before.dim(1))
    same = before.rank == joined.rank and sizes == (joined.dim(0), after.dim(1)) and None not in sizes
    return same and set((before.shape or ())[2:]) == {1}


def _fills(graph: Graph, m: ConvOfConcat, part: Value) -> bool:
    """Whether the term of a part has all the pixels, rather than one that the sum broadcasts."""
    return not _moves(graph, m, part) or not _is_spread(graph, m, part)
