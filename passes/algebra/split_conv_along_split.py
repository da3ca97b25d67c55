"""Compute the pieces that a convolution's result is split into by convolutions of their own.

    split(conv(x, [W₁; …; Wₙ], [b₁; …; bₙ]))  ->  conv(x, W₁, b₁), …, conv(x, Wₙ, bₙ)

when the pieces are channels. As many multiplications; x is read more often, and nothing is copied: what gates
a feature, or scales and shifts the other half of a coupling, then is the result of a convolution, which an
activation can become part of. Which is faster a target has to judge. The opposite of merge_sibling_convs.
Exact: the same sums.

Source: Yu et al., Free-Form Image Inpainting with Gated Convolution (2019), 3.1, for the gates.
"""

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import ConvTranspose, Op, Split
from convgraph.passes.algebra.constant_weight import TakesWeightsApart, WeightedConv, convolution
from convgraph.passes.fusion.after_convolution import convolution_before, weights
from convgraph.passes.fusion.channelwise_ops import has_no_channels
from convgraph.passes.rewrite import Measure, PricedRewrite, requirement, target_cost


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitConv(WeightedConv):
    """A convolution, the node that splits its channels, and how many go to each piece."""

    split: int
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class SplitConvAlongSplit(TakesWeightsApart[SplitConv], PricedRewrite[SplitConv]):
    """Compute the pieces that a convolution's result is split into by convolutions of their own."""

    name: ClassVar[str] = "split-conv-along-split"
    roots: ClassVar[tuple[type[Op], ...]] = (Split,)
    opposite: ClassVar[str] = "merge-sibling-convs"
    measure: ClassVar[Measure] = staticmethod(target_cost)
    reads_weights: ClassVar[bool] = False

    def find(self, graph: Graph, node: int) -> SplitConv | None:
        """A Split of a convolution's channels into pieces of known size, none empty."""
        op, whole = graph.op(node), graph.operand(node, 0)
        conv = convolution_before(graph, whole)
        if conv is None or not isinstance(op, Split):
            return None
        counts = [n for n in (graph.type(v).dim(1) for v in graph.results(node)) if isinstance(n, int) and n]
        axes = (1, -1 - convolution(graph, conv).spatial_rank)
        if op.axis not in axes or len(counts) != len(graph.results(node)):
            return None
        return SplitConv(conv=conv, split=node, counts=tuple(counts))

    @requirement
    def it_has_one_group(self, graph: Graph, m: SplitConv) -> bool:
        """The convolution has one group: a piece of several reads channels that others do not."""
        return convolution(graph, m.conv).group == 1

    @requirement
    def its_activation_knows_no_channels(self, graph: Graph, m: SplitConv) -> bool:
        """The parameters of an activation fused into the convolution are single numbers."""
        return has_no_channels(graph, m.conv)

    def replaces(self, graph: Graph, match: SplitConv) -> tuple[int, ...]:
        """The convolution and the Split."""
        return (match.conv, match.split)

    def apply(self, edit: Edit, m: SplitConv) -> None:
        """Put a convolution with a part of the filters in the place of each piece that is read."""
        graph, op = edit.graph, convolution(edit.graph, m.conv)
        x, old, *rest = graph.operands(m.conv)
        _, weight, bias = weights(graph, m.conv)
        ends = pairwise(accumulate(m.counts, initial=0))
        for piece, (begin, end) in zip(graph.results(m.split), ends, strict=True):
            if not graph.readers(piece) and not graph.is_output(piece):
                continue
            filters = weight[:, begin:end] if isinstance(op, ConvTranspose) else weight[begin:end]
            operands = [x, edit.constant(filters.copy(), like=old), *rest]
            if bias is not None:
                operands[2] = edit.constant(bias[begin:end].copy(), like=rest[0])
            edit.replace(piece, edit.add(op, *operands))
