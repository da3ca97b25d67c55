"""Weights that do nothing, or the same thing twice: dead and duplicate channels, dead taps."""

from collections.abc import Iterator

import numpy as np

from convgraph.analysis.census import node_name
from convgraph.analysis.finding import Finding, by_output_channel, known_weight, sizes_text
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, ConvTranspose
from convgraph.ir.tensor import Array

_LISTED = 6  # channels to name before the rest are only counted


def find_idle_weights(graph: Graph, node: int) -> Iterator[Finding]:
    """Say which output channels and which border taps of a convolution could go."""
    op = graph.op(node)
    if not isinstance(op, (Conv, ConvTranspose)):
        return
    weight = known_weight(graph, graph.operand(node, 1))
    if weight is None or not weight.size:
        return
    where = node_name(graph, node)
    filters = by_output_channel(op, weight)
    bias = graph.operand(node, 2)
    shifts = np.zeros(len(filters)) if bias is None else known_weight(graph, bias)
    if shifts is not None:
        yield from _dead_channels(where, filters, shifts)
        yield from _duplicates(where, op, filters, shifts)
    yield from _dead_taps(where, filters)


def _dead_channels(where: str, filters: Array, shifts: Array) -> Iterator[Finding]:
    dead = [int(c) for c in np.flatnonzero(~filters.reshape(len(filters), -1).any(axis=1) & (shifts == 0))]
    if dead:
        yield Finding(
            rule="dead-channels",
            where=where,
            what=f"{_of(dead, len(filters))} always 0: weights and bias are zero",
            remedy="prune them here, and what reads them in the layers that follow",
            rewrite="drop-redundant-channels",
        )


def _duplicates(where: str, op: Conv | ConvTranspose, filters: Array, shifts: Array) -> Iterator[Finding]:
    per_group = len(filters) // op.group
    first: dict[tuple[int, bytes, bytes], int] = {}
    repeated: dict[int, int] = {}
    for channel, (kernel, shift) in enumerate(zip(filters + 0.0, shifts + 0.0, strict=True)):
        if not kernel.any():
            continue
        # Equal filters of different groups read different channels.
        key = (channel // per_group, kernel.tobytes(), shift.tobytes())
        original = first.setdefault(key, channel)
        if original != channel:
            repeated[channel] = original
    if repeated:
        yield Finding(
            rule="duplicate-channels",
            where=where,
            what=f"{_of(list(repeated), len(filters))} the same as an earlier one ({_pairs(repeated)})",
            remedy="keep the earlier ones and add up the weights that read them in the layers that follow",
            rewrite="drop-redundant-channels",
        )


def _dead_taps(where: str, filters: Array) -> Iterator[Finding]:
    used = filters.any(axis=(0, 1))
    if not used.any():
        return
    corners = np.argwhere(used)
    left = tuple(int(size) for size in np.ptp(corners, axis=0) + 1)
    if left == used.shape:
        return
    saved = 1 - np.prod(left) / used.size
    yield Finding(
        rule="dead-taps",
        where=where,
        what=f"filters of {sizes_text(used.shape)} are zero outside {sizes_text(left)}: "
        f"{saved:.0%} of the multiplications are by zero",
        remedy="crop the zero rows and columns, and the pads with them",
        rewrite="crop-dead-taps",
    )


def _of(channels: list[int], total: int) -> str:
    listed = ", ".join(map(str, channels[:_LISTED])) + (", …" if len(channels) > _LISTED else "")
    return f"{len(channels)} of {total} output channels ({listed}) are"


def _pairs(repeated: dict[int, int]) -> str:
    pairs = [f"{channel} = {original}" for channel, original in repeated.items()]
    return ", ".join(pairs[:_LISTED]) + (", …" if len(pairs) > _LISTED else "")
