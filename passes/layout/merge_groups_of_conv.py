"""Convolve a few small groups of channels as one that is large enough to be fast.

    conv(x, W, b; g groups)  ->  conv(x, W′, b; g / r groups)        W′: r blocks of W on each diagonal

A runtime that keeps channels in blocks multiplies whole ones; groups of fewer channels go another way, slower
than the r times as many multiplications, most of them by zero. The weight stays in the file as it is: the
zeros come from a product with ones and zeros, which the runtime computes when it loads the model. The
opposite of split_conv_into_groups. Exact for finite x: what is added is zero.

How many channels a block has depends on the processor: where one of 8 runs 1.4 times as fast, one of 16 is
slower. So it is looked for only where the target was measured on the machine that the model is for.

Source: Xie et al., Aggregated Residual Transformations (2017), for groups as small as that.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Conv, Mul, Op, Reshape
from convgraph.passes.algebra.constant_weight import TakesWeightsApart, WeightedConv, constant_weight
from convgraph.passes.algebra.outer_taps import convolution
from convgraph.passes.fusion.after_convolution import is_finite
from convgraph.passes.rewrite import Offer, requirement
from convgraph.passes.timed import TimedRewrite

_WIDE = 16  # channels of the widest blocks there are


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedConv(WeightedConv):
    """A convolution in groups, and how many of them become one; None where the target has to say."""

    times: int | None


@dataclass(frozen=True, kw_only=True)
class MergeGroupsOfConv(TakesWeightsApart[GroupedConv], TimedRewrite[GroupedConv]):
    """Convolve a few small groups of channels as one that is large enough to be fast."""

    name: ClassVar[str] = "merge-groups-of-conv"
    roots: ClassVar[tuple[type[Op], ...]] = (Conv,)
    makes: ClassVar[tuple[type[Op], ...]] = (Mul, Reshape)
    reads_weights: ClassVar[bool] = False

    @property
    def can_be_judged(self) -> bool:
        """Whether the target was measured on this machine: what pays depends on how wide its blocks are."""
        return super().can_be_judged and self.judge.is_this_machine

    def find(self, graph: Graph, node: int) -> GroupedConv | None:
        """A convolution in groups of fewer channels than a block has, that makes or reads several in each."""
        groups = convolution(graph, node).group > 1 and self.can_be_judged
        return GroupedConv(conv=node, times=None) if groups and any(_options(graph, node)) else None

    the_weights_are_constant = TakesWeightsApart.the_weights_are_constant  # checked first, as they are read

    @requirement
    def the_weight_is_finite(self, graph: Graph, m: GroupedConv) -> bool:
        """No number in the weight is infinite or NaN: times zero it would not be zero."""
        return is_finite(constant_weight(graph, m.conv)[1])

    def replaces(self, graph: Graph, match: GroupedConv) -> tuple[int, ...]:
        """The convolution."""
        del graph
        return (match.conv,)

    def offer(self, graph: Graph, match: GroupedConv) -> Offer:
        """What it would change, with as many groups in one as is cheapest."""
        if match.times is not None:
            return super().offer(graph, match)
        return max(self._offers(graph, match).values(), key=lambda offer: (self.pays(offer), offer.saving))

    def _offers(self, graph: Graph, match: GroupedConv) -> dict[int, Offer]:
        return {n: self.offer(graph, replace(match, times=n)) for n in _options(graph, match.conv)}

    def apply(self, edit: Edit, m: GroupedConv) -> None:
        """Put the weight on diagonals."""
        times = m.times
        if times is None:
            offers = self._offers(edit.graph, m)
            times = max(offers, key=lambda one: (self.pays(offers[one]), offers[one].saving))
        op, (x, _, *rest) = convolution(edit.graph, m.conv), edit.graph.operands(m.conv)
        wide = _on_diagonals(edit, m.conv, times=times)
        made = edit.add(replace(op, group=op.group // times), x, wide, *rest, like=m.conv)
        edit.replace(Value(m.conv, 0), made)


def _options(graph: Graph, node: int) -> Iterator[int]:
    """How many groups may become one: so many that they fill a block, if that is several to begin with."""
    weight = graph.operand(node, 1)
    shape = None if weight is None else graph.type(weight).static_shape
    group = convolution(graph, node).group
    if shape is None or not shape[0] or shape[:2] == (group, 1):  # depthwise, for which there is a kernel
        return
    channels = min(shape[1], shape[0] // group)
    for times in range(2, _WIDE + 1):
        if group % times == 0 and channels * times <= _WIDE:
            yield times


def _on_diagonals(edit: Edit, node: int, *, times: int) -> Value:
    """The weight (M, C/group, *kernel) as (M, times·C/group, *kernel), zero between groups that are one."""
    value, weight = constant_weight(edit.graph, node)
    op, (filters, channels, *kernel) = convolution(edit.graph, node), weight.shape
    each, taps = filters // op.group, int(np.prod(kernel))
    sizes = {
        "apart": (op.group // times, times, each, 1, channels * taps),
        "together": (filters, times * channels, *kernel),
    }
    ones = np.eye(times, dtype=weight.dtype).reshape(times, 1, times, 1)
    apart, together = (edit.constant(np.array(s, np.int64), name=name) for name, s in sizes.items())
    blocks = edit.add(Reshape(), edit.constant(weight, like=value), apart)
    wide = edit.add(Mul(), blocks, edit.constant(ones, name="diagonal"))
    return edit.add(Reshape(), wide, together)
