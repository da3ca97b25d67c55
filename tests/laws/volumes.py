"""Random convolutions along three axes: any kernel, stride, dilation, pads, groups, sizes, element type."""

from dataclasses import dataclass

import numpy as np

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv
from convgraph.ir.tensor import Array, DataType, Dim
from laws.draw import Draw


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A convolution along three axes, its weight, the shape of what it takes, and which sizes are open."""

    op: Conv
    weight: Array
    shape: tuple[int, ...]
    symbols: tuple[Dim, ...]
    bias: bool

    def graph(self) -> Graph:
        """The convolution of x, alone."""
        draw, b = Draw(dyadic=True), GraphBuilder("g", opset=17)
        x = b.input("x", shape=self.symbols, dtype=DataType.of(self.weight.dtype))
        bias = [draw.weight(len(self.weight), dtype=self.weight.dtype.type)] if self.bias else []
        b.output(b.add(self.op, x, self.weight, *bias), name="y")
        return b.build()

    def feed(self) -> dict[str, Array]:
        """Signed small integers."""
        return {"x": Draw(dyadic=True).weight(*self.shape, dtype=self.weight.dtype.type)}


def random_setting(rng: np.random.Generator) -> Setting:
    """Any kernel, strides, dilations, pads, groups, sizes and element type; some sizes may be open."""
    kernel = (int(rng.integers(1, 5)), *_numbers(rng, 2, 1, 4)) if rng.random() < 0.7 else (3, 1, 1)
    strides, dilations, pads = _numbers(rng, 3, 1, 4), _numbers(rng, 3, 1, 3), _numbers(rng, 6, 0, 3)
    if rng.random() < 0.3:
        strides, pads = (strides[0], 1, 1), (pads[0], 0, 0, pads[3], 0, 0)
    group = int(rng.integers(1, 3))
    automatic = str(rng.choice(["NOTSET", "SAME_LOWER", "VALID"], p=(0.8, 0.1, 0.1)))
    if automatic != "NOTSET":
        pads = (0,) * 6
    if automatic.startswith("SAME"):
        dilations = (1, 1, 1)  # onnxruntime takes no others then
    window = zip(dilations, kernel, pads[:3], pads[3:], strict=True)
    least = [max(1, step * (taps - 1) + 1 - min(ends)) for step, taps, *ends in window]
    shape = (int(rng.integers(1, 3)), 2 * group, *(size + int(rng.integers(0, 5)) for size in least))
    names = zip(shape, ("N", 2 * group, "D", "H", "W"), strict=True)
    symbols = tuple(name if rng.random() < 0.3 else size for size, name in names)
    dtype = rng.choice([np.float16, np.float32, np.float64])
    weight = rng.integers(-3, 4, (3 * group, 2, *kernel)).astype(dtype)
    op = Conv(strides=strides, pads=pads, dilations=dilations, group=group, auto_pad=automatic)
    return Setting(op=op, weight=weight, shape=shape, symbols=symbols, bias=bool(rng.integers(0, 2)))


def _numbers(rng: np.random.Generator, count: int, low: int, high: int) -> tuple[int, ...]:
    """Random ones from ``low`` to below ``high``."""
    return tuple(int(number) for number in rng.integers(low, high, count))
