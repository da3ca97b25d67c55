"""Tables for compose-channel-orders."""

from collections.abc import Callable, Sequence

import numpy as np
from laws.draw import Draw
from laws.orders import Step, also_returned, gathered, halves_swapped, joined, shuffled, sliced, then

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Relu, Split, Tanh
from convgraph.ir.tensor import Dim
from convgraph.passes import Pipeline
from convgraph.passes.algebra.compose_channel_orders import ComposeChannelOrders

MIXED = gathered(2, 5, 0, 3, 1, 4)
HALVES = (sliced(0, 3), sliced(3, 6))


def taken(
    first: Step, *pieces: Step, split: Sequence[int] = (), channels: int = 6, spatial: Sequence[Dim] = (7, 5)
) -> Callable[[Draw], Graph]:
    """Pieces of the channels of a Relu of x (N, channels, …) in order, and those of a Split."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x = b.add(Relu(), b.input("x", shape=("N", channels, *spatial)))
        ordered = first(b, draw, x)
        found = [piece(b, draw, ordered) for piece in pieces]
        if split:
            found += b.add_all(Split(axis=1), ordered, np.array(split), names=[""] * len(split))
        for piece in found:
            b.output(b.add(Tanh(), piece))
        return b.build()

    return build


EXAMPLES = {
    "halves of a shuffle": taken(shuffled(2, 3), *HALVES),
    "halves of a shuffle, by a Split": taken(shuffled(2, 3), split=(3, 3)),
    "unequal pieces of a shuffle": taken(shuffled(3, 2), split=(1, 4, 1)),
    "one piece": taken(MIXED, gathered(1, 4)),
    "overlapping pieces": taken(shuffled(2, 3), sliced(0, 4), gathered(5, 0, 0), sliced(-1, -9, -1)),
    "halves of swapped halves": taken(halves_swapped, split=(3, 3)),
    "back again": taken(MIXED, gathered(2, 4, 0, 3, 5, 1)),
    "pieces of a Concat": taken(joined(sliced(1, 6, 2), sliced(0, 6, 2)), *HALVES),
    "open height": taken(shuffled(2, 3), *HALVES, spatial=("H", 5)),
    "1-D": taken(MIXED, *HALVES, spatial=("L",)),
}

NEAR_MISSES = {
    "only_pieces_of_it_are_read": [
        taken(then(shuffled(2, 6), also_returned), sliced(0, 6), sliced(6, 12), channels=12),
        taken(shuffled(2, 6), sliced(0, 6), sliced(6, 12), then(Relu()), channels=12),
    ],
    "it_is_cheaper_on_the_target": [
        taken(gathered(3, 0, 2), gathered(1, 0), gathered(2, 1), gathered(2, 0), channels=20),
    ],
}


def test_an_order_of_which_nothing_is_taken_is_not_spoken_of() -> None:
    _, trace = Pipeline([ComposeChannelOrders()]).run(taken(MIXED, then(Relu()))(Draw(dyadic=True)))
    assert not trace.applications
    assert not trace.refusals
