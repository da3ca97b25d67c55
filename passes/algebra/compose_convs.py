"""Make one convolution of two in a row.

    conv(conv(x, W, b), V, c)  ->  conv(x, V ∗ W, V·b + c)
    conv(conv(x, W, b), V, c; pads q)  ->  conv(x, V ∗ W, c) + m        m = conv(b everywhere, V; pads q)
    (V ∗ W)[o, a, n]  =  Σ V[o, m, i] · W[m, a, j]   over all m and all i, j with s·e·i + d·j = n

m are the channels between, s and d the stride and the dilation of the first, e the dilation of the second.
Pads become p + s·q, strides multiply; the groups that both have in common stay. The second convolution's
padding, q, is zeros, where the first would go on computing: so there is none, or no window out there reaches
the image, as no 1×1's does. A bias would go on, too: what it adds where the second meets fewer of it is then
a map of known size, m. Exact in real arithmetic; floating point differs by reassociation only.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import gcd
from typing import ClassVar, NamedTuple

import numpy as np

from convgraph.analysis.cost import node_cost
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, Conv, Op
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.border import border_map, is_blank_beyond, known_sizes, map_bytes
from convgraph.passes.algebra.outer_taps import convolution, known_pads
from convgraph.passes.algebra.tap_grid import blocks, common_step, flat, places
from convgraph.passes.fusion.after_convolution import is_finite, weights
from convgraph.passes.rewrite import Measure, PricedRewrite, requirement, target_cost


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvChain:
    """A convolution, and another one of its result."""

    first: int
    second: int


class _Axis(NamedTuple):
    """One spatial axis: taps, stride and dilation of both convolutions."""

    kernel: int
    stride: int
    dilation: int
    next_kernel: int
    next_stride: int
    next_dilation: int

    @property
    def leap(self) -> int:
        """How far apart the first's windows are for neighbouring taps of the second."""
        return self.stride * self.next_dilation

    @property
    def reach(self) -> int:
        """How far the first's last tap is from its first one."""
        return self.dilation * (self.kernel - 1)

    @property
    def step(self) -> int:
        """The dilation of the two as one."""
        return common_step((self.leap * (self.next_kernel > 1), self.dilation * (self.kernel > 1)))

    @property
    def size(self) -> int:
        """The taps of the two as one."""
        return (self.leap * (self.next_kernel - 1) + self.reach) // self.step + 1


@dataclass(frozen=True, kw_only=True)
class ComposeConvs(PricedRewrite[ConvChain]):
    """Make one convolution of two in a row."""

    name: ClassVar[str] = "compose-convs"
    roots: ClassVar[tuple[type[Op], ...]] = (Conv,)
    measure: ClassVar[Measure] = staticmethod(target_cost)

    size_limit: int = 1 << 20

    def find(self, graph: Graph, node: int) -> ConvChain | None:
        """A convolution of a convolution; together no more multiplications than apart."""
        between = graph.operand(node, 0)
        if between is None or not isinstance(graph.producer(between), Conv):
            return None
        m = ConvChain(first=between.node, second=node)
        shapes = [_shape(graph, conv) for conv in (m.first, m.second)]
        if None in shapes or not all(np.prod(shape) for shape in shapes if shape):
            return None
        apart = [node_cost(graph, conv).macs for conv in (m.first, m.second)]
        together = apart[1] * _numbers(graph, m) // int(np.prod(shapes[1] or ()))
        return m if together <= sum(apart) else None

    @requirement
    def the_first_has_no_activation(self, graph: Graph, m: ConvChain) -> bool:
        """No activation has been fused into the first convolution."""
        return convolution(graph, m.first).activation is None

    @requirement
    def the_weights_are_constant(self, graph: Graph, m: ConvChain) -> bool:
        """Both convolutions' weights and biases are constants that no caller can override."""
        operands = (value for conv in (m.first, m.second) for value in graph.operands(conv)[1:3])
        return all(graph.constant(value) is not None for value in operands if value is not None)

    @requirement
    def the_pads_are_known(self, graph: Graph, m: ConvChain) -> bool:
        """Both paddings are given as numbers, or follow from sizes that are known."""
        return all(known_pads(graph, conv) is not None for conv in (m.first, m.second))

    @requirement
    def no_window_beyond_the_border_meets_the_image(self, graph: Graph, m: ConvChain) -> bool:
        """The second has no padding, or the first sees only zeros beyond its border."""
        after = known_pads(graph, m.second)
        assert after is not None
        return is_blank_beyond(graph, m.first, after)

    @requirement
    def the_sizes_are_known(self, graph: Graph, m: ConvChain) -> bool:
        """The second has no padding, the first no bias, or the spatial sizes are numbers."""
        return not _takes_a_map(graph, m) or known_sizes(graph, Value(m.first, 0)) is not None

    @requirement
    def the_map_is_small(self, graph: Graph, m: ConvChain) -> bool:
        """What the bias makes at the borders is a map of at most ``size_limit`` bytes."""
        size = map_bytes(graph, Value(m.second, 0))
        return not _takes_a_map(graph, m) or (size is not None and size <= self.size_limit)

    @requirement
    def the_new_weights_are_finite(self, graph: Graph, m: ConvChain) -> bool:
        """The new weight and bias stay within the range of their element type."""
        added = [_map(graph, m)] if _takes_a_map(graph, m) else []
        return all(is_finite(array) for array in (*_composed(graph, m), *added) if array is not None)

    def replaces(self, graph: Graph, match: ConvChain) -> tuple[int, ...]:
        """Both convolutions."""
        return (match.first, match.second)

    def apply(self, edit: Edit, m: ConvChain) -> None:
        """Convolve once, with the composed kernel."""
        graph, last, axes = edit.graph, convolution(edit.graph, m.second), _axes(edit.graph, m)
        _, old_weight, *rest = graph.operands(m.second)
        bias = rest[0] if rest else None
        before, after = known_pads(graph, m.first), known_pads(graph, m.second)
        assert before is not None
        assert after is not None
        leaps, mapped = [axis.stride for axis in axes] * 2, _takes_a_map(graph, m)
        op = replace(
            last,
            strides=tuple(axis.stride * axis.next_stride for axis in axes),
            dilations=tuple(axis.step for axis in axes),
            pads=tuple(p + s * q for p, s, q in zip(before, leaps, after, strict=True)),
            group=_groups(graph, m),
            auto_pad="NOTSET",
            activation=None if mapped else last.activation,
        )
        weight, new_bias = _composed(graph, m)
        operands = [
            graph.operand(m.first, 0),
            edit.constant(weight, like=old_weight),
            bias if new_bias is None else edit.constant(new_bias, like=bias or old_weight),
        ]
        y = edit.add(op, *operands, *(() if mapped else rest[1:]), like=m.second)
        if mapped:
            y = edit.add(Add(), y, edit.constant(_map(graph, m), name="border_map"))
            y = y if last.activation is None else edit.add(last.activation, y, *rest[1:])
        edit.replace(Value(m.second, 0), y)


