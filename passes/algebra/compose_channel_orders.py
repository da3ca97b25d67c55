"""Take channels from where they were before they were put in another order.

    x[:, π][:, σ₁], …, x[:, π][:, σₙ]  ->  x[:, π∘σ₁], …, x[:, π∘σₙ]

π and each σ are given by a Gather, Slice, Split, Concat of such pieces, or a channel shuffle. The halves of
shuffled channels (ShuffleNet V2) are then copied once instead of twice. Exact: nothing is computed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Gather, Op
from convgraph.passes.fusion.channel_order import (
    SPELLINGS,
    ChannelOrder,
    channel_order,
    pieces_of,
    with_order,
)
from convgraph.passes.rewrite import Measure, PricedRewrite, requirement, target_cost


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersOfOrder:
    """An order of channels, and the pieces that are taken of it."""

    first: ChannelOrder
    pieces: tuple[ChannelOrder, ...]


@dataclass(frozen=True, kw_only=True)
class ComposeChannelOrders(PricedRewrite[OrdersOfOrder]):
    """Take channels from where they were before they were put in another order."""

    name: ClassVar[str] = "compose-channel-orders"
    roots: ClassVar[tuple[type[Op], ...]] = SPELLINGS
    makes: ClassVar[tuple[type[Op], ...]] = (Gather,)
    measure: ClassVar[Measure] = staticmethod(target_cost)

    def find(self, graph: Graph, node: int) -> OrdersOfOrder | None:
        """An order of channels of which pieces are taken."""
        first = channel_order(graph, node)
        pieces = () if first is None else pieces_of(graph, first.result)
        return None if first is None or not pieces else OrdersOfOrder(first=first, pieces=pieces)

    @requirement
    def only_pieces_of_it_are_read(self, graph: Graph, m: OrdersOfOrder) -> bool:
        """All that reads the channels in order takes some of them, and the graph does not return them."""
        takers = {node for piece in m.pieces for node in piece.nodes}
        read = [use.node for use in graph.readers(m.first.result)]
        return takers.issuperset(read) and not graph.is_output(m.first.result)

    def replaces(self, graph: Graph, match: OrdersOfOrder) -> Iterable[int]:
        """The order and what takes the pieces."""
        return {*match.first.nodes, *(node for piece in match.pieces for node in piece.nodes)}

    def apply(self, edit: Edit, m: OrdersOfOrder) -> None:
        """Take each piece of the channels as they were."""
        for piece in m.pieces:
            order = [m.first.order[channel] for channel in piece.order]
            edit.replace(piece.result, with_order(edit, m.first.x, order))
