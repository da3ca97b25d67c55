"""Split a convolution into groups along the zeros of its weight.

    conv(x, W, b; group = g)  ->  conv(x[:, π], W′, b[σ]; group = h)[:, σ⁻¹]
    W′[o, j]  =  W[σ(o), π(i)], i the j-th input channel of the group of o

when the channels fall into h > g equal groups such that no output channel of one has to do with an input
channel of another: the weight is exactly zero there, and block-diagonal once its rows are in the order σ and
its columns in the order π. Blocks that lie on the diagonal already are looked for first; the orders are then
left out. Otherwise the components of linked channels are put together into equal groups, and neighbouring
convolutions may take over the orders. Conv and ConvTranspose (the bilinear upsamplings of fully convolutional
networks are dense and diagonal), any number of spatial axes. Exact: what goes are products with zero, of
finite inputs. A few multiplications in many groups may take longer than many in one, so that a target has to
judge: onnxruntime, one thread, is 1 to 5 times as fast from 64 channels and three million spared
multiplications on, 0.7 to 2 times below (measured).

Source: Zhang et al., Interleaved Group Convolutions for Deep Neural Networks (2017), section 3.1, where a
grouped convolution is one with a block-diagonal weight.
"""

from dataclasses import dataclass, replace
from itertools import chain
from math import gcd
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Convolution, ConvTranspose, Gather, Op
from convgraph.ir.tensor import Array, Tensor
from convgraph.passes.algebra.constant_weight import (
    LooksIntoWeight,
    WeightedConv,
    constant_weight,
    convolution,
    seen_once,
    weight_tensor,
)
from convgraph.passes.algebra.linked_channels import equal_parts
from convgraph.passes.fusion.channel_order import with_order
from convgraph.passes.fusion.channelwise_ops import has_no_channels
from convgraph.passes.fusion.ordered_weights import with_channels
from convgraph.passes.rewrite import PricedRewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDiagonalConv(WeightedConv):
    """A convolution, how many groups it falls into, and the orders in which rows and columns show them.

    Rows are the channels along axis 0 of the weight: the output channels of a Conv, the input channels of a
    ConvTranspose. Columns are the others, all groups' together.
    """

    group: int
    rows: tuple[int, ...]
    columns: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class SplitConvIntoGroups(LooksIntoWeight[BlockDiagonalConv], PricedRewrite[BlockDiagonalConv]):
    """Split a convolution into groups along the zeros of its weight."""

    name: ClassVar[str] = "split-conv-into-groups"
    roots: ClassVar[tuple[type[Op], ...]] = (Convolution,)

    def find(self, graph: Graph, node: int) -> BlockDiagonalConv | None:
        """A convolution whose weight is block-diagonal in some order of its channels."""
        weight, op = weight_tensor(graph, node), convolution(graph, node)
        if weight is None or not weight.size or gcd(weight.shape[0], weight.shape[1] * op.group) <= op.group:
            return None
        if _is_linked_throughout(weight):
            return None
        array = weight.numpy()
        linked = (array != 0).any(axis=tuple(range(2, array.ndim)))
        blocks = linked.reshape(op.group, -1, linked.shape[1])
        return _in_order(node, blocks) or _in_another_order(node, blocks)

    @requirement
    def its_activation_knows_no_channels(self, graph: Graph, m: BlockDiagonalConv) -> bool:
        """Where output channels change places, no fused activation has parameters for each of them."""
        _, outgoing = _orders(graph, m)
        return _is_identity(outgoing) or has_no_channels(graph, m.conv)

    def replaces(self, graph: Graph, match: BlockDiagonalConv) -> tuple[int, ...]:
        """The convolution."""
        return (match.conv,)

    def apply(self, edit: Edit, m: BlockDiagonalConv) -> None:
        """Put a convolution with more groups and the blocks alone in its place."""
        graph, op = edit.graph, convolution(edit.graph, m.conv)
        x, _, *rest = graph.operands(m.conv)
        weight, array = constant_weight(graph, m.conv)
        incoming, outgoing = _orders(graph, m)
        packed = edit.constant(_packed(array, m, group=op.group), like=weight)
        assert x is not None
        bias = [value and _reordered(edit, value, outgoing) for value in rest[:1]]
        given = with_order(edit, x, incoming)
        y = edit.add(replace(op, group=m.group), given, packed, *bias, *rest[1:], like=m.conv)
        edit.replace(graph.results(m.conv)[0], with_order(edit, y, np.argsort(outgoing).tolist()))


