"""What the rewrites that pull an operation into the convolution before it have in common."""

from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Convolution
from convgraph.ir.tensor import Array
from convgraph.passes.fusion.channelwise import Vector, output_channels, scaled
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterConvolution:
    """A convolution node and the result of the operation that reads it."""

    conv: int
    result: Value


M = TypeVar("M", bound=AfterConvolution)


def convolution_before(graph: Graph, value: Value | None) -> int | None:
    """The convolution node that makes a value, if one does."""
    return value.node if value is not None and isinstance(graph.producer(value), Convolution) else None


@dataclass(frozen=True, kw_only=True)
class PullIntoConvolution(Rewrite[M]):
    """A rewrite that makes an operation part of the convolution it reads."""

    name: ClassVar[str]

    @requirement
    def nothing_else_reads_the_convolution(self, graph: Graph, m: M) -> bool:
        """Only this operation reads the convolution's result, and the graph does not return it."""
        return graph.sole_reader(Value(m.conv, 0)) is not None

    @requirement
    def the_convolution_has_no_activation(self, graph: Graph, m: M) -> bool:
        """No activation has been fused into the convolution yet."""
        return convolution(graph, m.conv).activation is None


@dataclass(frozen=True, kw_only=True)
class FoldIntoWeights(PullIntoConvolution[M]):
    """A rewrite to ``scale * conv(x) + shift``, with one number an output channel each."""

    name: ClassVar[str]

    @requirement
    def the_weights_are_constant(self, graph: Graph, m: M) -> bool:
        """The convolution's weight and bias are constants that no caller can override."""
        _, weight, *bias = graph.operands(m.conv)
        return all(graph.constant(v) is not None for v in (weight, *bias) if v is not None)

    @requirement
    def the_folded_weights_are_finite(self, graph: Graph, m: M) -> bool:
        """The new weight and bias stay within the range of their element type."""
        weight, bias = self._folded(graph, m)
        return is_finite(weight) and (bias is None or is_finite(bias))

    def affine(self, graph: Graph, m: M) -> tuple[Vector, Vector]:
        """Scale and shift, float64, one number an output channel each."""
        raise NotImplementedError

    def apply(self, edit: Edit, m: M) -> None:
        """Put a convolution with the folded weight and bias in the place of both operations."""
        x, weight, *bias = edit.graph.operands(m.conv)
        new_weight, new_bias = self._folded(edit.graph, m)
        old_bias = bias[0] if bias and bias[0] is not None else None
        operands = [x, edit.constant(new_weight, like=weight)]
        if new_bias is not None:
            operands.append(edit.constant(new_bias, like=old_bias or weight))
        folded = edit.add(convolution(edit.graph, m.conv), *operands, like=m.conv)
        edit.replace(m.result, folded)

    def _folded(self, graph: Graph, m: M) -> tuple[Array, Array | None]:
        """The new weight, and the new bias where there is one."""
        op, weight, bias = weights(graph, m.conv)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # refused as not finite
            scale, shift = self.affine(graph, m)
            new_weight = scaled(op, weight, scale).astype(weight.dtype)
            if bias is None and not shift.any():
                return new_weight, None
            old_bias = 0.0 if bias is None else bias.astype(np.float64)
            return new_weight, (scale * old_bias + shift).astype(weight.dtype)


def convolution(graph: Graph, node: int) -> Convolution:
    """The operation of a node that is known to be a convolution."""
    op = graph.op(node)
    assert isinstance(op, Convolution)
    return op


def weights(graph: Graph, conv: int) -> tuple[Convolution, Array, Array | None]:
    """A convolution, its constant weight, and its constant bias if it has one."""
    _, weight, *rest = graph.operands(conv)
    tensor = graph.constant(weight)
    assert tensor is not None
    bias = graph.constant(rest[0]) if rest else None
    return convolution(graph, conv), tensor.numpy(), None if bias is None else bias.numpy()


def channels_of(graph: Graph, conv: int) -> int | None:
    """How many channels a convolution makes, when its weight's shape is known."""
    weight = graph.operand(conv, 1)
    shape = None if weight is None else graph.type(weight).static_shape
    return None if shape is None else output_channels(convolution(graph, conv), shape)


def is_finite(array: Array) -> bool:
    """Whether no element is infinite or NaN."""
    return bool(np.isfinite(array.astype(np.float64)).all())
