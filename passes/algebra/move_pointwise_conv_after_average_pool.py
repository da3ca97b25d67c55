"""Average first, then mix the channels of what is left.

    averagepool(conv1×1(x, W, b))  ->  conv1×1(averagepool(x), W, b)

and likewise for a GlobalAveragePool and a ReduceMean over spatial axes. Every result is a mean of pixels with
weights that add up to 1 and do not depend on the channel, so that a bias passes, too, unless zeros of the
padding are averaged in. A pool of stride s on two axes leaves 1/s² of the multiplications. Exact in real
arithmetic. The transitions of DenseNet (Huang et al., 2017, section 3) pool what a 1×1 convolution mixed.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import AveragePool, Conv, GlobalAveragePool, Op, ReduceMean, Squeeze
from convgraph.passes.algebra.border import windows_fit
from convgraph.passes.algebra.outer_taps import convolution
from convgraph.passes.algebra.pointwise import BesideConv, MovePointwiseConv
from convgraph.passes.rewrite import requirement


@dataclass(frozen=True, kw_only=True)
class MovePointwiseConvAfterAveragePool(MovePointwiseConv[BesideConv]):
    """Average first, then mix the channels of what is left."""

    name: ClassVar[str] = "move-pointwise-conv-after-average-pool"
    roots: ClassVar[tuple[type[Op], ...]] = (AveragePool, GlobalAveragePool, ReduceMean)

    def find(self, graph: Graph, node: int) -> BesideConv | None:
        """A mean of a convolution's result."""
        value = graph.operand(node, 0)
        if value is None or not isinstance(graph.producer(value), Conv):
            return None
        return BesideConv(conv=value.node, other=Value(node, 0))

    @requirement
    def no_activation_stands_between(self, graph: Graph, m: BesideConv) -> bool:
        """The convolution has no activation."""
        return convolution(graph, m.conv).activation is None

    @requirement
    def the_mean_is_over_space(self, graph: Graph, m: BesideConv) -> bool:
        """Neither samples nor channels are averaged, and which axes are is no caller's choice."""
        if not isinstance(graph.op(m.other.node), ReduceMean):
            return True
        axes = _reduced(graph, m.other.node)
        return axes is not None and min(axes, default=0) >= 2

    @requirement
    def the_bias_is_not_averaged_with_padding(self, graph: Graph, m: BesideConv) -> bool:
        """No zeros are counted beyond the border, or there is no bias that they would weaken."""
        op, x = graph.op(m.other.node), graph.type(Value(m.conv, 0))
        bias = graph.operand(m.conv, 2)
        constant = graph.constant(bias)
        if bias is None or (constant is not None and not constant.numpy().any()):
            return True
        if not isinstance(op, AveragePool) or not op.count_include_pad:
            return True
        pads = op.padded_explicitly(x)
        return pads is not None and not any(pads) and not op.ceil_mode and windows_fit(op, x, pads)

    def apply(self, edit: Edit, m: BesideConv) -> None:
        """Put the pool on what the convolution reads, and the convolution after it."""
        graph = edit.graph
        x, *parameters = graph.operands(m.conv)
        op, operands = graph.op(m.other.node), graph.operands(m.other.node)[1:]
        squeezed = isinstance(op, ReduceMean) and not op.keepdims
        op = ReduceMean(keepdims=1) if squeezed else op
        pooled = edit.add(op, x, *operands, like=m.other.node)
        mixed = edit.add(graph.op(m.conv), pooled, *parameters, like=m.conv)
        edit.replace(m.other, edit.add(Squeeze(), mixed, *operands) if squeezed else mixed)


def _reduced(graph: Graph, node: int) -> tuple[int, ...] | None:
    """The axes a ReduceMean reduces, counted from the front; None when a caller may choose them."""
    op, (data, *axes) = graph.op(node), graph.operands(node)
    assert isinstance(op, ReduceMean)
    assert data is not None
    named = axes[0] if axes else None
    if named is not None and graph.constant(named) is None:
        return None
    return op.reduced_axes(graph.type(data), None if named is None else graph.type(named))
