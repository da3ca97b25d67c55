"""Tables for split-conv-along-split."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph
from convgraph.ir.ops import (
    Conv,
    Convolution,
    ConvTranspose,
    LeakyRelu,
    Mul,
    PRelu,
    Sigmoid,
    Split,
    Tanh,
)
from convgraph.ir.tensor import Array, DataType, Dim
from convgraph.passes import Pipeline
from convgraph.passes.algebra.merge_sibling_convs import MergeSiblingConvs
from convgraph.passes.algebra.split_conv_along_split import SplitConvAlongSplit

THREE = Conv.of(2, pads=1)


def split(
    op: Convolution,
    *kernel: int,
    counts: Sequence[int] = (4, 4),
    axis: int = 1,
    equally: bool = False,
    inside: int = 4,
    spatial: Sequence[Dim] = ("H", "W"),
    bias: bool = True,
    slope: Array | None = None,
    dtype: type = np.float32,
    overridable: str = "",
    returned: bool = False,
    read: Sequence[int] = (0, 1),
) -> Callable[[Draw], Graph]:
    """``op`` of x split into pieces, the first gated by the second; ``read`` names the pieces in use.

    ``slope`` is a fused activation's parameter, ``overridable`` names "weight" or "bias", ``returned`` makes
    the whole an output too.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=18)
        x = b.input("x", shape=("N", inside, *spatial), dtype=DataType.of(np.dtype(dtype)))
        outside = sum(counts) if axis in (1, -3) else 6
        transposed = isinstance(op, ConvTranspose)
        shape = (inside, outside // op.group) if transposed else (outside, inside // op.group)
        drawn = {"weight": draw.weight(*shape, *kernel, dtype=dtype)}
        if bias:
            drawn["bias"] = draw.weight(outside, dtype=dtype)
        operands: list[Operand] = [
            b.overridable(name, array) if name == overridable else b.constant(array, name=name)
            for name, array in drawn.items()
        ]
        if slope is not None:
            operands = [*operands, *([] if bias else [None]), b.constant(slope)]
        y = b.add(op, x, *operands, name="convolved", node="conv")
        if returned:
            b.output(y)
        sizes = () if equally else (np.asarray(counts, np.int64),)
        cut = Split(axis=axis, num_outputs=len(counts) if equally else None)
        pieces = b.add_all(cut, y, *sizes, names=[f"piece{n}" for n in range(len(counts))])
        for n in read:
            b.output(b.add(Tanh() if n == 0 else Sigmoid(), pieces[n]), name=f"y{n}")
        return b.build()

    return build


def gated(draw: Draw) -> Graph:
    """A gated linear unit: one half times the logistic function of the other."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", 3, "H", "W"))
    y = b.add(THREE, x, draw.weight(8, 3, 3, 3), draw.weight(8))
    feature, gate = b.add_all(Split(axis=1), y, np.array([4, 4]), names=["feature", "gate"])
    b.output(b.add(Mul(), feature, b.add(Sigmoid(), gate)), name="y")
    return b.build()


SLOPES = np.arange(8, dtype=np.float32).reshape(8, 1, 1)

EXAMPLES = {
    "gated": gated,
    "no bias": split(THREE, 3, 3, bias=False),
    "three unequal pieces": split(THREE, 3, 3, counts=(5, 2, 4), read=(0, 1, 2)),
    "equal pieces by number": split(THREE, 3, 3, counts=(3, 3), equally=True),
    "axis from the back": split(THREE, 3, 3, axis=-3),
    "a piece nobody reads": split(THREE, 3, 3, read=(1,)),
    "strided": split(Conv.of(2, strides=(2, 1), dilations=(1, 2)), 3, 2),
    "transposed": split(ConvTranspose.of(2, strides=2), 2, 3, counts=(3, 5)),
    "fused activation": split(replace(THREE, activation=LeakyRelu(alpha=0.5)), 3, 3),
    "fused activation of one parameter, no bias": split(
        replace(THREE, activation=PRelu()), 3, 3, bias=False, slope=np.full((1, 1, 1), 2, np.float32)
    ),
    "one axis": split(Conv.of(1, pads=1), 3, spatial=("L",)),
    "three axes": split(Conv.of(3), 2, 1, 2, spatial=("H", "W", 5)),
    "double": split(THREE, 3, 3, dtype=np.float64),
    "half": split(THREE, 3, 3, dtype=np.float16),
}

NEAR_MISSES = {
    "it_has_one_group": [split(Conv.of(2, pads=1, group=2), 3, 3, counts=(3, 5))],
    "the_weights_are_constant": [split(THREE, 3, 3, overridable=name) for name in ("weight", "bias")],
    "its_activation_knows_no_channels": [
        split(replace(THREE, activation=PRelu()), 3, 3, counts=(1, 7), read=(0,), slope=SLOPES)
    ],
    "it_is_cheaper_on_the_target": [
        split(THREE, 3, 3, returned=True),
        split(Conv.of(2), 1, 1, inside=40),
    ],
}


def test_pieces_of_an_image_are_left_alone() -> None:
    for graph in (
        split(THREE, 3, 3, axis=2, counts=(3, 4), spatial=(7, 5)),
        split(THREE, 3, 3, counts=(8, 0)),
    ):
        _, trace = Pipeline([SplitConvAlongSplit()]).run(graph(Draw(dyadic=True)))
        assert not trace.applications


def test_merging_and_splitting_come_to_rest_together() -> None:
    graph = gated(Draw(dyadic=True))
    for rewrites in (
        [MergeSiblingConvs(), SplitConvAlongSplit()],
        [SplitConvAlongSplit(), MergeSiblingConvs()],
    ):
        result, trace = Pipeline(rewrites).run(graph)
        assert [done.rewrite for done in trace.applications] == ["split-conv-along-split"]
        assert not Pipeline(rewrites).run(result)[1].applications
