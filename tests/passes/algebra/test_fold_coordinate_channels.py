"""Tables for fold-coordinate-channels."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Concat, Conv, Expand, Relu
from convgraph.ir.tensor import DataType, Dim
from convgraph.numerics.evaluate import evaluate
from convgraph.passes import Pipeline
from convgraph.passes.algebra.fold_coordinate_channels import FoldCoordinateChannels

OPTIONS = {"size_limit": 4000}

Part = Callable[[GraphBuilder, Draw], Operand]


def features(
    channels: int = 4, *, batch: Dim = "N", spatial: Sequence[Dim] = (7, 5), dtype: type = np.float32
) -> Part:
    return lambda b, _: b.input(
        f"x{channels}", shape=(batch, channels, *spatial), dtype=DataType.of(np.dtype(dtype))
    )


def constant(*shape: int, dtype: type = np.float32) -> Part:
    return lambda _, draw: draw.weight(*shape, dtype=dtype)


def expanded(*shape: int, to: Sequence[int], given: bool = False) -> Part:
    """A constant made wider; ``given`` leaves the shape to the caller, 2 at least."""

    def part(b: GraphBuilder, draw: Draw) -> Value:
        sizes = b.input("sizes", shape=(len(to),), dtype=DataType.INT64) if given else np.asarray(to)
        return b.add(Expand(), draw.weight(*shape), sizes)

    return part


def joined(
    *parts: Part,
    conv: Conv | None = None,
    outside: int = 6,
    bias: bool = True,
    axis: int = 1,
    channels: int = 0,
    given: str = "",
    dtype: type = np.float32,
) -> Callable[[Draw], Graph]:
    """A convolution of the parts joined; the weight may be "overridable"."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        values = [part(b, draw) for part in parts]
        constants = [value if isinstance(value, Value) else b.constant(np.asarray(value)) for value in values]
        cat = b.add(Concat(axis=axis), *constants)
        rank, inside = (b.type(cat).rank or 0) - 2, channels or b.type(cat).dim(1)
        assert isinstance(inside, int)
        op = conv or Conv.of(rank, pads=1)
        weight = draw.weight(outside, inside // op.group, *(3,) * rank, dtype=dtype)
        operands = [b.overridable("weight", weight) if given else b.constant(weight, name="weight")]
        operands += [b.constant(draw.weight(outside, dtype=dtype))] if bias else []
        b.output(b.add(op, cat, *operands, node="conv"), name="y")
        return b.build()

    return build


ROWS, COLUMNS = constant(1, 1, 7, 5), constant(1, 1, 7, 5)

EXAMPLES = {
    "coordinates": joined(features(batch=1), ROWS, COLUMNS),
    "expanded": joined(
        features(batch=1), expanded(1, 1, 7, 1, to=(1, 1, 7, 5)), expanded(5, to=(1, 1, 7, 5))
    ),
    "more samples": joined(features(batch=2), expanded(1, 2, 7, 1, to=(2, 2, 7, 5))),
    "another map a sample": joined(
        features(batch=2), constant(2, 1, 7, 5), expanded(1, 1, 1, 1, to=(2, 1, 7, 5))
    ),
    "between, no bias": joined(features(3, batch=1), ROWS, features(batch=1), bias=False),
    "strides, dilations and odd pads": joined(
        features(batch=1), ROWS, conv=Conv.of(2, strides=(2, 1), dilations=(1, 2), pads=(0, 3, 1, 2))
    ),
    "SAME": joined(features(batch=1), ROWS, conv=replace(Conv.of(2, strides=2), auto_pad="SAME_LOWER")),
    "1-D": joined(features(batch=1, spatial=(11,)), constant(1, 2, 11)),
    "1-D, counted from the end": joined(features(batch=1, spatial=(11,)), constant(1, 2, 11), axis=-2),
    "3-D": joined(features(batch=1, spatial=(3, 5, 4)), constant(1, 1, 3, 5, 4), outside=4),
    "half": joined(
        features(batch=1, dtype=np.float16), constant(1, 2, 7, 5, dtype=np.float16), dtype=np.float16
    ),
    "double": joined(
        features(batch=1, dtype=np.float64), constant(1, 2, 7, 5, dtype=np.float64), dtype=np.float64
    ),
}

NEAR_MISSES = {
    "the_sizes_are_known": [
        joined(features(batch=1, spatial=("H", "W")), expanded(1, 2, 1, 1, to=(1, 2, 2, 2), given=True)),
    ],
    "the_weight_is_constant": [joined(features(batch=1), ROWS, given="overridable")],
    "the_map_is_small": [joined(features(batch=1), ROWS, outside=45)],
    "the_convolution_is_a_plain_sum": [
        joined(features(3, batch=1), ROWS, conv=Conv.of(2, pads=1, group=2)),
        joined(features(batch=1), ROWS, conv=replace(Conv.of(2, pads=1), activation=Relu())),
    ],
    "known_numbers_of_channels_are_joined": [
        joined(features(3, batch=1, spatial=(7, 5)), constant(1, 3, 2, 5), axis=2),
    ],
    "it_is_cheaper_on_the_target": [joined(features(batch=0), expanded(1, 1, 7, 5, to=(0, 1, 7, 5)))],
}


def test_an_open_batch_adds_the_same_map_to_every_sample() -> None:
    """How many samples an Expand makes is left open, and by its type how many channels."""
    graph = joined(features(), expanded(1, 1, 7, 1, to=(1, 1, 7, 5), given=True), channels=5)(
        Draw(dyadic=True)
    )
    result, trace = Pipeline([FoldCoordinateChannels()]).run(graph)
    assert len(trace.applications) == 1
    draw = Draw(dyadic=True, seed=3)
    feeds = {"x4": draw.weight(3, 4, 7, 5), "sizes": np.asarray([3, 1, 7, 5])}
    (expected,), (found,) = (evaluate(g, feeds).values() for g in (graph, result))
    assert np.array_equal(expected, found)
