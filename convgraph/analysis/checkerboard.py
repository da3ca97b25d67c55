"""Checkerboard artifacts of transposed convolutions, measured from their weights.

A transposed convolution of stride s paints every s-th element of its output (one phase) with the same taps.
Where the filter size is not divisible by the stride, some phases get more paint than others: uneven overlap.
What counts in the end is what the taps of each phase add up to: if that differs, a flat input comes out
patterned.

Source: A. Odena, V. Dumoulin, C. Olah, "Deconvolution and Checkerboard Artifacts", Distill, 2016.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from convgraph.analysis.census import node_name
from convgraph.analysis.finding import Finding, known_weight, sizes_text
from convgraph.ir.graph import Graph
from convgraph.ir.ops import ConvTranspose
from convgraph.ir.tensor import Array

VISIBLE = 0.01
"""The amplitude from which a pattern is worth a finding."""

_RESIZE = "resize first (nearest-neighbour or bilinear), then convolve; retrain"


def phase_sums(op: ConvTranspose, weight: Array) -> Array:
    """What the taps of each phase add up to: weight (C, M/group, *kernel) -> (C, M/group, *strides)."""
    sums = weight.astype(np.float64)
    for axis in range(op.spatial_rank):
        moved = np.moveaxis(sums, 2 + axis, -1) @ _phases(op, axis, weight.shape[2 + axis])
        sums = np.moveaxis(moved, -1, 2 + axis)
    return sums


def amplitude(op: ConvTranspose, weight: Array) -> float:
    """How much of a flat input's image is pattern: 0 is none, 1 is nothing else.

    The root mean square deviation of the phase sums from their mean over the phases, relative to the root
    mean square of the phase sums, over all pairs of an input and an output channel. That is the ratio to
    expect where the levels of the input channels are independent.
    """
    sums = phase_sums(op, weight).reshape(*weight.shape[:2], -1)
    power = float(np.mean(np.square(sums)))
    return float(np.sqrt(np.mean(np.var(sums, axis=-1)) / power)) if power else 0.0


def find_checkerboards(graph: Graph, node: int) -> Iterator[Finding]:
    """Say so where a transposed convolution makes a checkerboard of a flat input, or may."""
    op, operand = graph.op(node), graph.operand(node, 1)
    kernel = None if operand is None else (graph.type(operand).shape or ())[2:]
    if not isinstance(op, ConvTranspose) or not kernel or max(op.strides) == 1:
        return
    sizes = tuple(size for size in kernel if isinstance(size, int))
    if len(sizes) != op.spatial_rank:
        return
    uneven = not _overlaps_evenly(op, sizes)
    weight = known_weight(graph, operand)
    strength = None if weight is None else amplitude(op, weight)
    if strength is None and not uneven:
        return
    if strength is not None and strength < VISIBLE:
        return
    yield Finding(
        rule="checkerboard",
        where=node_name(graph, node),
        what=f"{_cause(op, sizes, uneven=uneven)}; {_effect(strength)}",
        remedy=f"a filter size that the stride divides, or {_RESIZE}" if uneven else _RESIZE,
    )


def _phases(op: ConvTranspose, axis: int, size: int) -> Array:
    """Which tap falls on which phase: (size, stride), one 1 in each row."""
    return np.eye(op.strides[axis])[np.arange(size) * op.dilations[axis] % op.strides[axis]]


def _overlaps_evenly(op: ConvTranspose, kernel: tuple[int, ...]) -> bool:
    taps = (_phases(op, axis, size).sum(axis=0) for axis, size in enumerate(kernel))
    return all(a == b for counts in taps for a, b in pairwise(counts))


def _cause(op: ConvTranspose, kernel: tuple[int, ...], *, uneven: bool) -> str:
    size, stride = sizes_text(kernel), sizes_text(op.strides)
    if not uneven:
        return f"the phases of a filter of size {size} at stride {stride} have unequal sums"
    if all(k % s == 0 for k, s in zip(kernel, op.strides, strict=True)):
        dilation = sizes_text(op.dilations)
        return f"uneven overlap: filter size {size} at dilation {dilation} misses phases of stride {stride}"
    return f"uneven overlap: filter size {size} is not divisible by stride {stride}"


def _effect(strength: float | None) -> str:
    if strength is None:
        return "how strong depends on weights that are not constant"
    return f"a flat input gets a pattern of {strength:.0%} amplitude"
