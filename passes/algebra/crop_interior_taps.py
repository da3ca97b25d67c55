"""Crop the zeros between the taps of a convolution's kernel.

    conv(x, W, b; dilation d)  ->  conv(x, W[::e], b; dilation d·e)

on each spatial axis of k taps, when all taps but every e-th are zero in every channel and e divides k − 1, so
that the kernel reaches as far as before and the pads stay what they are. Kernels spread out
with zeros, as early frameworks spelled dilation, and wavelet filters have such taps. Transposed convolutions
as well. Exact: what goes are products with zero, of finite inputs.

Source: Holschneider et al., A Real-Time Algorithm for Signal Analysis with the Help of the Wavelet Transform
(1989), where a filter is spread by putting zeros between its taps.
"""

from dataclasses import dataclass, replace
from math import gcd
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, Convolution, ConvTranspose, Op
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.constant_weight import (
    LooksIntoWeight,
    WeightedConv,
    constant_weight,
    convolution,
    weight_at,
)
from convgraph.passes.rewrite import requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadConv(WeightedConv):
    """A convolution and, for each spatial axis, the step from one tap that matters to the next."""

    steps: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class CropInteriorTaps(LooksIntoWeight[SpreadConv]):
    """Crop the zeros between the taps of a convolution's kernel."""

    name: ClassVar[str] = "crop-interior-taps"
    roots: ClassVar[tuple[type[Op], ...]] = (Convolution,)

    def find(self, graph: Graph, node: int) -> SpreadConv | None:
        """A convolution whose weight is zero off a grid of taps."""
        array = weight_at(graph, node)
        if array is None or max(array.shape[2:], default=1) <= 2 or not array.size:
            return None
        first = (array[0] != 0).any(axis=0)  # most often all: the rest need not be read
        if first.all():
            return None
        alive = (array != 0).any(axis=(0, 1))
        steps = tuple(_step(alive, axis=axis) for axis in range(alive.ndim))
        return SpreadConv(conv=node, steps=steps) if max(steps) > 1 else None

    @requirement
    def the_pads_are_known(self, graph: Graph, m: SpreadConv) -> bool:
        """The padding is given as numbers, or follows from sizes that are known."""
        return _padded(graph, m.conv) is not None

    def apply(self, edit: Edit, m: SpreadConv) -> None:
        """Put a convolution with the taps on the grid alone, further apart, in its place."""
        graph, op = edit.graph, _padded(edit.graph, m.conv)
        assert op is not None
        x, _, *rest = graph.operands(m.conv)
        weight, array = constant_weight(graph, m.conv)
        cropped = edit.constant(
            array[:, :, *(slice(None, None, step) for step in m.steps)].copy(), like=weight
        )
        dilations = tuple(d * step for d, step in zip(op.dilations, m.steps, strict=True))
        spread = edit.add(replace(op, dilations=dilations), x, cropped, *rest, like=m.conv)
        edit.replace(graph.results(m.conv)[0], spread)


def _padded(graph: Graph, conv: int) -> Convolution | None:
    """The convolution without a rule for its pads, which runtimes take no dilations with; None if open."""
    op, (x, weight, *_) = convolution(graph, conv), graph.operands(conv)
    if op.auto_pad == "NOTSET":
        return op
    assert isinstance(op, (Conv, ConvTranspose))
    assert x is not None
    assert weight is not None
    pads = op.padded_explicitly(graph.type(x), graph.type(weight))
    return None if pads is None else replace(op, pads=pads, auto_pad="NOTSET")


def _step(alive: Array, *, axis: int) -> int:
    """The largest step that meets all living taps of an axis and its last one."""
    along = np.flatnonzero(alive.any(axis=tuple(other for other in range(alive.ndim) if other != axis)))
    return max(1, gcd(alive.shape[axis] - 1, *(int(place) for place in along)))
