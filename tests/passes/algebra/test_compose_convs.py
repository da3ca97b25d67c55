"""Tables for compose-convs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from laws.draw import Draw
from laws.meaning import difference

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, LeakyRelu, Relu
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import Pipeline
from convgraph.passes.algebra.compose_convs import ComposeConvs

ONE = Conv.of(2)


def chain(
    first: Conv,
    second: Conv,
    *,
    channels: Sequence[int] = (4, 6, 3),
    kernels: Sequence[Sequence[int]] = ((1, 1), (1, 1)),
    spatial: Sequence[Dim] = ("H", "W"),
    biases: tuple[bool, bool] = (True, True),
    dtype: type = np.float32,
    overridable: str = "",
    returned: bool = False,
    times: float = 1,
) -> Callable[[Draw], Graph]:
    """``second`` of ``first`` of x, with these numbers of channels before, between and after.

    ``overridable`` names one of w0, b0, w1, b1; ``returned`` makes the first result an output too; the
    weights are multiplied by ``times``.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        y = b.input("x", shape=("N", channels[0], *spatial), dtype=DataType.of(np.dtype(dtype)))
        for n, op in enumerate((first, second)):
            weight = draw.weight(channels[n + 1], channels[n] // op.group, *kernels[n], dtype=dtype)
            drawn = {f"w{n}": (weight * times).astype(dtype)}
            if biases[n]:
                drawn[f"b{n}"] = draw.weight(channels[n + 1], dtype=dtype)
            operands: list[Operand] = [
                b.overridable(name, array) if name == overridable else b.constant(array, name=name)
                for name, array in drawn.items()
            ]
            y = b.add(op, y, *operands, name=f"convolved{n}", node=f"conv{n}")
            if returned and n == 0:
                b.output(y)
        b.output(b.add(Relu(), y), name="y")
        return b.build()

    return build


THREE, WIDER = ((3, 2), (2, 3)), ((1, 1), (2, 3))
OPTIONS: dict[str, Any] = {"size_limit": 4_000}

EXAMPLES = {
    "1x1 and 1x1": chain(ONE, ONE),
    "1x1 and 1x1, no bias": chain(ONE, ONE, biases=(False, False)),
    "a bias on the first alone": chain(ONE, ONE, biases=(True, False)),
    "a bias on the second alone, padded": chain(ONE, Conv.of(2, pads=(1, 0, 2, 1)), biases=(False, True)),
    "3x2 and 1x1": chain(Conv.of(2, pads=1), ONE, kernels=((3, 2), (1, 1))),
    "1x1 and 2x3": chain(ONE, ONE, kernels=((1, 1), (2, 3)), channels=(2, 7, 5)),
    "1x1 and 2x3 with pads": chain(
        ONE, Conv.of(2, pads=1), kernels=((1, 1), (2, 3)), channels=(2, 7, 5), biases=(False, True)
    ),
    "kernels add up": chain(Conv.of(2, pads=1), ONE, kernels=THREE, channels=(1, 8, 1)),
    "full padding before padding": chain(
        Conv.of(2, pads=(2, 1, 2, 1)),
        Conv.of(2, pads=1),
        kernels=THREE,
        channels=(1, 8, 1),
        biases=(False, True),
    ),
    "dilations on one grid": chain(
        Conv.of(2, dilations=(2, 1), pads=(2, 0, 2, 0)),
        Conv.of(2, dilations=(2, 1)),
        kernels=THREE,
        channels=(1, 9, 1),
    ),
    "dilations on a finer grid": chain(
        Conv.of(2, dilations=(2, 1), pads=3), Conv.of(2, dilations=(1, 2)), kernels=THREE, channels=(1, 9, 1)
    ),
    "strides multiply": chain(
        Conv.of(2, strides=(2, 1), pads=2), Conv.of(2, strides=(1, 2)), kernels=THREE, channels=(1, 9, 1)
    ),
    "strided 1x1 before pads": chain(
        Conv.of(2, strides=(1, 2)),
        Conv.of(2, pads=1),
        kernels=((1, 1), (2, 3)),
        channels=(2, 20, 5),
        biases=(False, False),
    ),
    "depthwise twice": chain(
        Conv.of(2, group=4), Conv.of(2, group=4), channels=(4, 4, 4), kernels=((1, 2), (1, 3))
    ),
    "groups in common": chain(
        Conv.of(2, group=4), Conv.of(2, group=2), channels=(4, 12, 6), kernels=((1, 2), (1, 1))
    ),
    "one axis": chain(Conv.of(1, pads=2), Conv.of(1), kernels=((3,), (1,)), spatial=("L",)),
    "three axes": chain(
        Conv.of(3), Conv.of(3), kernels=((1, 1, 1), (2, 1, 3)), spatial=("H", "W", 5), channels=(2, 7, 5)
    ),
    "double": chain(ONE, ONE, dtype=np.float64),
    "half": chain(ONE, ONE, dtype=np.float16),
    "fused activation last": chain(ONE, replace(ONE, activation=LeakyRelu())),
    "SAME": chain(replace(ONE, auto_pad="SAME_UPPER"), replace(ONE, auto_pad="VALID")),
    "a bias that meets padding": chain(
        ONE, Conv.of(2, pads=1), kernels=WIDER, channels=(2, 7, 5), spatial=(7, 6)
    ),
    "a bias that meets padding, activated": chain(
        ONE,
        replace(Conv.of(2, pads=(2, 0, 1, 0), strides=(2, 1)), activation=LeakyRelu(alpha=0.25)),
        kernels=WIDER,
        channels=(2, 9, 5),
        biases=(True, False),
        spatial=(7, 6),
    ),
    "a bias that meets padding, 1-D, groups": chain(
        Conv.of(1, group=2, pads=2),
        Conv.of(1, group=2, pads=(1, 0)),
        kernels=((3,), (1,)),
        channels=(4, 8, 4),
        spatial=(9,),
    ),
    "returned between, and still cheaper": chain(ONE, ONE, returned=True),
}

NEAR_MISSES = {
    "the_first_has_no_activation": [chain(replace(ONE, activation=LeakyRelu()), ONE)],
    "the_weights_are_constant": [chain(ONE, ONE, overridable=name) for name in ("w0", "b0", "w1", "b1")],
    "the_pads_are_known": [
        chain(
            replace(Conv.of(2, strides=2), auto_pad="SAME_UPPER"),
            ONE,
            kernels=((3, 2), (1, 1)),
        ),
        chain(
            ONE,
            replace(Conv.of(2, strides=2), auto_pad="SAME_LOWER"),
            kernels=((1, 1), (3, 2)),
            channels=(2, 7, 5),
            biases=(False, True),
        ),
    ],
    "no_window_beyond_the_border_meets_the_image": [
        chain(
            Conv.of(2, pads=1),
            Conv.of(2, pads=1),
            kernels=((3, 3), (1, 1)),
            channels=(4, 6, 3),
            biases=(False, True),
        ),
        chain(
            Conv.of(2, pads=(2, 0, 1, 0)),  # full at the begin, short of it at the end
            Conv.of(2, pads=(1, 0, 1, 0)),
            kernels=((3, 1), (1, 1)),
            biases=(False, True),
        ),
        chain(
            Conv.of(2, pads=(0, 0, 2, 0)),  # and the other way round
            Conv.of(2, pads=(1, 0, 0, 0)),
            kernels=((3, 1), (1, 1)),
            biases=(False, True),
        ),
    ],
    "the_sizes_are_known": [
        chain(ONE, Conv.of(2, pads=1)),
        chain(ONE, Conv.of(2, pads=(0, 0, 0, 1)), spatial=("H", 5)),
    ],
    "the_map_is_small": [
        chain(ONE, Conv.of(2, pads=1), kernels=WIDER, channels=(2, 7, 5), spatial=(17, 16)),
    ],
    "the_new_weights_are_finite": [
        chain(ONE, ONE, dtype=np.float16, times=2.0**10),
        chain(
            ONE,
            Conv.of(2, pads=(1, 0, 0, 0)),
            dtype=np.float16,
            times=2.0**13,
            spatial=(7, 6),
            channels=(1, 2, 1),
        ),
    ],
    "it_is_cheaper_on_the_target": [chain(ONE, ONE, channels=(6, 4, 4), returned=True)],
}


def test_a_bottleneck_stays_one() -> None:
    graph = chain(ONE, ONE, channels=(8, 2, 8))(Draw(dyadic=True))
    _, trace = Pipeline([ComposeConvs()]).run(graph)
    assert not trace.applications


def random_chain(seed: int) -> Graph:
    """Two convolutions with any strides, dilations, pads, through enough channels that one is cheaper."""
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4))
    before, after = rng.integers(0, 4, 2 * rank), rng.integers(0, 3, 2 * rank) * (seed % 2)
    first, second = (
        Conv.of(rank, pads=pads.tolist(), strides=stride.tolist(), dilations=dilation.tolist())
        for pads, stride, dilation in zip((before, after), *rng.integers(1, 4, (2, 2, rank)), strict=True)
    )
    kernels = rng.integers(1, 4, (2, rank)).tolist()
    build = chain(
        first,
        second,
        channels=(1, 40, 1),
        kernels=kernels,
        spatial=(30, 27, 23)[:rank],
        biases=(seed % 3 == 0, True),
    )
    return build(Draw(dyadic=True, seed=seed))


def test_any_window_after_any_window_is_right_or_refused() -> None:
    composed = 0
    for seed in range(60):
        graph = random_chain(seed)
        result, trace = Pipeline([ComposeConvs()]).run(graph)
        composed += len(trace.applications)
        assert not difference(graph, result, dyadic=True), seed
    assert composed > 30
