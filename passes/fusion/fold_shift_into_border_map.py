"""Fold a normalisation or a shift before a padded convolution into its weight and a map added after it.

    conv(s · x + t, W, b; pads)  ->  conv(x, W·s, b; pads) + m        m = conv(t everywhere, W; pads)

with one s and t an input channel: those of a batch normalisation, of x + t, x − t or t − x. Where a window
reaches over the border it meets fewer t, so that m, one number an output element, is no bias. A transposed
convolution, whose borders see fewer taps, has such a map too. The pass over x goes, one over the result
comes, and an activation no longer stands right after the convolution: it pays where the convolution makes
less than it reads, by its stride or its channels. Exact in real arithmetic; floating point differs by
reassociation only.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, BatchNormalization, Op, Sub
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.border import border_map, known_sizes, map_bytes
from convgraph.passes.fusion.after_convolution import convolution, is_finite, weights
from convgraph.passes.fusion.before_convolutions import (
    BeforeConvolutions,
    along_input,
    combined_input,
    convolutions_after,
    input_vector,
    moved,
)
from convgraph.passes.fusion.channelwise import Vector
from convgraph.passes.fusion.normalisation import are_constant, given, scale_and_shift
from convgraph.passes.rewrite import Measure, PricedRewrite, requirement, target_cost


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftedInput(BeforeConvolutions):
    """A scaled and shifted value that convolutions read; scale and shift None where they are no constants."""

    affine: tuple[Vector, Vector] | None


@dataclass(frozen=True, kw_only=True)
class FoldShiftIntoBorderMap(PricedRewrite[ShiftedInput]):
    """Fold a normalisation or shift before a padded convolution into its weight and a map added after."""

    name: ClassVar[str] = "fold-shift-into-border-map"
    roots: ClassVar[tuple[type[Op], ...]] = (BatchNormalization, Add, Sub)
    measure: ClassVar[Measure] = staticmethod(target_cost)

    size_limit: int = 1 << 20

    def find(self, graph: Graph, node: int) -> ShiftedInput | None:
        """A batch normalisation, or a sum or difference with a constant, that convolutions read."""
        op, (x, *_) = graph.op(node), graph.operands(node)
        result = Value(node, 0)
        convs = convolutions_after(graph, result)
        if not isinstance(op, BatchNormalization):
            m = combined_input(graph, node)
            vector = None if m is None else input_vector(graph, m)
            if m is None:
                return None
            return ShiftedInput(
                x=m.x, result=result, convs=convs, affine=None if vector is None else moved(m, vector)
            )
        if x is None or not convs:
            return None
        return ShiftedInput(x=x, result=result, convs=convs, affine=_normalised(graph, node, op))

    @requirement
    def scale_and_shift_are_constant(self, graph: Graph, m: ShiftedInput) -> bool:
        """There is one constant scale and shift an input channel, which no caller can override."""
        return m.affine is not None

    @requirement
    def one_convolution_reads_it(self, graph: Graph, m: ShiftedInput) -> bool:
        """A single convolution reads the result, nothing else does, and the graph does not return it."""
        return graph.sole_reader(m.result) is not None

    @requirement
    def the_convolution_has_no_activation(self, graph: Graph, m: ShiftedInput) -> bool:
        """No activation has been fused into the convolution: the map is added before it."""
        return convolution(graph, m.convs[0]).activation is None

    @requirement
    def the_weight_is_constant(self, graph: Graph, m: ShiftedInput) -> bool:
        """The weight of the convolution is a constant that no caller can override."""
        return graph.constant(graph.operand(m.convs[0], 1)) is not None

    @requirement
    def the_sizes_are_known(self, graph: Graph, m: ShiftedInput) -> bool:
        """The spatial sizes of x are numbers."""
        return known_sizes(graph, m.x) is not None

    @requirement
    def the_map_is_small(self, graph: Graph, m: ShiftedInput) -> bool:
        """The map has at most ``size_limit`` bytes."""
        size = map_bytes(graph, Value(m.convs[0], 0))
        return size is not None and size <= self.size_limit

    @requirement
    def the_folded_numbers_are_finite(self, graph: Graph, m: ShiftedInput) -> bool:
        """The new weight and the map stay within the range of their element type."""
        return m.affine is None or all(is_finite(array) for array in _folded(graph, m))

    def replaces(self, graph: Graph, match: ShiftedInput) -> tuple[int, ...]:
        """The normalisation or shift, and the convolution."""
        return (match.result.node, match.convs[0])

    def apply(self, edit: Edit, m: ShiftedInput) -> None:
        """Put a convolution of x, and the addition of the map, in the place of both."""
        (conv,) = m.convs
        _, weight, *bias = edit.graph.operands(conv)
        assert weight is not None
        new_weight, shifts = _folded(edit.graph, m)
        operands = (m.x, edit.constant(new_weight, like=weight), *bias)
        made = edit.add(convolution(edit.graph, conv), *operands, like=conv)
        border = edit.constant(shifts, name="border_map")
        edit.replace(Value(conv, 0), edit.add(Add(), made, border, like=m.result.node))


def _normalised(graph: Graph, node: int, norm: BatchNormalization) -> tuple[Vector, Vector] | None:
    statistics = given(graph.operands(node))
    if norm.training_mode or not are_constant(graph, statistics):
        return None
    return scale_and_shift(graph, norm, statistics)


def _folded(graph: Graph, m: ShiftedInput) -> tuple[Array, Array]:
    """The new weight, and what the convolution makes of the shift alone."""
    op, weight, _ = weights(graph, m.convs[0])
    assert m.affine is not None
    (scale, shift), sizes = m.affine, known_sizes(graph, m.x)
    assert sizes is not None
    with np.errstate(over="ignore", invalid="ignore"):  # refused as not finite
        shifts = border_map(op, shift, weight, sizes=sizes)
        return along_input(op, weight, scale).astype(weight.dtype), shifts.astype(weight.dtype)
