"""Fold a constant that scales or shifts a normalised value into the normalisation's own scale and bias.

    norm(x; γ, β) · c  ->  norm(x; γ·c, β·c)        norm(x; γ, β) / c  ->  norm(x; γ/c, β/c)
    norm(x; γ, β) + c  ->  norm(x; γ, β + c)        c − norm(x; γ, β)  ->  norm(x; −γ, c − β)

norm is an InstanceNormalization, c one number or one a channel; or a LayerNormalization or an
RMSNormalization, c constant along all axes but the normalised ones, the latter having no bias. A Transpose
may stand between. Exact in real arithmetic; floating point differs by reassociation only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Add,
    Div,
    InstanceNormalization,
    LayerNormalization,
    Mul,
    Op,
    RMSNormalization,
    Sub,
    Transpose,
)
from convgraph.ir.ops.norm import TrailingNormalization
from convgraph.ir.tensor import Array, Tensor
from convgraph.passes.fusion.after_convolution import is_finite
from convgraph.passes.fusion.channelwise import Vector, beside_constants, channel_vector
from convgraph.passes.rewrite import Rewrite, requirement

_KINDS = (InstanceNormalization, LayerNormalization, RMSNormalization)


@dataclass(frozen=True, slots=True, kw_only=True)
class CombinedNorm:
    """A normalisation, the operation that combines it with a constant, and the constant's side.

    ``value`` is what is combined: the result of the normalisation, or of a Transpose of that.
    """

    norm: int
    value: Value
    op: Op
    constant: Tensor
    constant_first: bool
    result: Value


@dataclass(frozen=True, kw_only=True)
class FoldAffineIntoNorm(Rewrite[CombinedNorm]):
    """Fold a constant that scales or shifts a normalised value into the normalisation's own parameters."""

    name: ClassVar[str] = "fold-affine-into-norm"
    roots: ClassVar[tuple[type[Op], ...]] = (Mul, Div, Add, Sub)

    def find(self, graph: Graph, node: int) -> CombinedNorm | None:
        """A normalisation, of which nothing but y is asked, beside a constant; not divided by."""
        op = graph.op(node)
        for value, constant, first in beside_constants(graph, node):
            norm = _untransposed(graph, value).node
            if not isinstance(graph.op(norm), _KINDS) or len(graph.results(norm)) > 1:
                continue
            if isinstance(op, Div) and first:
                continue
            return CombinedNorm(
                norm=norm,
                value=value,
                op=op,
                constant=constant,
                constant_first=first,
                result=Value(node, 0),
            )
        return None

    @requirement
    def the_constant_goes_with_the_parameters(self, graph: Graph, m: CombinedNorm) -> bool:
        """The constant differs along those axes only along which the normalisation's scale does."""
        return _parameter(graph, m) is not None

    @requirement
    def there_is_a_bias_to_fold_into(self, graph: Graph, m: CombinedNorm) -> bool:
        """What is added is added to a normalisation that has a bias; RMSNormalization has none."""
        return isinstance(m.op, (Mul, Div)) or not isinstance(graph.op(m.norm), RMSNormalization)

    @requirement
    def the_parameters_are_constant(self, graph: Graph, m: CombinedNorm) -> bool:
        """Scale and bias are constants that no caller can override."""
        return None not in [graph.constant(value) for value in graph.operands(m.norm)[1:]]

    @requirement
    def the_folded_parameters_are_finite(self, graph: Graph, m: CombinedNorm) -> bool:
        """The new scale and bias stay within the range of their element type."""
        return all(is_finite(array) for array in _folded(graph, m))

    @requirement
    def nothing_else_reads_the_normalised_value(self, graph: Graph, m: CombinedNorm) -> bool:
        """Only this operation reads the normalisation, and the graph does not return it."""
        return all(graph.sole_reader(value) is not None for value in (Value(m.norm, 0), m.value))

    def apply(self, edit: Edit, m: CombinedNorm) -> None:
        """Put a normalisation with the folded scale and bias in the place of both."""
        x, *old = edit.graph.operands(m.norm)
        parameters = _folded(edit.graph, m)
        olds = [*old, old[0]][: len(parameters)]
        new = [edit.constant(array, like=like) for array, like in zip(parameters, olds, strict=True)]
        folded = edit.add(edit.graph.op(m.norm), x, *new, like=m.norm)
        if m.value.node != m.norm:
            folded = edit.add(edit.graph.op(m.value.node), folded, like=m.value.node)
        edit.replace(m.result, folded)


def _untransposed(graph: Graph, value: Value) -> Value:
    """What a Transpose makes a value of, or the value itself."""
    source = graph.operand(value.node, 0) if isinstance(graph.producer(value), Transpose) else None
    return value if source is None else source


def _aligned(graph: Graph, m: CombinedNorm, *, rank: int) -> Tensor | None:
    """The constant with as many axes as the normalised value, and in its order; None when it has more."""
    constant, moved = m.constant, graph.producer(m.value)
    if len(constant.shape) > rank:
        return None
    array = constant.numpy().reshape((1,) * (rank - len(constant.shape)) + constant.shape)
    if isinstance(moved, Transpose):
        array = array.transpose(np.argsort(moved.order(rank)))
    return Tensor(array)


def _parameter(graph: Graph, m: CombinedNorm) -> Vector | None:
    """The constant in float64, in the shape of a scale; None when it has no such shape."""
    op, kind = graph.op(m.norm), graph.type(Value(m.norm, 0))
    constant = None if kind.rank is None else _aligned(graph, m, rank=kind.rank)
    if kind.rank is None or constant is None:
        return None
    if not isinstance(op, TrailingNormalization):
        channels = kind.dim(1)
        if not isinstance(channels, int):
            return None
        return channel_vector(constant, rank=kind.rank, channels=channels)
    trailing = kind.rank - op.axis % kind.rank
    alike, own = constant.shape[:-trailing], constant.shape[-trailing:]
    sizes = (kind.shape or ())[-trailing:]
    if set(alike) - {1} or any(size not in (1, whole) for size, whole in zip(own, sizes, strict=True)):
        return None
    return constant.numpy().astype(np.float64).reshape(own)


def _folded(graph: Graph, m: CombinedNorm) -> Sequence[Array]:
    """The new scale, and the new bias where there is to be one."""
    scale, *bias = [_wide(graph.constant(value)) for value in graph.operands(m.norm)[1:]]
    c = _parameter(graph, m)
    assert c is not None
    kind = graph.type(m.result).dtype.numpy
    with np.errstate(all="ignore"):  # refused as not finite
        new = _combined(m, scale, bias, c)
        return [(array + np.zeros_like(scale)).astype(kind) for array in new]


def _combined(m: CombinedNorm, scale: Vector, bias: list[Vector], c: Vector) -> list[Vector]:
    if isinstance(m.op, (Mul, Div)):
        return [array * c if isinstance(m.op, Mul) else array / c for array in (scale, *bias)]
    old = bias[0] if bias else np.zeros_like(scale)
    if isinstance(m.op, Add):
        return [scale, old + c]
    return [-scale, c - old] if m.constant_first else [scale, old - c]


def _wide(tensor: Tensor | None) -> Vector:
    assert tensor is not None
    return tensor.numpy().astype(np.float64)
