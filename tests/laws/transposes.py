"""Random transposed convolutions: any number of axes, kernel, stride, dilation, pads and groups."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import ConvTranspose
from convgraph.ir.tensor import Array
from laws.draw import Draw


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A transposed convolution, its weight, and the size of an image that it can take."""

    op: ConvTranspose
    weight: Array
    size: tuple[int, ...]
    dynamic: bool
    bias: bool

    def graph(self) -> Graph:
        """The convolution of x, alone."""
        draw = Draw(dyadic=True, seed=int(np.abs(self.weight).sum()))
        b = GraphBuilder("g", opset=17)
        symbols: Sequence[int | str] = ("H", "W", "D")[: len(self.size)] if self.dynamic else self.size
        x = b.input("x", shape=("N", self.weight.shape[0], *symbols))
        bias = [draw.weight(self.weight.shape[1] * self.op.group)] if self.bias else []
        b.output(b.add(self.op, x, self.weight, *bias), name="y")
        return b.build()

    def feed(self) -> dict[str, Array]:
        """Signed small integers."""
        draw = Draw(dyadic=True, seed=int(np.abs(self.weight).sum()))
        return {"x": draw.weight(2, self.weight.shape[0], *self.size)}


def random_setting(
    rng: np.random.Generator,
    *,
    weight: Callable[[np.random.Generator, tuple[int, ...], tuple[int, ...]], Array] | None = None,
    dilate: bool = True,
) -> Setting:
    """A random setting; ``weight`` draws one for a shape and strides, perhaps with a longer kernel."""
    rank = int(rng.integers(1, 4))
    strides = _numbers(rng, rank, 1, 4) if weight is None else _numbers(rng, rank, 2, 4)
    dilations = _numbers(rng, rank, 1, 4) if dilate else (1,) * rank
    group = int(rng.integers(1, 4))
    channels = (group * int(rng.integers(1, 3)), int(rng.integers(1, 3)))
    shape = (*channels, *_numbers(rng, rank, 1, 6 if rank < 3 else 4))
    array = rng.integers(-3, 4, shape) if weight is None else weight(rng, shape, strides)
    size, extra = _numbers(rng, rank, 1, 7), tuple(int(rng.integers(0, stride)) for stride in strides)
    pads = _numbers(rng, 2 * rank, 0, 5)
    op = ConvTranspose(strides=strides, pads=pads, dilations=dilations, group=group, output_padding=extra)
    reach = [d * (k - 1) + 1 + e for d, k, e in zip(dilations, array.shape[2:], extra, strict=True)]
    out = [s * (n - 1) + r for s, n, r in zip(strides, size, reach, strict=True)]
    if any(o - pads[a] - pads[a + rank] < 1 for a, o in enumerate(out)):
        op = ConvTranspose.of(rank, strides=strides, dilations=dilations, group=group)
    flags = [bool(flag) for flag in rng.integers(0, 2, 2)]
    return Setting(op=op, weight=array.astype(np.float32), size=size, dynamic=flags[0], bias=flags[1])


def _numbers(rng: np.random.Generator, count: int, low: int, high: int) -> tuple[int, ...]:
    return tuple(int(number) for number in rng.integers(low, high, count))
