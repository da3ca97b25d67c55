"""Fold an order of channels into the convolutions that read it.

    conv(x[:, π], W, b)  ->  conv(x, W′, b)        W′[:, i] = Σⱼ W[:, j] over all j with π(j) = i

π is given by a Gather, a Slice that steps through the channels, a Concat of such pieces, or the Reshape,
Transpose, Reshape of a channel shuffle; channels may repeat. What works on each channel alone (activations,
pools, depthwise convolutions, whose parameters are put in order) may stand between. Grouped convolutions take
over what moves channels within their groups only. Exact; where channels repeat, floating point differs by the
rounding of the sum.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Convolution, Op
from convgraph.passes.fusion.after_convolution import convolution, weights
from convgraph.passes.fusion.channel_order import SPELLINGS, ChannelOrder, channel_order
from convgraph.passes.fusion.channelwise_ops import carried, is_channelwise
from convgraph.passes.fusion.ordered_weights import of_inputs
from convgraph.passes.rewrite import Measure, Rewrite, requirement, target_cost


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedInput:
    """An order of channels, the operations it passes through, and all that reads it, or them, besides."""

    order: ChannelOrder
    passed: tuple[int, ...]
    readers: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class FoldChannelOrderIntoNextConv(Rewrite[OrderedInput]):
    """Fold an order of channels into the convolutions that read it."""

    name: ClassVar[str] = "fold-channel-order-into-next-conv"
    roots: ClassVar[tuple[type[Op], ...]] = SPELLINGS
    measure: ClassVar[Measure] = staticmethod(target_cost)

    def find(self, graph: Graph, node: int) -> OrderedInput | None:
        """An order of channels that a convolution reads, perhaps through operations on each channel."""
        order = channel_order(graph, node)
        if order is None:
            return None
        passed: dict[int, None] = {}
        readers = tuple(dict.fromkeys(_readers(graph, order, order.result, passed)))
        if not any(_is_conv_of(graph, reader) for reader in readers):
            return None
        return OrderedInput(order=order, passed=tuple(passed), readers=readers)

    @requirement
    def only_convolutions_read_it(self, graph: Graph, m: OrderedInput) -> bool:
        """All that reads it, and the operations that it passes through, are convolutions of it."""
        values = (m.order.result, *(Value(node, 0) for node in m.passed))
        read_apart = sum(len(graph.readers(value)) for value in values) - len(m.passed)
        convs = [reader for reader in m.readers if _is_conv_of(graph, reader)]
        return read_apart == len(convs) and not any(graph.is_output(value) for value in values)

    @requirement
    def the_weights_are_constant(self, graph: Graph, m: OrderedInput) -> bool:
        """The weight of each convolution is a constant that no caller can override."""
        return all(graph.constant(graph.operand(conv, 1)) is not None for conv in m.readers)

    @requirement
    def it_moves_channels_within_groups(self, graph: Graph, m: OrderedInput) -> bool:
        """Each group of a convolution reads channels of the group of the same number only."""
        return all(m.order.stays_within(convolution(graph, conv).group) for conv in m.readers)

    @requirement
    def there_are_no_fewer_channels_than_before(self, graph: Graph, m: OrderedInput) -> bool:
        """It makes at least as many channels as there are: otherwise the convolutions would read more."""
        return len(m.order.order) >= m.order.count

    def apply(self, edit: Edit, m: OrderedInput) -> None:
        """Put convolutions of x, their weights in order, in the place of those there are."""
        instead = {m.order.result: m.order.x}
        for node in m.passed:
            taken = np.argsort(m.order.order).tolist()
            instead[Value(node, 0)] = carried(edit, node, instead[_read(edit.graph, node)], taken=taken)
        for conv in m.readers:
            x, weight, *rest = edit.graph.operands(conv)
            assert x is not None
            op, array, _ = weights(edit.graph, conv)
            unordered = of_inputs(op, array, places=m.order.order, count=m.order.count)
            folded = edit.constant(unordered, like=weight)
            edit.replace(Value(conv, 0), edit.add(op, instead[x], folded, *rest, like=conv))


def _readers(graph: Graph, order: ChannelOrder, value: Value, passed: dict[int, None]) -> Iterator[int]:
    """The nodes that read a value or what it passes through, which is noted, in order, in ``passed``."""
    waiting = [*reversed(graph.readers(value))]
    while waiting:
        use = waiting.pop()
        through = use.slot == 0 and is_channelwise(graph, use.node)
        if through and (order.is_permutation or not isinstance(graph.op(use.node), Convolution)):
            passed[use.node] = None
            waiting += reversed(graph.readers(Value(use.node, 0)))
        else:
            yield use.node


def _read(graph: Graph, node: int) -> Value:
    value = graph.operand(node, 0)
    assert value is not None
    return value


def _is_conv_of(graph: Graph, node: int) -> bool:
    return isinstance(graph.op(node), Convolution)
