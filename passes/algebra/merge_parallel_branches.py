"""Make one convolution of two branches that read the same value and are added.

    conv(x, W, b) ± conv(x, V, c)  ->  conv(x, W ± V, b ± c)

the kernels laid on one grid, tap on tap of the same place; likewise when the sum has further terms. A branch
may be x itself, whose kernel is a single one, an AveragePool, whose kernel is a box, or either of them
behind a scale or a batch normalisation. Strides have to be the same, groups in common stay. Of a very long
sum the two have to stand close together. Exact in real arithmetic; floating point differs by reassociation
only.

Source: Ding et al., RepVGG (2021), 3.3; Ding et al., Diverse Branch Block (2021), 3.1.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import permutations
from math import gcd, prod
from typing import ClassVar, NamedTuple

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, AveragePool, Conv, Op, Sub, Sum
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.branches import Branch, branches, is_constant, is_convolution, kernel_and_bias
from convgraph.passes.algebra.tap_grid import blocks, common_step, flat, places
from convgraph.passes.fusion.after_convolution import is_finite
from convgraph.passes.rewrite import Measure, PricedRewrite, requirement, target_cost

_MOST_TERMS = 32
"""Looked at together: a merger looks at all of them, and a sum of thousands may have thousands of mergers."""


class Term(NamedTuple):
    """A value that is added, or subtracted: sign −1."""

    value: Value
    sign: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedBranches:
    """A sum, the additions that compute it, two terms of it as branches, and the other terms.

    The first branch is a convolution. ``signs`` are those of the two.
    """

    result: Value
    sums: tuple[int, ...]
    pair: tuple[Branch, Branch]
    signs: tuple[int, int]
    rest: tuple[Term, ...]


class _Grid(NamedTuple):
    """One axis of the taps that two kernels have together, places counted from the image's border."""

    begin: int
    step: int
    size: int


@dataclass(frozen=True, kw_only=True)
class MergeParallelBranches(PricedRewrite[AddedBranches]):
    """Make one convolution of two branches that read the same value and are added."""

    name: ClassVar[str] = "merge-parallel-branches"
    roots: ClassVar[tuple[type[Op], ...]] = (Add, Sub, Sum)
    measure: ClassVar[Measure] = staticmethod(target_cost)

    def find(self, graph: Graph, node: int) -> AddedBranches | None:
        """The two terms of a sum whose merger adds the fewest multiplications.

        The sum is no part of a longer one, or else the longer one has too many terms to look at together.
        """
        reader = graph.sole_reader(Value(node, 0))
        terms, sums = _flattened(graph, node)
        if reader is not None and isinstance(graph.op(reader.node), self.roots) and len(terms) < _MOST_TERMS:
            return None
        if not any(isinstance(graph.producer(term.value), Conv) for term in terms):
            return None  # no pair has a plain convolution
        pairs = list(_pairs(graph, terms))
        if not pairs:
            return None
        i, j, one, two = min(
            pairs, key=lambda pair: (not _constant(graph, *pair[2:]), _growth(graph, *pair[2:]))
        )
        return AddedBranches(
            result=Value(node, 0),
            sums=sums,
            pair=(one, two),
            signs=(terms[i].sign, terms[j].sign),
            rest=tuple(term for n, term in enumerate(terms) if n not in (i, j)),
        )

    @requirement
    def the_branches_are_constant(self, graph: Graph, m: AddedBranches) -> bool:
        """Weights, scales and statistics are constants, per channel, that no caller can override."""
        return _constant(graph, *m.pair)

    @requirement
    def the_branches_have_one_size(self, graph: Graph, m: AddedBranches) -> bool:
        """Neither branch is broadcast: they have the same channels and always the same sizes."""
        one, two = m.pair
        sizes = [graph.type(branch.value).shape for branch in m.pair]
        known = all(isinstance(size, int) for shape in sizes for size in (shape or (None,))[2:])
        alike = one.slack == two.slack or (known and sizes[0] == sizes[1])
        return one.channels == two.channels and alike

    @requirement
    def every_pooled_window_counts_alike(self, graph: Graph, m: AddedBranches) -> bool:
        """A pool divides by the same number everywhere: it has no padding, or counts it."""
        pools = (
            (branch, op)
            for branch in m.pair
            if branch.node is not None and isinstance(op := graph.op(branch.node), AveragePool)
        )
        return all(op.count_include_pad or not any(branch.window.pads) for branch, op in pools)

    @requirement
    def the_new_weights_are_finite(self, graph: Graph, m: AddedBranches) -> bool:
        """The new weight and bias stay within the range of their element type."""
        return all(is_finite(array) for array in _merged(graph, m) if array is not None)

    def replaces(self, graph: Graph, match: AddedBranches) -> tuple[int, ...]:
        """Both branches and the sum."""
        return (*{node for branch in match.pair for node in branch.nodes}, *match.sums)

    def apply(self, edit: Edit, m: AddedBranches) -> None:
        """Convolve once, and add what else is added."""
        graph, conv = edit.graph, m.pair[0].node
        assert conv is not None
        _, old_weight, *bias = graph.operands(conv)
        weight, shift = _merged(graph, m)
        operands = [edit.constant(weight, like=old_weight)]
        if shift is not None:
            operands.append(edit.constant(shift, like=(bias[0] if bias else None) or old_weight))
        like = None if graph.sole_reader(Value(conv, 0)) is None else conv
        merged = edit.add(_window(*m.pair), m.pair[0].source, *operands, like=like)
        edit.replace(m.result, _added(edit, merged, m))