def _shape(graph: Graph, conv: int) -> tuple[int, ...] | None:
    weight = graph.operand(conv, 1)
    return None if weight is None else graph.type(weight).static_shape


def _groups(graph: Graph, m: ConvChain) -> int:
    return gcd(*(convolution(graph, conv).group for conv in (m.first, m.second)))


def _axes(graph: Graph, m: ConvChain) -> list[_Axis]:
    windows: list[Iterator[tuple[int, ...]]] = []
    for conv in (m.first, m.second):
        op, shape = convolution(graph, conv), _shape(graph, conv)
        assert shape is not None
        windows.append(zip(shape[2:], op.strides, op.dilations, strict=True))
    return [_Axis(*before, *after) for before, after in zip(*windows, strict=True)]


def _numbers(graph: Graph, m: ConvChain) -> int:
    """How many numbers the composed weight has."""
    first, second = (_shape(graph, conv) for conv in (m.first, m.second))
    assert first is not None
    assert second is not None
    inside = first[1] * convolution(graph, m.first).group // _groups(graph, m)
    return second[0] * inside * int(np.prod([axis.size for axis in _axes(graph, m)]))


def _takes_a_map(graph: Graph, m: ConvChain) -> bool:
    """Whether a bias of the first is not the same in all windows of the second."""
    bias = weights(graph, m.first)[2]
    return bias is not None and bool(bias.any()) and max(known_pads(graph, m.second) or (0,)) > 0


def _map(graph: Graph, m: ConvChain) -> Array:
    """What the first's bias adds to each output element."""
    op, sizes, pads = (
        convolution(graph, m.second),
        known_sizes(graph, Value(m.first, 0)),
        known_pads(graph, m.second),
    )
    (_, _, shift), (_, outer, _) = (weights(graph, conv) for conv in (m.first, m.second))
    assert sizes is not None
    assert pads is not None
    assert shift is not None
    still = replace(op, pads=pads, auto_pad="NOTSET", activation=None)
    with np.errstate(over="ignore", invalid="ignore"):  # refused as not finite
        return border_map(still, shift.astype(np.float64), outer, sizes=sizes).astype(outer.dtype)


def _composed(graph: Graph, m: ConvChain) -> tuple[Array, Array | None]:
    """The new weight, and the new bias where it changes."""
    (first, inner, shift), (second, outer, bias) = (weights(graph, conv) for conv in (m.first, m.second))
    into = _groups(graph, m)
    taps = blocks(inner, group=first.group, into=into)
    mixed = blocks(outer, group=second.group, into=into)
    with np.errstate(over="ignore", invalid="ignore"):  # refused as not finite
        weight = flat(_convolved(taps, mixed, _axes(graph, m))).astype(outer.dtype)
        if shift is None or not shift.any() or _takes_a_map(graph, m):
            return weight, None
        summed = mixed.sum(axis=tuple(range(3, mixed.ndim)))
        added = (summed @ shift.astype(np.float64).reshape(into, -1, 1)).reshape(-1)
        new_bias = added if bias is None else bias.astype(np.float64) + added
        return weight, new_bias.astype(outer.dtype)


def _convolved(first: Array, second: Array, axes: list[_Axis]) -> Array:
    """V ∗ W of W (groups, M, A, *k) and V (groups, O, M, *l): (groups, O, A, *sizes)."""
    groups, between, inside, *kernel = first.shape
    whole = np.zeros((groups, second.shape[1], inside, *(axis.size for axis in axes)))
    steps = [axis.dilation // axis.step if axis.kernel > 1 else 1 for axis in axes]
    for tap in np.ndindex(*second.shape[3:]):
        seen = second[:, :, :, *tap] @ first.reshape(groups, between, -1)
        begins = [n * axis.leap // axis.step for n, axis in zip(tap, axes, strict=True)]
        where = places(begins, steps=steps, sizes=kernel)
        whole[:, :, :, *where] += seen.reshape(groups, -1, inside, *kernel)
    return whole
