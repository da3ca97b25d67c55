"""Average and convolve at once.

    averagepool(conv(x, W, b; stride s); k taps, stride t)  ->  conv(x, W ∗ box, b; stride s·t)
    (W ∗ box)[o, c, n]  =  Σ W[o, c, j] / k   over all j and all i < k with s·e·i + d·j = n

on each spatial axis; d is the dilation of the convolution, e that of the pool. The kernel is wider, and the
convolution's own result is never computed: of a 3×3 one averaged over 2×2 comes a 4×4 one at a quarter of the
places. Exact in real arithmetic, where a window fits: of less, runtimes average what there is, but convolve
nothing.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import AveragePool, Conv, Op
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.constant_weight import LooksIntoWeight, WeightedConv, constant_weight
from convgraph.passes.algebra.outer_taps import convolution, known_pads
from convgraph.passes.algebra.tap_grid import common_step, places
from convgraph.passes.fusion.sliced import least
from convgraph.passes.rewrite import PricedRewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragedConv(WeightedConv):
    """A convolution, and the pool of its result."""

    pool: int


@dataclass(frozen=True, kw_only=True)
class ComposeAveragePoolIntoConv(LooksIntoWeight[AveragedConv], PricedRewrite[AveragedConv]):
    """Average and convolve at once."""

    name: ClassVar[str] = "compose-average-pool-into-conv"
    roots: ClassVar[tuple[type[Op], ...]] = (AveragePool,)

    def find(self, graph: Graph, node: int) -> AveragedConv | None:
        """A mean over windows of a convolution's result."""
        value = graph.operand(node, 0)
        if value is None or not isinstance(graph.producer(value), Conv):
            return None
        return AveragedConv(conv=value.node, pool=node)

    @requirement
    def no_activation_stands_between(self, graph: Graph, m: AveragedConv) -> bool:
        """The convolution has no activation."""
        return convolution(graph, m.conv).activation is None

    @requirement
    def every_window_is_whole(self, graph: Graph, m: AveragedConv) -> bool:
        """The pool has no padding, and leaves out what would not fill a window."""
        op = _pool(graph, m)
        pads = op.padded_explicitly(graph.type(Value(m.conv, 0)))
        return pads is not None and not any(pads) and not op.ceil_mode

    @requirement
    def a_window_fits_whatever_the_size(self, graph: Graph, m: AveragedConv) -> bool:
        """The convolution's result is never smaller than the pool's window, whatever sizes are left open."""
        op, averaged = _pool(graph, m), graph.type(Value(m.conv, 0))
        reaches = [e * (k - 1) + 1 for k, e in zip(op.kernel_shape, op.dilations, strict=True)]
        return all(least(averaged.dim(2 + axis)) >= reach for axis, reach in enumerate(reaches))

    @requirement
    def the_pads_are_known(self, graph: Graph, m: AveragedConv) -> bool:
        """The convolution's padding is given as numbers, or follows from sizes that are known."""
        return known_pads(graph, m.conv) is not None

    def replaces(self, graph: Graph, match: AveragedConv) -> tuple[int, ...]:
        """The convolution and the pool."""
        return (match.conv, match.pool)

    def apply(self, edit: Edit, m: AveragedConv) -> None:
        """Put one convolution with the averaged kernel in the place of both."""
        graph, op, pool = edit.graph, convolution(edit.graph, m.conv), _pool(edit.graph, m)
        x, weight, *rest = graph.operands(m.conv)
        pads = known_pads(graph, m.conv)
        assert pads is not None
        kernel, steps = _averaged(op, constant_weight(graph, m.conv)[1], pool)
        strides = tuple(s * t for s, t in zip(op.strides, pool.strides, strict=True))
        wide = replace(op, strides=strides, dilations=steps, pads=pads, auto_pad="NOTSET")
        y = edit.add(wide, x, edit.constant(kernel, like=weight), *rest, like=m.conv)
        edit.replace(Value(m.pool, 0), y)


def _pool(graph: Graph, m: AveragedConv) -> AveragePool:
    op = graph.op(m.pool)
    assert isinstance(op, AveragePool)
    return op


def _averaged(op: Conv, weight: Array, pool: AveragePool) -> tuple[Array, tuple[int, ...]]:
    """The weight of both at once, and its dilations."""
    kernel, taps = weight.shape[2:], pool.kernel_shape
    leaps = tuple(s * e for s, e in zip(op.strides, pool.dilations, strict=True))
    axes = list(zip(kernel, op.dilations, taps, leaps, strict=True))
    steps = tuple(common_step((d * (k > 1), leap * (n > 1))) for k, d, n, leap in axes)
    sizes = [
        (d * (k - 1) + leap * (n - 1)) // step + 1 for (k, d, n, leap), step in zip(axes, steps, strict=True)
    ]
    whole = np.zeros((*weight.shape[:2], *sizes))
    apart = [d // step if k > 1 else 1 for k, d, step in zip(kernel, op.dilations, steps, strict=True)]
    for tap in np.ndindex(*taps):
        begins = [i * leap // step for i, leap, step in zip(tap, leaps, steps, strict=True)]
        whole[:, :, *places(begins, steps=apart, sizes=kernel)] += weight.astype(np.float64)
    return (whole / np.prod(taps)).astype(weight.dtype), steps
