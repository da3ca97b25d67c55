"""What the rewrites that push a scale and a shift into the convolutions after them have in common."""

from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Conv, Convolution, ConvTranspose, Op, Sub
from convgraph.ir.tensor import Array, Tensor
from convgraph.passes.fusion.after_convolution import convolution, is_finite, weights
from convgraph.passes.fusion.channelwise import Vector, beside_constants, channel_vector
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforeConvolutions:
    """A value, the result of the operation on it, and the convolutions that read that result."""

    x: Value
    result: Value
    convs: tuple[int, ...]


M = TypeVar("M", bound=BeforeConvolutions)


def convolutions_after(graph: Graph, value: Value) -> tuple[int, ...]:
    """The convolutions whose first operand a value is, in the order in which they stand."""
    uses = graph.readers(value)
    return tuple(
        sorted(use.node for use in uses if use.slot == 0 and isinstance(graph.op(use.node), Convolution))
    )


@dataclass(frozen=True, kw_only=True)
class PushIntoConvolutions(Rewrite[M]):
    """A rewrite of ``conv(scale * x + shift)`` with one number an input channel each, for all readers."""

    name: ClassVar[str]

    @requirement
    def only_convolutions_read_it(self, graph: Graph, m: M) -> bool:
        """Everything that reads the result is a convolution of it, and the graph does not return it."""
        return len(graph.readers(m.result)) == len(m.convs) and not graph.is_output(m.result)

    @requirement
    def the_weights_are_constant(self, graph: Graph, m: M) -> bool:
        """The weight of each convolution is a constant that no caller can override."""
        return all(graph.constant(graph.operand(conv, 1)) is not None for conv in m.convs)

    @requirement
    def the_folded_weights_are_finite(self, graph: Graph, m: M) -> bool:
        """The new weights and biases stay within the range of their element type."""
        return all(
            is_finite(array)
            for conv in m.convs
            for array in self._folded(graph, m, conv)
            if array is not None
        )

    def affine(self, graph: Graph, m: M) -> tuple[Vector, Vector]:
        """Scale and shift, float64, one number an input channel each."""
        raise NotImplementedError

    def apply(self, edit: Edit, m: M) -> None:
        """Put convolutions of x, with the folded weights and biases, in the place of those there are."""
        for conv in m.convs:
            _, weight, *rest = edit.graph.operands(conv)
            bias = rest[0] if rest else None
            new_weight, new_bias = self._folded(edit.graph, m, conv)
            operands = (
                m.x,
                edit.constant(new_weight, like=weight),
                bias if new_bias is None else edit.constant(new_bias, like=bias or weight),
                *rest[1:],
            )
            folded = edit.add(convolution(edit.graph, conv), *operands, like=conv)
            edit.replace(Value(conv, 0), folded)

    def _folded(self, graph: Graph, m: M, conv: int) -> tuple[Array, Array | None]:
        """The new weight, and the new bias where it changes."""
        op, weight, bias = weights(graph, conv)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # refused as not finite
            scale, shift = self.affine(graph, m)
            new_weight = along_input(op, weight, scale).astype(weight.dtype)
            if not shift.any():
                return new_weight, None
            added = along_input(op, weight, shift).sum(axis=tuple(range(1, weight.ndim)))
            new_bias = added if bias is None else bias.astype(np.float64) + added
            return new_weight, new_bias.astype(weight.dtype)


@dataclass(frozen=True, kw_only=True)
class PushShiftIntoConvolutions(PushIntoConvolutions[M]):
    """What a shift needs on top: that every tap of every window sees it, and biases to fold it into."""

    name: ClassVar[str]

    @requirement
    def every_window_sees_the_shift(self, graph: Graph, m: M) -> bool:
        """The convolutions have no padding and are not transposed, or the shift is zero everywhere."""
        _, shift = self.affine(graph, m)
        return not shift.any() or all(_without_padding(graph, conv) for conv in m.convs)

    @requirement
    def the_biases_are_constant(self, graph: Graph, m: M) -> bool:
        """The bias of each convolution is a constant that no caller can override."""
        biases = (graph.operand(conv, 2) for conv in m.convs)
        return all(bias is None or graph.constant(bias) is not None for bias in biases)


def _without_padding(graph: Graph, conv: int) -> bool:
    op, (x, weight) = graph.op(conv), graph.operands(conv)[:2]
    if not isinstance(op, Conv) or x is None or weight is None:
        return False
    pads = op.padded_explicitly(graph.type(x), graph.type(weight))
    return pads is not None and not any(pads)


def along_input(op: Convolution, weight: Array, vector: Vector) -> Vector:
    """The float64 weight with what input channel c meets multiplied by ``vector[c]``.

    A Conv weight (M, C/group, *kernel) holds its input channels group by group along axis 1.
    """
    wide = weight.astype(np.float64)
    if isinstance(op, ConvTranspose):
        return wide * vector.reshape(-1, *(1,) * (wide.ndim - 1))
    grouped = wide.reshape(op.group, -1, *wide.shape[1:])
    factors = vector.reshape(op.group, 1, wide.shape[1], *(1,) * (wide.ndim - 2))
    return (grouped * factors).reshape(wide.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class CombinedInput(BeforeConvolutions):
    """A value combined with a constant, the operation, and the constant's side."""

    op: Op
    constant: Tensor
    constant_first: bool


def combined_input(graph: Graph, node: int) -> CombinedInput | None:
    """A binary operation of a value and a constant, in either order, that convolutions read."""
    convs = convolutions_after(graph, Value(node, 0))
    for x, constant, first in beside_constants(graph, node):
        if convs and graph.constant(x) is None:
            return CombinedInput(
                x=x,
                result=Value(node, 0),
                convs=convs,
                op=graph.op(node),
                constant=constant,
                constant_first=first,
            )
    return None


def moved(m: CombinedInput, vector: Vector) -> tuple[Vector, Vector]:
    """Scale and shift of a sum or difference: −1 where x is subtracted, −c where the constant is."""
    subtracts = isinstance(m.op, Sub)
    scale = np.full_like(vector, -1.0 if subtracts and m.constant_first else 1.0)
    return scale, -vector if subtracts and not m.constant_first else vector


def input_vector(graph: Graph, m: CombinedInput) -> Vector | None:
    """The constant as one float64 number an input channel; None when it is anything else or widens x."""
    kind = graph.type(m.x)
    weight = graph.operand(m.convs[0], 1)
    shape = None if weight is None else graph.type(weight).static_shape
    if kind.rank is None or shape is None:
        return None
    op = convolution(graph, m.convs[0])
    channels = shape[0] if isinstance(op, ConvTranspose) else shape[1] * op.group
    if m.constant.size != 1 and kind.dim(1) != channels:
        return None
    return channel_vector(m.constant, rank=kind.rank, channels=channels)
