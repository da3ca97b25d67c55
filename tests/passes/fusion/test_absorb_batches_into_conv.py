"""Tables for absorb-batches-into-conv."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Conv, DepthToSpace, Op, Pad, Relu, Reshape, SpaceToDepth, Transpose
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import Pipeline
from convgraph.passes.fusion.absorb_batches_into_conv import AbsorbBatchesIntoConv

PIXEL = Conv.of(2)


def batched(
    steps: Sequence[int] = (2, 2),
    conv: Conv = PIXEL,
    *,
    kernel: Sequence[int] = (3, 3),
    size: Sequence[int] = (8, 12),
    samples: Dim = 3,
    back: Sequence[int] = (),
    last_first: bool = False,
    activation: Op | None = None,
    dtype: type = np.float32,
    also: str = "",
) -> Callable[[Draw], Graph]:
    """A convolution of every r-th pixel, spelled with Reshape and Transpose, and the pixels brought back.

    ``back`` are other steps for the way back; ``last_first`` puts the samples before the places of pixels;
    ``activation`` comes before that; ``also`` says what else is returned: "batch" or "convolved".
    """

    def build(draw: Draw) -> Graph:
        rank = len(steps)
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=(samples, 4, *size), dtype=DataType.of(np.dtype(dtype)))
        apart = b.add(
            Reshape(),
            x,
            np.array([0, 4, *(n for s, r in zip(size, steps, strict=True) for n in (s // r, r))]),
        )
        places, pixels = range(3, 3 + 2 * rank, 2), range(2, 2 + 2 * rank, 2)
        front = (0, *places) if last_first else (*places, 0)
        moved = b.add(Transpose(perm=(*front, 1, *pixels)), apart)
        images = b.add(
            Reshape(), moved, np.array([-1, 4, *(s // r for s, r in zip(size, steps, strict=True))])
        )
        weight = draw.weight(6, 4 // conv.group, *kernel, dtype=dtype)
        y = convolved = b.add(conv, images, weight, draw.weight(6, dtype=dtype), name="convolved")
        y = y if activation is None else b.add(activation, y)
        b.output(_joined(b, y, back or steps), name="y")
        for word in also.split():
            b.output({"batch": images, "convolved": convolved}[word])
        return b.build()

    return build


def _joined(b: GraphBuilder, y: Value, steps: Sequence[int]) -> Value:
    count, channels, *sizes = b.type(y).shape or ()
    assert isinstance(channels, int)
    rank = len(steps)
    known = [size for size in sizes if isinstance(size, int)]
    samples = count // prod(steps) if isinstance(count, int) else -1
    apart = b.add(Reshape(), y, np.array([*steps, samples, channels, *known]))
    pairs = [axis for place in range(rank) for axis in (rank + 2 + place, place)]
    moved = b.add(Transpose(perm=(rank, rank + 1, *pairs)), apart)
    return b.add(
        Reshape(), moved, np.array([samples, channels, *(s * r for s, r in zip(known, steps, strict=True))])
    )


def by_depth(*, pads: Sequence[int] = (0,) * 8, fill: float = 0.0) -> Callable[[Draw], Graph]:
    """The same with SpaceToDepth and DepthToSpace, which take samples for channels, and a Pad in between."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=(2, 3, 7, 6))
        turned = b.add(Transpose(perm=(1, 0, 2, 3)), x)
        padded = b.add(Pad(), turned, np.array(pads), np.array(fill, np.float32))
        images = b.add(Transpose(perm=(1, 0, 2, 3)), b.add(SpaceToDepth(blocksize=2), padded))
        y = b.add(Conv.of(2, pads=(1, 0, 0, 1)), images, draw.weight(5, 3, 2, 3))
        deep = b.add(DepthToSpace(blocksize=2), b.add(Transpose(perm=(1, 0, 2, 3)), y))
        b.output(b.add(Transpose(perm=(1, 0, 2, 3)), deep), name="y")
        return b.build()

    return build


ROOM = (0, 0, 2, 1, 0, 0, 3, 1)

EXAMPLES = {
    "twice": batched(),
    "two and three": batched((2, 3)),
    "rows only": batched((2, 1), kernel=(2, 3)),
    "own pads and dilation": batched(conv=Conv.of(2, pads=(1, 0, 2, 1), dilations=(1, 2)), kernel=(3, 2)),
    "SAME": batched(conv=replace(PIXEL, auto_pad="SAME_UPPER")),
    "groups": batched(conv=Conv.of(2, group=2)),
    "1-D": batched((3,), Conv.of(1), kernel=(2,), size=(12,)),
    "3-D": batched((2, 1, 2), Conv.of(3), kernel=(2, 1, 2), size=(6, 3, 8)),
    "one sample, half": batched(samples=1, dtype=np.float16),
    "the batch is read elsewhere, too": batched(also="batch"),
    "by depth, padded": by_depth(pads=ROOM),
}

NEAR_MISSES = {
    "it_takes_every_pixel": [batched(conv=Conv.of(2, strides=2), kernel=(2, 2), size=(8, 12))],
}


@pytest.mark.parametrize(
    "other",
    [
        batched(back=(1, 4)),
        batched(last_first=True),
        batched(samples="N"),
        batched(also="convolved"),
        batched(activation=Relu()),
        by_depth(pads=ROOM, fill=1.0),
        by_depth(pads=(0, 0, -1, 0, 0, 0, 0, 0)),
    ],
)
def test_other_moves_are_left(other: Callable[[Draw], Graph]) -> None:
    assert not Pipeline([AbsorbBatchesIntoConv()]).run(other(Draw(dyadic=True)))[1].applications
