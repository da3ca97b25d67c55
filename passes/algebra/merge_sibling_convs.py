"""Make one convolution of those that read the same value with kernels of the same shape.

    conv(x, W₁, b₁), …, conv(x, Wₙ, bₙ)  ->  split(conv(x, [W₁; …; Wₙ], [b₁; …; bₙ]))

Strides, pads and dilations have to be the same. As many multiplications; x is read once, and what comes out
is written once more, into pieces. Which is faster a target has to judge. The opposite of
split_conv_along_split. Exact: the same sums.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Convolution, ConvTranspose, Op, Split
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.constant_weight import convolution
from convgraph.passes.fusion.after_convolution import weights
from convgraph.passes.rewrite import Measure, PricedRewrite, requirement, target_cost


@dataclass(frozen=True, slots=True, kw_only=True)
class SiblingConvs:
    """A value, and the convolutions of it, in order."""

    x: Value
    convs: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class MergeSiblingConvs(PricedRewrite[SiblingConvs]):
    """Make one convolution of those that read the same value with kernels of the same shape."""

    name: ClassVar[str] = "merge-sibling-convs"
    roots: ClassVar[tuple[type[Op], ...]] = (Convolution,)
    opposite: ClassVar[str] = "split-conv-along-split"
    measure: ClassVar[Measure] = staticmethod(target_cost)
    reads_weights: ClassVar[bool] = False

    def find(self, graph: Graph, node: int) -> SiblingConvs | None:
        """The first of several convolutions of one value, alike but for the weights, without activations."""
        x, kind = graph.operand(node, 0), _kind(graph, node)
        if x is None or kind is None or convolution(graph, node).activation is not None:
            return None
        if node != next(conv for conv in _convolutions(graph, x) if _kind(graph, conv) == kind):
            return None  # all the others, which may be thousands, are looked at from the first one only
        convs = tuple(conv for conv in _convolutions(graph, x) if _kind(graph, conv) == kind)
        return SiblingConvs(x=x, convs=convs) if len(convs) > 1 else None

    @requirement
    def each_has_one_group(self, graph: Graph, m: SiblingConvs) -> bool:
        """The convolutions have one group: of several, each would go to its own place among the others'."""
        return convolution(graph, m.convs[0]).group == 1

    @requirement
    def the_weights_are_constant(self, graph: Graph, m: SiblingConvs) -> bool:
        """Weights and biases are constants that no caller can override."""
        operands = (value for conv in m.convs for value in graph.operands(conv)[1:])
        return all(graph.constant(value) is not None for value in operands if value is not None)

    def replaces(self, graph: Graph, match: SiblingConvs) -> tuple[int, ...]:
        """The convolutions."""
        return match.convs

    def apply(self, edit: Edit, m: SiblingConvs) -> None:
        """Convolve once with all filters, and split what comes out."""
        graph, first = edit.graph, m.convs[0]
        op, old = convolution(graph, first), graph.operand(first, 1)
        filters = [weights(graph, conv)[1] for conv in m.convs]
        place = 1 if isinstance(op, ConvTranspose) else 0
        counts = [array.shape[place] for array in filters]
        operands = [edit.constant(np.concatenate(filters, axis=place), like=old)]
        if any(len(graph.operands(conv)) > 2 for conv in m.convs):
            shifts = [_bias(graph, conv, count) for conv, count in zip(m.convs, counts, strict=True)]
            operands.append(edit.constant(np.concatenate(shifts), like=old))
        merged = edit.add(op, m.x, *operands)
        sizes = edit.constant(np.asarray(counts, dtype=np.int64))
        pieces = edit.add_all(Split(axis=1), merged, sizes, outputs=len(counts))
        for conv, piece in zip(m.convs, pieces, strict=True):
            edit.replace(Value(conv, 0), piece)


def _convolutions(graph: Graph, x: Value) -> Iterator[int]:
    """The convolutions whose first operand a value is."""
    uses = (use for use in graph.readers(x) if use.slot == 0)
    return (use.node for use in uses if isinstance(graph.op(use.node), Convolution))


def _kind(graph: Graph, conv: int) -> tuple[object, ...] | None:
    """What convolutions that can be merged have in common; None where the kernel's shape is not known."""
    weight = graph.operand(conv, 1)
    shape = None if weight is None else graph.type(weight).static_shape
    return None if shape is None else (graph.op(conv), shape[2:])


def _bias(graph: Graph, conv: int, count: int) -> Array:
    _, weight, bias = weights(graph, conv)
    return np.zeros(count, dtype=weight.dtype) if bias is None else bias
