"""Tables for merge-sibling-convs."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, Convolution, ConvTranspose, Relu, Sigmoid
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import Pipeline
from convgraph.passes.algebra.merge_sibling_convs import MergeSiblingConvs

ONE = Conv.of(2)


def siblings(
    *ops: Convolution,
    kernels: Sequence[Sequence[int]] = (),
    outside: Sequence[int] = (4, 3, 2),
    inside: int = 24,
    spatial: Sequence[Dim] = ("H", "W"),
    biases: Sequence[bool] = (True, True, True),
    dtype: type = np.float32,
    overridable: str = "",
    returned: bool = False,
) -> Callable[[Draw], Graph]:
    """Convolutions of one x (N, inside, …), each rectified; ``overridable`` names one of w0, b0, w1, …"""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=("N", inside, *spatial), dtype=DataType.of(np.dtype(dtype)))
        for n, op in enumerate(ops):
            channels = outside[n], inside // op.group
            shape = (inside, outside[n]) if isinstance(op, ConvTranspose) else channels
            kernel = kernels[n] if kernels else (1,) * op.spatial_rank
            drawn = {f"w{n}": draw.weight(*shape, *kernel, dtype=dtype)}
            if biases[n]:
                drawn[f"b{n}"] = draw.weight(outside[n], dtype=dtype)
            operands: list[Operand] = [
                b.overridable(name, array) if name == overridable else b.constant(array, name=name)
                for name, array in drawn.items()
            ]
            y = b.add(op, x, *operands, node=f"conv{n}")
            b.output(y if returned and n == 1 else b.add(Relu(), y), name=f"y{n}")
        return b.build()

    return build


EXAMPLES = {
    "two": siblings(ONE, ONE),
    "three, a bias on one": siblings(ONE, ONE, ONE, biases=(False, True, False)),
    "no biases": siblings(ONE, ONE, biases=(False, False)),
    "one is an output": siblings(ONE, ONE, returned=True),
    "strided and dilated": siblings(
        *[Conv.of(2, strides=(2, 1), dilations=(1, 2), pads=(1, 2, 0, 1))] * 2, kernels=[(3, 2)] * 2
    ),
    "SAME": siblings(*[replace(Conv.of(2, strides=2), auto_pad="SAME_UPPER")] * 2, kernels=[(3, 2)] * 2),
    "another kernel between": siblings(
        ONE, Conv.of(2, pads=(1, 0, 1, 0)), ONE, kernels=[(1, 1), (3, 1), (1, 1)]
    ),
    "two kinds": siblings(ONE, ONE, *[ConvTranspose.of(2)] * 2, outside=(4, 3, 2, 3), biases=(True,) * 4),
    "one axis": siblings(*[Conv.of(1, pads=1)] * 2, kernels=[(3,)] * 2, spatial=("L",)),
    "three axes": siblings(*[Conv.of(3)] * 2, kernels=[(1, 2, 1)] * 2, spatial=("H", "W", 5)),
    "double": siblings(ONE, ONE, dtype=np.float64),
    "half": siblings(ONE, ONE, dtype=np.float16),
}

NEAR_MISSES = {
    "each_has_one_group": [siblings(*[Conv.of(2, group=2)] * 2, outside=(4, 2))],
    "the_weights_are_constant": [siblings(ONE, ONE, overridable=name) for name in ("w0", "b0", "w1", "b1")],
    "it_is_cheaper_on_the_target": [siblings(ONE, ONE, inside=7)],
}


def test_what_differs_stays_apart() -> None:
    for graph in (
        siblings(ONE),
        siblings(ONE, Conv.of(2, pads=(1, 0, 1, 0)), kernels=[(1, 1), (3, 1)]),
        siblings(ONE, ONE, kernels=[(1, 1), (1, 2)]),
        siblings(ONE, Conv.of(2, strides=2)),
        siblings(ONE, ConvTranspose.of(2)),
        siblings(*[replace(ONE, activation=Sigmoid())] * 2),
        siblings(ONE, replace(ONE, activation=Sigmoid())),
    ):
        _, trace = Pipeline([MergeSiblingConvs()]).run(graph(Draw(dyadic=True)))
        assert not trace.applications
