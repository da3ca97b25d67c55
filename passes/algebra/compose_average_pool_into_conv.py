"""Average and convolve at once.

    averagepool(conv(x, W, b; stride s); k taps, stride t)  ->  conv(x, W ∗ box, b; stride s·t)
    averagepool(conv(x, W, b); pads q, counted)  ->  conv(x, W ∗ box) + m        m = averagepool(b everywhere)
    (W ∗ box)[o, c, n]  =  Σ W[o, c, j] / k   over all j and all i < k with s·e·i + d·j = n

on each spatial axis; d is the dilation of the convolution, e that of the pool. The kernel is wider, and the
convolution's own result is never computed: of a 3×3 one averaged over 2×2 comes a 4×4 one at a quarter of the
places. Padding of the pool counts as zeros, where the convolution would go on computing: no window out there
may reach the image, and what a bias adds is a map, as in compose_convs; beside another convolution of x the
two may then become one. Exact in real arithmetic, where a window fits: of less, runtimes average what there
is, but convolve nothing.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, AveragePool, Conv, Op
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.border import (
    border_map,
    is_blank_beyond,
    known_sizes,
    map_bytes,
    windows_fit,
)
from convgraph.passes.algebra.constant_weight import LooksIntoWeight, WeightedConv, constant_weight
from convgraph.passes.algebra.outer_taps import convolution, known_pads
from convgraph.passes.algebra.tap_grid import common_step, places
from convgraph.passes.fusion.after_convolution import weights
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

    size_limit: int = 1 << 20

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
    def every_mean_is_of_as_much(self, graph: Graph, m: AveragedConv) -> bool:
        """The pool has no padding or counts it, and leaves out what would not fill a window."""
        op, pads = _pool(graph, m), _pads(graph, m)
        return pads is not None and (not any(pads) or bool(op.count_include_pad)) and not op.ceil_mode

    @requirement
    def a_window_fits_whatever_the_size(self, graph: Graph, m: AveragedConv) -> bool:
        """The convolution's result is never smaller than the pool's window, whatever sizes are left open."""
        return windows_fit(_pool(graph, m), graph.type(Value(m.conv, 0)), _pads(graph, m) or ())

    @requirement
    def the_pads_are_known(self, graph: Graph, m: AveragedConv) -> bool:
        """The convolution's padding is given as numbers, or follows from sizes that are known."""
        return known_pads(graph, m.conv) is not None

    @requirement
    def no_window_beyond_the_border_meets_the_image(self, graph: Graph, m: AveragedConv) -> bool:
        """The pool has no padding, or the convolution sees only zeros beyond its border."""
        return is_blank_beyond(graph, m.conv, _pads(graph, m) or ())

    @requirement
    def the_bias_is_constant(self, graph: Graph, m: AveragedConv) -> bool:
        """Where padding is averaged in, the bias is a constant that no caller can override."""
        bias = graph.operand(m.conv, 2)
        return not any(_pads(graph, m) or ()) or bias is None or graph.constant(bias) is not None

    @requirement
    def the_sizes_are_known(self, graph: Graph, m: AveragedConv) -> bool:
        """The pool has no padding, the convolution no bias, or the spatial sizes are numbers."""
        return not _takes_a_map(graph, m) or known_sizes(graph, Value(m.conv, 0)) is not None

    @requirement
    def the_map_is_small(self, graph: Graph, m: AveragedConv) -> bool:
        """What the bias makes at the borders is a map of at most ``size_limit`` bytes."""
        size = map_bytes(graph, Value(m.pool, 0))
        return not _takes_a_map(graph, m) or (size is not None and size <= self.size_limit)

    def replaces(self, graph: Graph, match: AveragedConv) -> tuple[int, ...]:
        """The convolution and the pool."""
        return (match.conv, match.pool)

    def apply(self, edit: Edit, m: AveragedConv) -> None:
        """Put one convolution with the averaged kernel in the place of both."""
        graph, op, pool = edit.graph, convolution(edit.graph, m.conv), _pool(edit.graph, m)
        x, weight, *rest = graph.operands(m.conv)
        before, after = known_pads(graph, m.conv), _pads(graph, m)
        assert before is not None
        assert after is not None
        kernel, steps = _averaged(op, constant_weight(graph, m.conv)[1], pool)
        strides = tuple(s * t for s, t in zip(op.strides, pool.strides, strict=True))
        pads = tuple(p + s * q for p, s, q in zip(before, op.strides * 2, after, strict=True))
        wide = replace(op, strides=strides, dilations=steps, pads=pads, auto_pad="NOTSET")
        mapped = _takes_a_map(graph, m)
        y = edit.add(wide, x, edit.constant(kernel, like=weight), *(() if mapped else rest), like=m.conv)
        if mapped:
            y = edit.add(Add(), y, edit.constant(_map(graph, m), name="border_map"))
        edit.replace(Value(m.pool, 0), y)


def _pads(graph: Graph, m: AveragedConv) -> tuple[int, ...] | None:
    """The pool's pads as numbers; None while they depend on an unknown size."""
    return _pool(graph, m).padded_explicitly(graph.type(Value(m.conv, 0)))


def _takes_a_map(graph: Graph, m: AveragedConv) -> bool:
    """Whether a bias is averaged with padding somewhere."""
    bias = graph.constant(graph.operand(m.conv, 2))
    return any(_pads(graph, m) or ()) and bias is not None and bool(bias.numpy().any())


def _map(graph: Graph, m: AveragedConv) -> Array:
    """What the bias adds to each output element."""
    _, weight, bias = weights(graph, m.conv)
    sizes, pads = known_sizes(graph, Value(m.conv, 0)), _pads(graph, m)
    assert bias is not None
    assert sizes is not None
    assert pads is not None
    still = replace(_pool(graph, m), pads=pads, auto_pad="NOTSET")
    return border_map(still, bias.astype(np.float64), sizes=sizes).astype(weight.dtype)


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
