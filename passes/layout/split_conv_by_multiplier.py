"""Convolve each channel by itself once for each of the channels that are made of it.

    conv(x, W, b; as many groups as channels, M filters each)
        ->  [conv(x, W₀, b₀); …; conv(x, W_{M−1}, b_{M−1})][:, in order]        Wₘ = W[m, m + M, m + 2M, …]

A runtime has a kernel for depthwise convolutions that make one channel of each, and multiplies small matrices
where they make more. The same multiplications; x is read M times. The channels are put in order by a Gather,
which disappears into the weights of what reads them. Exact: the same sums.

Source: the channel multiplier of depthwise convolutions, Chollet, Xception (2017), and TensorFlow's
DepthwiseConv2D.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Concat, Conv, Gather, Op
from convgraph.passes.algebra.constant_weight import TakesWeightsApart, WeightedConv
from convgraph.passes.algebra.outer_taps import convolution
from convgraph.passes.fusion.after_convolution import weights
from convgraph.passes.fusion.channel_order import with_order
from convgraph.passes.fusion.channelwise_ops import has_no_channels
from convgraph.passes.timed import TimedRewrite

_MOST = 8  # convolutions in the place of one


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiplyingConv(WeightedConv):
    """A convolution of each channel by itself, and how many channels it makes of each."""

    times: int


@dataclass(frozen=True, kw_only=True)
class SplitConvByMultiplier(TakesWeightsApart[MultiplyingConv], TimedRewrite[MultiplyingConv]):
    """Convolve each channel by itself once for each of the channels that are made of it."""

    name: ClassVar[str] = "split-conv-by-multiplier"
    roots: ClassVar[tuple[type[Op], ...]] = (Conv,)
    makes: ClassVar[tuple[type[Op], ...]] = (Concat, Gather)
    reads_weights: ClassVar[bool] = False

    def find(self, graph: Graph, node: int) -> MultiplyingConv | None:
        """A convolution with a group for each of several channels, and a few filters in each group.

        An activation fused into it has no parameters for each channel.
        """
        op, weight = convolution(graph, node), graph.operand(node, 1)
        assert weight is not None
        filters, channels = graph.type(weight).dim(0), graph.type(weight).dim(1)
        if channels != 1 or not isinstance(filters, int) or op.group == 1 or not self.can_be_judged:
            return None
        times = filters // op.group
        fits = 1 < times <= _MOST and has_no_channels(graph, node)
        return MultiplyingConv(conv=node, times=times) if fits else None

    def replaces(self, graph: Graph, match: MultiplyingConv) -> tuple[int, ...]:
        """The convolution."""
        del graph
        return (match.conv,)

    def apply(self, edit: Edit, m: MultiplyingConv) -> None:
        """Put as many convolutions in its place, side by side, and their channels in order."""
        graph = edit.graph
        x, old, *rest = graph.operands(m.conv)
        op, weight, bias = weights(graph, m.conv)
        made = []
        for first in range(m.times):
            operands = [x, edit.constant(weight[first :: m.times].copy(), like=old), *rest]
            if bias is not None:
                operands[2] = edit.constant(bias[first :: m.times].copy(), like=rest[0])
            made.append(edit.add(op, *operands, like=None if first else m.conv))
        order = np.arange(len(weight)).reshape(m.times, op.group).T.ravel().tolist()
        edit.replace(Value(m.conv, 0), with_order(edit, edit.add(Concat(axis=1), *made), order))
