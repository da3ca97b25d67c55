"""Convolutions of enlarged images, for examples and near misses."""

from collections.abc import Callable, Sequence

import numpy as np

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Concat, Conv, Relu, Resize
from convgraph.ir.tensor import DataType, Dim
from laws.draw import Draw

COPY = Resize(coordinate_transformation_mode="asymmetric", nearest_mode="floor")


def enlarged_conv(
    op: Conv,
    *kernel: int,
    scales: Sequence[float] = (1, 1, 2, 2),
    sizes: Sequence[int] = (),
    resize: Resize = COPY,
    parts: str = "up",
    spatial: Sequence[Dim] = ("H", "W"),
    outside: int = 6,
    fill: float | None = None,
    bias: bool = True,
    dtype: type = np.float32,
    overridable: str = "",
    returned: bool = False,
    axis: int = 1,
) -> Callable[[Draw], Graph]:
    """``op`` of images side by side, each of 4 channels, to ``outside`` channels.

    ``axis`` is what the Concat calls that of the channels. ``parts`` are words for the images: "up" is
    resized by ``scales``, or to ``sizes``, to the size of a "skip". ``fill`` is every number of the weight;
    ``overridable`` makes "weight" or "scales" an initializer that a caller may override; ``returned`` makes
    the resized image an output.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=19)
        words = parts.split()

        def parameter(name: str, array: np.ndarray) -> Operand:
            return b.overridable(name, array) if name == overridable else b.constant(array, name=name)

        extent = parameter("scales", np.asarray(sizes or scales, np.int64 if sizes else np.float32))
        images: list[Value] = []
        for n, word in enumerate(words):
            x = b.input(f"x{n}", shape=("N", 4, *spatial), dtype=DataType.of(np.dtype(dtype)))
            large = b.add(resize, x, None, *((None, extent) if sizes else (extent,)))
            images.append(large if word == "up" else b.add(Relu(), large))
        if returned:
            b.output(images[0])
        joined = images[0] if len(images) == 1 else b.add(Concat(axis=axis), *images, name="joined")
        weight = draw.weight(outside, 4 * len(words) // op.group, *kernel, dtype=dtype)
        weight = weight if fill is None else np.full_like(weight, fill)
        rest = [draw.weight(outside, dtype=dtype)] if bias else []
        y = b.add(op, joined, parameter("weight", weight), *rest, name="convolved", node="conv")
        b.output(b.add(Relu(), y), name="y")
        return b.build()

    return build