@seen_once
def _is_linked_throughout(weight: Tensor) -> bool:
    """Whether the first row has to do with all columns of its group, as in most weights."""
    first = weight.numpy()[0]
    return bool((first != 0).any(axis=tuple(range(1, first.ndim))).all())


def _in_order(node: int, linked: Array) -> BlockDiagonalConv | None:
    """The blocks (group, rows, columns) of a weight in smaller ones on their diagonals."""
    group, rows, columns = linked.shape
    common = gcd(rows, columns)
    counts = (h for h in range(common, 1, -1) if common % h == 0)
    found = next((h for h in counts if _is_block_diagonal(linked, blocks=h)), None)
    if found is None:
        return None
    return BlockDiagonalConv(
        conv=node, group=group * found, rows=tuple(range(group * rows)), columns=tuple(range(group * columns))
    )


def _is_block_diagonal(linked: Array, *, blocks: int) -> bool:
    """Whether booleans (group, rows, columns) are false off the diagonal of ``blocks``² parts."""
    group, rows, columns = linked.shape
    parts = linked.reshape(group, blocks, rows // blocks, blocks, columns // blocks).any(axis=(0, 2, 4))
    return not (parts & ~np.eye(blocks, dtype=bool)).any()


def _in_another_order(node: int, linked: Array) -> BlockDiagonalConv | None:
    """Orders in which the whole weight is block-diagonal, of the blocks (group, rows, columns) it is now."""
    group, rows, columns = linked.shape
    whole = np.zeros((group, rows, group, columns), bool)
    whole[np.arange(group), :, np.arange(group)] = linked
    parts = equal_parts(whole.reshape(group * rows, group * columns), more_than=group)
    if parts is None:
        return None
    return BlockDiagonalConv(
        conv=node,
        group=len(parts),
        rows=tuple(chain.from_iterable(part.rows for part in parts)),
        columns=tuple(chain.from_iterable(part.columns for part in parts)),
    )


def _orders(graph: Graph, m: BlockDiagonalConv) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The orders of the input and of the output channels."""
    transposed = isinstance(graph.op(m.conv), ConvTranspose)
    return (m.rows, m.columns) if transposed else (m.columns, m.rows)


def _packed(weight: Array, m: BlockDiagonalConv, *, group: int) -> Array:
    """The rows of a weight of ``group`` groups in order, each with the columns of its new group alone."""
    rows, high, wide = np.asarray(m.rows), len(weight) // group, weight.shape[1]
    columns = np.asarray(m.columns).reshape(m.group, -1).repeat(len(weight) // m.group, axis=0)
    local = columns - (rows // high * wide)[:, None]
    inside = (local >= 0) & (local < wide)
    packed: Array = weight[rows[:, None], np.where(inside, local, 0)]
    packed[~inside] = 0
    return packed


def _is_identity(order: tuple[int, ...]) -> bool:
    return order == tuple(range(len(order)))


def _reordered(edit: Edit, bias: Value, order: tuple[int, ...]) -> Value:
    """A bias, constant or not, in the order of the output channels."""
    if _is_identity(order):
        return bias
    folded = with_channels(edit, bias, taken=order)
    return folded or edit.add(Gather(), bias, edit.constant(np.array(order, np.int64), name="order"))