def _flattened(graph: Graph, node: int) -> tuple[list[Term], tuple[int, ...]]:
    """The terms of a sum, those of sums that nothing else reads among them, and all these sums.

    Where there would be too many, sums are left as terms.
    """
    terms, sums, waiting = list[Term](), list[int](), [Term(Value(node, 0), 1)]
    while waiting:
        value, sign = waiting.pop()
        op = graph.producer(value)
        operands = [operand for operand in graph.operands(value.node) if operand is not None]
        many = len(terms) + len(waiting) + len(operands) > _MOST_TERMS
        if not isinstance(op, (Add, Sub, Sum)) or many or (sums and graph.sole_reader(value) is None):
            terms.append(Term(value, sign))
            continue
        sums.append(value.node)
        signs = (sign, -sign) if isinstance(op, Sub) else (sign,) * len(operands)
        waiting.extend(reversed([*map(Term, operands, signs)]))
    return terms, tuple(sums)


def _pairs(graph: Graph, terms: list[Term]) -> Iterator[tuple[int, int, Branch, Branch]]:
    """Two of the terms, by their numbers and as branches of one source; the first is a plain convolution.

    Of branches that differ in nothing but their weights, the first two stand for all.
    """
    alike: dict[tuple[Value, tuple[int, ...]], dict[object, list[tuple[int, Branch]]]] = {}
    for number, term in enumerate(terms):
        for branch in branches(graph, term.value):
            kinds = alike.setdefault((branch.source, branch.window.strides), {})
            kinds.setdefault(_kind(graph, branch), []).append((number, branch))
    for kinds in alike.values():
        candidates = [pair for kind in kinds.values() for pair in kind[:2]]
        for (i, one), (j, two) in permutations(candidates, 2):
            if i != j and is_convolution(graph, one) and not one.scalings:
                yield i, j, one, two


def _kind(graph: Graph, branch: Branch) -> object:
    plain = is_convolution(graph, branch) and not branch.scalings
    return plain, is_constant(graph, branch), branch.window, branch.kernel, branch.channels, branch.inside


def _constant(graph: Graph, one: Branch, two: Branch) -> bool:
    return is_constant(graph, one) and is_constant(graph, two)


def _growth(graph: Graph, one: Branch, two: Branch) -> int:
    """How many more numbers an output position is computed with when the two are one."""
    before = sum(b.channels * b.inside * prod(b.kernel) for b in (one, two) if is_convolution(graph, b))
    inside = one.inside * one.window.group // _groups(one, two)
    return one.channels * inside * prod(axis.size for axis in _grid(one, two)) - before


def _groups(one: Branch, two: Branch) -> int:
    return gcd(one.window.group, two.window.group)


def _grid(one: Branch, two: Branch) -> list[_Grid]:
    axes = []
    for n in range(len(one.kernel)):
        begins = [-branch.window.pads[n] for branch in (one, two)]
        last = max(begin + branch.reach[n] for begin, branch in zip(begins, (one, two), strict=True))
        steps = [branch.window.dilations[n] for branch in (one, two) if branch.kernel[n] > 1]
        step = common_step((*steps, begins[1] - begins[0]))
        axes.append(_Grid(min(begins), step, (last - min(begins)) // step + 1))
    return axes


def _window(one: Branch, two: Branch) -> Conv:
    """The first branch's convolution, for the kernel that the two have together."""
    grid = _grid(one, two)
    begins = [-axis.begin for axis in grid]
    reaches = (axis.step * (axis.size - 1) for axis in grid)
    ends = (slack + reach - begin for slack, reach, begin in zip(one.slack, reaches, begins, strict=True))
    steps = tuple(axis.step for axis in grid)
    return replace(one.window, pads=(*begins, *ends), dilations=steps, group=_groups(one, two))


def _merged(graph: Graph, m: AddedBranches) -> tuple[Array, Array | None]:
    """The new weight, and the new bias unless it is zero."""
    grid, into = _grid(*m.pair), _groups(*m.pair)
    parameters = [kernel_and_bias(graph, branch) for branch in m.pair]
    kernels = [
        blocks(k, group=b.window.group, into=into) for (k, _), b in zip(parameters, m.pair, strict=True)
    ]
    whole = np.zeros((*kernels[0].shape[:3], *(axis.size for axis in grid)))
    for branch, kernel, sign in zip(m.pair, kernels, m.signs, strict=True):
        whole[:, :, :, *_taps(branch, grid)] += sign * kernel
    bias = np.sum([sign * shift for (_, shift), sign in zip(parameters, m.signs, strict=True)], axis=0)
    dtype = graph.type(m.result).dtype.numpy
    with np.errstate(over="ignore"):  # refused as not finite
        return flat(whole).astype(dtype), bias.astype(dtype) if bias.any() else None


def _taps(branch: Branch, grid: list[_Grid]) -> tuple[slice, ...]:
    begins = [(-p - axis.begin) // axis.step for p, axis in zip(branch.window.pads, grid, strict=False)]
    steps = [max(1, d // axis.step) for d, axis in zip(branch.window.dilations, grid, strict=True)]
    return places(begins, steps=steps, sizes=branch.kernel)


def _added(edit: Edit, merged: Value, m: AddedBranches) -> Value:
    """The merged branches and the other terms: in one Sum where there was one, else one after the other."""
    graph, root = edit.graph, m.result.node
    if len(m.rest) > 1 and any(isinstance(graph.op(n), Sum) for n in m.sums) and not _subtracts(m):
        return edit.add(Sum(), merged, *(term.value for term in m.rest), like=root)
    for number, term in enumerate(m.rest, start=1):
        like = root if number == len(m.rest) else None
        merged = edit.add(Add() if term.sign > 0 else Sub(), merged, term.value, like=like)
    return merged


def _subtracts(m: AddedBranches) -> bool:
    return any(term.sign < 0 for term in m.rest)
