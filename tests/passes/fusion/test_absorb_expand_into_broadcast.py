"""Tables for absorb-expand-into-broadcast."""

from collections.abc import Callable, Sequence

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Abs, Add, Concat, Equal, Expand, Max, Mul, Op, Pow, Relu, Where
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import AbsorbExpandIntoBroadcast, Pipeline

Reader = Callable[[GraphBuilder, Value, Value], Value]
SHAPE = (2, 3, 4, 5)


def expanded(
    *readers: Op | Reader,
    pixel: Sequence[Dim] = (2, 3, 1, 1),
    other: Sequence[Dim] = SHAPE,
    target: Sequence[int] = SHAPE,
    dtype: DataType = DataType.FLOAT,
    returned: bool = False,
) -> Callable[[Draw], Graph]:
    """What an Expand to ``target`` makes of a pixel, read together with an image by each of the readers."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=17)
        x, image = b.input("x", shape=pixel, dtype=dtype), b.input("image", shape=other, dtype=dtype)
        wide = b.add(Expand(), b.add(Abs(), x), np.array(target, np.int64), name="wide")
        for number, reader in enumerate(readers):
            y = b.add(reader, wide, image) if isinstance(reader, Op) else reader(b, wide, image)
            b.output(b.add(Abs(), y) if isinstance(reader, Op) else y, name=f"y{number}")
        if returned:
            b.output(wide)
        return b.build()

    return build


def second(b: GraphBuilder, wide: Value, image: Value) -> Value:
    """It raised to the image's power, the image first."""
    return b.add(Mul(), image, wide)


def chosen(b: GraphBuilder, wide: Value, image: Value) -> Value:
    """The larger of both, by a choice."""
    return b.add(Where(), b.add(Equal(), wide, image), wide, image)


def squared(b: GraphBuilder, wide: Value, image: Value) -> Value:
    """It by itself, then with the image."""
    return b.add(Add(), b.add(Mul(), wide, wide), image)


EXAMPLES = {
    "a sum": expanded(Add()),
    "the second operand": expanded(second),
    "several readers": expanded(Add(), second, Max()),
    "a choice": expanded(chosen),
    "fewer axes": expanded(Add(), pixel=(4, 1)),
    "a scalar": expanded(Mul(), pixel=()),
    "open sizes that stay": expanded(Add(), pixel=("N", 3, 1, 1), other=("N", 3, 4, 5), target=(1, 3, 4, 5)),
    "whole numbers": expanded(Max(), dtype=DataType.INT64),
    "partly": expanded(Add(), target=(2, 3, 4, 1)),
}

NEAR_MISSES = {
    "all_that_reads_it_broadcasts": [
        expanded(Add(), returned=True),
        expanded(Concat(axis=1)),
        expanded(lambda b, wide, _: b.add(Relu(), wide)),
    ],
    "the_results_are_as_large_without": [
        expanded(Add(), other=(2, 3, 4, 1)),
        expanded(Pow(), other=()),
        expanded(Add(), squared),
    ],
}


def test_what_cannot_run_stays() -> None:
    b = GraphBuilder("g", opset=17)
    sizes = b.input("sizes", shape=("L",), dtype=DataType.INT64)
    wide = b.add(Expand(), b.add(Abs(), b.input("x", shape=(2, 3))), sizes)
    b.output(b.add(Add(), wide, b.input("image", shape=(2, 5))), name="y")
    assert not Pipeline([AbsorbExpandIntoBroadcast()]).run(b.build())[1].applications


def test_what_nothing_reads_is_left_to_be_dropped() -> None:
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=(2, 3))
    b.add(Expand(), x, np.array([4, 2, 3]))
    b.output(b.add(Relu(), x), name="y")
    assert not Pipeline([AbsorbExpandIntoBroadcast()]).run(b.build())[1].applications
