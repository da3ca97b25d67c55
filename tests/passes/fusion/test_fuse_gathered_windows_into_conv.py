"""Tables for fuse-gathered-windows-into-conv."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Add, Conv, Gather, MatMul, Relu, Reshape, Transpose
from convgraph.ir.tensor import Array, DataType, Dim
from convgraph.passes import FuseGatheredWindowsIntoConv, Pipeline

Axis = tuple[int, int, int]  # taps, step between taps, step between windows
Changed = Callable[[Array], Array]


def places(size: int, axis: Axis) -> Array:
    """Where each tap of each window lies."""
    taps, dilation, stride = axis
    windows = (size - dilation * (taps - 1) - 1) // stride + 1
    return np.asarray(dilation * np.arange(taps)[:, None] + stride * np.arange(windows))


def same(at: Array) -> Array:
    """The places as they are."""
    return at


def unfolded(
    *axes: Axis,
    spatial: Sequence[int] = (6, 7, 5),
    known: bool = True,
    batch: Dim = "N",
    changed: Changed = same,
    order: Sequence[int] | None = None,
    image: Sequence[int] | None = None,
    bias: Sequence[int] | None = (4, 1),
    left: bool = False,
    dtype: type = np.float32,
    given: str = "",
    also: str = "",
) -> Callable[[Draw], Graph]:
    """Columns of x (N, 3, …), a matrix of four rows times them, a bias, and an image of that.

    ``changed`` changes the places along the first axis, ``order`` is that of the axes before they are joined,
    ``image`` the sizes of the result; x's first size may not be ``known``; ``bias`` is the shape of what is
    added, on the ``left`` or not. What is ``given``, "matrix", "bias" or "places", a caller may override;
    ``also`` is what else is an output, the "product" or the "sum".
    """

    def build(draw: Draw) -> Graph:
        b, sizes, rank = GraphBuilder("g", opset=17), spatial[: len(axes)], len(axes)
        shape: list[Dim] = [batch, 3, *sizes]
        shape[2] = sizes[0] if known else "H"
        y = b.input("x", shape=shape, dtype=DataType.of(np.dtype(dtype)))

        def parameter(name: str, array: Array) -> Operand:
            return b.overridable(name, array) if name == given else b.constant(array, name=name)

        at = [places(size, axis) for size, axis in zip(sizes, axes, strict=True)]
        at[0] = changed(at[0])
        for number, indices in enumerate(at):
            where = parameter("places", indices) if number == 0 else indices
            y = b.add(Gather(axis=2 + 2 * number), y, where)
        out = [indices.shape[1] for indices in at]
        taps = int(np.prod([indices.shape[0] for indices in at]))
        if rank > 1:
            perm = order or (0, 1, *range(2, 2 * rank + 2, 2), *range(3, 2 * rank + 2, 2))
            y = b.add(Transpose(perm=tuple(perm)), y)
        y = b.add(Reshape(), y, np.array([0, 3 * taps, -1]))
        matrix = parameter("matrix", draw.weight(4, 3 * taps, dtype=dtype))
        y = product = b.add(MatMul(), matrix, y)
        if bias is not None:
            added = parameter("bias", draw.weight(*bias, dtype=dtype))
            y = b.add(Add(), added, y) if left else b.add(Add(), y, added)
        for name, value in (("product", product), ("sum", y)):
            if also == name:
                b.output(value, name=name)
        y = b.add(Reshape(), y, np.array([-1, *(image or (4, *out))]))
        b.output(b.add(Relu(), y), name="y")
        return b.build()

    return build


THREE, TWO = (3, 1, 1), (2, 1, 1)

EXAMPLES = {
    "oblong": unfolded(THREE, TWO),
    "no bias": unfolded(TWO, THREE, bias=None),
    "bias on the left, one number": unfolded(THREE, TWO, bias=(), left=True),
    "bias of full rank": unfolded(THREE, TWO, bias=(1, 4, 1)),
    "strides": unfolded((2, 1, 2), (3, 1, 3)),
    "dilations": unfolded((2, 3, 1), (3, 2, 1)),
    "strides and dilations": unfolded((2, 2, 2), (2, 3, 2)),
    "one window": unfolded((6, 1, 1), (7, 1, 1)),
    "one tap": unfolded((1, 1, 2), (1, 1, 1)),
    "counted from the end": unfolded(THREE, TWO, changed=lambda at: at - 6),
    "1-D": unfolded(THREE),
    "3-D": unfolded(TWO, THREE, TWO),
    "batch of two": unfolded(THREE, TWO, batch=2),
    "half": unfolded(THREE, TWO, dtype=np.float16),
}

NEAR_MISSES = {
    "the_parameters_are_constant": [
        unfolded(THREE, TWO, given="matrix"),
        unfolded(THREE, TWO, given="bias"),
        unfolded(THREE, TWO, bias=(24,)),
        unfolded(THREE, TWO, bias=(4, 24)),
    ],
    "every_window_is_gathered_once": [
        unfolded(THREE, TWO, given="places"),
        unfolded(THREE, TWO, changed=lambda at: at[:, :-1]),
        unfolded(THREE, TWO, changed=lambda at: at[:, 1:]),
        unfolded(THREE, TWO, changed=lambda at: at[::-1]),
        unfolded(THREE, TWO, changed=lambda at: at[:, ::-1]),
        unfolded(THREE, TWO, changed=lambda at: at[:, [0, 1, 3, 2]]),
        unfolded((3, 1, 1), TWO, changed=lambda at: np.minimum(at, 4)),
        unfolded(THREE, TWO, changed=lambda at: at[:, :2], known=False),
    ],
    "a_column_is_a_window": [
        unfolded(TWO, TWO, order=(0, 1, 4, 2, 3, 5)),
        unfolded(TWO, TWO, order=(0, 1, 2, 4, 5, 3), spatial=(6, 6)),
        unfolded(TWO, TWO, order=(0, 1, 2, 3, 4, 5)),
    ],
    "the_product_becomes_an_image": [
        unfolded(THREE, TWO, image=(4, 6, 4)),
        unfolded(THREE, TWO, image=(2, 8, 6)),
        unfolded(THREE, TWO, image=(4, 24)),
    ],
    "nothing_else_reads_the_product": [
        unfolded(THREE, TWO, also="product"),
        unfolded(THREE, TWO, also="sum"),
    ],
}


@pytest.mark.parametrize("dtype", [np.float64, np.int32])
def test_what_runtimes_do_not_convolve_is_left(dtype: type) -> None:
    graph = unfolded(THREE, TWO, dtype=dtype)(Draw(dyadic=True))
    assert not Pipeline([FuseGatheredWindowsIntoConv()]).run(graph)[1].applications


def test_nothing_is_left_but_the_convolution() -> None:
    result, _ = Pipeline([FuseGatheredWindowsIntoConv()]).run(unfolded((3, 1, 2), TWO)(Draw(dyadic=True)))
    conv, relu = (result.op(node) for node in result.compute_nodes())
    assert conv == Conv.of(2, strides=(2, 1))
    assert isinstance(relu, Relu)
