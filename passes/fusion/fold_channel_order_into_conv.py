"""Fold an order of channels into the convolution that makes them.

    conv(x, W, b)[:, π]  ->  conv(x, W[π], b[π])

π is given by a Gather, a Slice that steps through the channels, a Concat of such pieces, or the Reshape,
Transpose, Reshape of a channel shuffle; channels that are not taken are no longer computed. What works on
each channel alone (activations, pools, depthwise convolutions, whose parameters are put in order) may stand
between. Grouped convolutions take over what moves channels within their groups only. Exact, bit for bit.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Convolution, Op
from convgraph.passes.fusion.after_convolution import convolution
from convgraph.passes.fusion.channel_order import SPELLINGS, ChannelOrder, channel_order
from convgraph.passes.fusion.channelwise_ops import carried, has_no_channels, is_channelwise
from convgraph.passes.fusion.ordered_weights import with_channels, with_outputs
from convgraph.passes.rewrite import Measure, Rewrite, requirement, target_cost


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedOutput:
    """An order of channels, the operations it passes through, last first, and the convolution before them."""

    order: ChannelOrder
    passed: tuple[int, ...]
    conv: int


@dataclass(frozen=True, kw_only=True)
class FoldChannelOrderIntoConv(Rewrite[OrderedOutput]):
    """Fold an order of channels into the convolution that makes them."""

    name: ClassVar[str] = "fold-channel-order-into-conv"
    roots: ClassVar[tuple[type[Op], ...]] = SPELLINGS
    measure: ClassVar[Measure] = staticmethod(target_cost)

    def find(self, graph: Graph, node: int) -> OrderedOutput | None:
        """An order of the channels of a convolution, perhaps through operations on each channel."""
        order = channel_order(graph, node)
        if order is None:
            return None
        source, passed = order.x.node, []
        while is_channelwise(graph, source):
            passed.append(source)
            value = graph.operand(source, 0)
            assert value is not None
            source = value.node
        if not isinstance(graph.op(source), Convolution):
            return None
        return OrderedOutput(order=order, passed=tuple(passed), conv=source)

    @requirement
    def nothing_else_reads_the_channels(self, graph: Graph, m: OrderedOutput) -> bool:
        """Only the order reads what the convolution makes, and the graph does not return it."""
        nodes = {*m.order.nodes, *m.passed}
        inside = (m.conv, *m.passed, *m.order.nodes)
        values = {value for node in inside for value in graph.results(node)} - {m.order.result}
        read_outside = any(use.node not in nodes for value in values for use in graph.readers(value))
        return not read_outside and not any(graph.is_output(value) for value in values)

    @requirement
    def the_parameters_are_constant(self, graph: Graph, m: OrderedOutput) -> bool:
        """The convolution's weight and bias are constants that no caller can override."""
        parameters = graph.operands(m.conv)[1:3]
        return all(graph.constant(value) is not None for value in parameters if value is not None)

    @requirement
    def its_activation_knows_no_channels(self, graph: Graph, m: OrderedOutput) -> bool:
        """An activation fused into the convolution has no parameters that differ from channel to channel."""
        return has_no_channels(graph, m.conv)

    @requirement
    def it_moves_channels_within_groups(self, graph: Graph, m: OrderedOutput) -> bool:
        """Each group's channels come from the group of the same number."""
        return m.order.stays_within(convolution(graph, m.conv).group)

    @requirement
    def there_are_no_more_channels_than_before(self, graph: Graph, m: OrderedOutput) -> bool:
        """It takes at most as many channels as there are: otherwise the convolution would make more."""
        return len(m.order.order) <= m.order.count

    def apply(self, edit: Edit, m: OrderedOutput) -> None:
        """Put a convolution that makes the channels in order in the place of both."""
        x, weight, *rest = edit.graph.operands(m.conv)
        op, taken = convolution(edit.graph, m.conv), m.order.order
        bias = with_channels(edit, rest[0], taken=taken) if rest else None
        ordered = with_outputs(edit, op, weight, taken=taken)
        y = edit.add(op, x, ordered, bias, *rest[1:], like=m.conv)
        for node in reversed(m.passed):
            y = carried(edit, node, y, taken=taken)
        edit.replace(m.order.result, y)
