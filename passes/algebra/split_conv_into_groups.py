"""Split a convolution into groups along the zeros of a block-diagonal weight.

    conv(x, diag(W₁, …, Wₕ), b; group = g)  ->  conv(x, [W₁; …; Wₕ], b; group = g·h)

W is block-diagonal when, in every group, the first 1/h of the output channels reads nothing but the first 1/h
of the input channels, and so on: everything else is exactly zero. h is the largest such number. Conv and
ConvTranspose (the bilinear upsamplings of fully convolutional networks are dense and diagonal), any number of
spatial axes. Blocks that only another order of channels would show are not looked for. Exact: what goes are
products with zero, of finite inputs.
"""

from dataclasses import dataclass, replace
from math import gcd
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Convolution, Op
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.constant_weight import (
    LooksIntoWeight,
    WeightedConv,
    constant_weight,
    convolution,
    weight_at,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDiagonalConv(WeightedConv):
    """A convolution, and into how many blocks each of its groups falls."""

    blocks: int


@dataclass(frozen=True, kw_only=True)
class SplitConvIntoGroups(LooksIntoWeight[BlockDiagonalConv]):
    """Split a convolution into groups along the zeros of a block-diagonal weight."""

    name: ClassVar[str] = "split-conv-into-groups"
    roots: ClassVar[tuple[type[Op], ...]] = (Convolution,)
    needs_a_judge: ClassVar[bool] = True

    def find(self, graph: Graph, node: int) -> BlockDiagonalConv | None:
        """A convolution whose groups' weights all fall into blocks."""
        array, op = weight_at(graph, node), convolution(graph, node)
        if array is None or not array.size:
            return None
        rows, columns = _block_shape(op, array)
        counts = [h for h in range(gcd(rows, columns), 1, -1) if gcd(rows, columns) % h == 0]
        if not counts or np.all(array[0, :, ...] != 0):  # most weights: no need to look further
            return None
        linked = (array != 0).any(axis=tuple(range(2, array.ndim))).reshape(op.group, rows, columns)
        blocks = next((h for h in counts if _is_block_diagonal(linked, blocks=h)), None)
        return None if blocks is None else BlockDiagonalConv(conv=node, blocks=blocks)

    def apply(self, edit: Edit, m: BlockDiagonalConv) -> None:
        """Put a convolution with more groups and the blocks alone in its place."""
        graph, op = edit.graph, convolution(edit.graph, m.conv)
        x, _, *rest = graph.operands(m.conv)
        weight, array = constant_weight(graph, m.conv)
        rows, columns = _block_shape(op, array)
        h, kernel = m.blocks, array.shape[2:]
        blocks = array.reshape(op.group, h, rows // h, h, columns // h, *kernel)
        diagonal = np.moveaxis(np.diagonal(blocks, axis1=1, axis2=3), -1, 1)
        packed = edit.constant(diagonal.reshape(len(array), columns // h, *kernel), like=weight)
        grouped = edit.add(replace(op, group=op.group * h), x, packed, *rest, like=m.conv)
        edit.replace(graph.results(m.conv)[0], grouped)


def _block_shape(op: Convolution, weight: Array) -> tuple[int, int]:
    """Rows and columns of one group's part of the weight: output by input channels, or the other way round.

    Conv's weight is (M, C/group, …) and ConvTranspose's (C, M/group, …): both hold the groups along axis 0.
    """
    return weight.shape[0] // op.group, weight.shape[1]


def _is_block_diagonal(linked: Array, *, blocks: int) -> bool:
    """Whether booleans (group, rows, columns) are false off the diagonal of ``blocks``² parts."""
    group, rows, columns = linked.shape
    parts = linked.reshape(group, blocks, rows // blocks, blocks, columns // blocks).any(axis=(0, 2, 4))
    return not (parts & ~np.eye(blocks, dtype=bool)).any()
