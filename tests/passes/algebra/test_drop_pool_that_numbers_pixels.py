"""Tables for drop-pool-that-numbers-pixels."""

from collections.abc import Callable, Sequence

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import MaxPool, Relu, Slice, Sub
from convgraph.ir.tensor import Dim
from convgraph.passes import Pipeline
from convgraph.passes.algebra.drop_pool_that_numbers_pixels import DropPoolThatNumbersPixels

HALVING = MaxPool.of((2, 2), strides=2)


def switches(
    pool: MaxPool = HALVING,
    *,
    single: MaxPool | None = None,
    spatial: Sequence[Dim] = (7, 6),
    ends: Sequence[int] = (1, 1),
    begins: Sequence[int] = (0, 0),
    axes: Sequence[int] = (2, 3),
    returned: bool = False,
    another: bool = False,
) -> Callable[[Draw], Graph]:
    """Where in its channel each maximum of x (N, 3, …) is.

    ``returned`` returns all pixels' numbers, too; ``another`` value is numbered than is pooled.
    """

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=("N", 3, *spatial))
        y, where = b.add_all(pool, x, names=("y", "where"))
        other = b.add(Relu(), x) if another else x
        _, numbers = b.add_all(single or MaxPool.of((1,) * len(spatial)), other, names=("", "numbers"))
        first = b.add(Slice(), numbers, *(np.asarray(places) for places in (begins, ends, axes)))
        b.output(y)
        b.output(b.add(Sub(), where, first), name="switches")
        if returned:
            b.output(numbers)
        return b.build()

    return build


EXAMPLES = {
    "halving": switches(),
    "overlapping, padded": switches(MaxPool.of((3, 2), strides=(2, 1), pads=(1, 0, 1, 1))),
    "column by column": switches(MaxPool(**{**HALVING.attributes(), "storage_order": 1})),
    "not every pixel numbered": switches(single=MaxPool.of((1, 1), strides=3)),
    "of the first channel only": switches(begins=(0, 0, 0), ends=(1, 1, 1), axes=(1, 2, 3)),
    "1-D": switches(MaxPool.of((3,), strides=2), spatial=(11,), begins=(0,), ends=(1,), axes=(2,)),
    "3-D": switches(
        MaxPool.of((2, 2, 2)), spatial=(3, 4, 5), begins=(0, 0, 0), ends=(1, 1, 1), axes=(-1, 2, 3)
    ),
}

NEAR_MISSES = {
    "the_pool_takes_single_pixels": [switches(single=MaxPool.of((2, 1)))],
    "the_first_pixel_of_each_channel_is_taken": [
        switches(begins=(1, 0), ends=(2, 1)),
        switches(ends=(1, 2), pool=MaxPool.of((2, 5))),
        switches(begins=(0,), ends=(1,), axes=(2,), pool=MaxPool.of((3, 1), strides=(2, 1))),
    ],
    "the_size_of_a_channel_is_known": [switches(spatial=("H", 6))],
    "it_is_cheaper_on_the_target": [switches(MaxPool.of((3, 3), pads=2), returned=True)],
}


def test_numbers_of_another_value_stay() -> None:
    _, trace = Pipeline([DropPoolThatNumbersPixels()]).run(switches(another=True)(Draw(dyadic=True)))
    assert not trace.applications
