"""A convolution combined with a constant by a pointwise operation: what the scale and shift folds share."""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Op
from convgraph.ir.tensor import Tensor
from convgraph.passes.fusion.after_convolution import (
    AfterConvolution,
    FoldIntoWeights,
    channels_of,
    convolution_before,
)
from convgraph.passes.fusion.channelwise import Vector, beside_constants, channel_vector
from convgraph.passes.rewrite import requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class CombinedConv(AfterConvolution):
    """A convolution, the operation that combines it with a constant, and the constant's side."""

    op: Op
    constant: Tensor
    constant_first: bool


@dataclass(frozen=True, kw_only=True)
class CombineWithConstant(FoldIntoWeights[CombinedConv]):
    """Fold ``conv(x) ∘ c`` or ``c ∘ conv(x)`` into the convolution, ∘ being one of ``roots``."""

    name: ClassVar[str]

    def find(self, graph: Graph, node: int) -> CombinedConv | None:
        """A binary operation of a convolution's result and a constant, in either order."""
        for value, constant, first in beside_constants(graph, node):
            conv = convolution_before(graph, value)
            if conv is not None:
                return CombinedConv(
                    conv=conv,
                    result=Value(node, 0),
                    op=graph.op(node),
                    constant=constant,
                    constant_first=first,
                )
        return None

    @requirement
    def the_constant_is_per_channel_or_scalar(self, graph: Graph, m: CombinedConv) -> bool:
        """The constant has one element, or one an output channel, along the channel axis and no other."""
        return self._vector(graph, m) is not None

    def vector(self, graph: Graph, m: CombinedConv) -> Vector:
        """The constant as one float64 number an output channel."""
        vector = self._vector(graph, m)
        assert vector is not None
        return vector

    def _vector(self, graph: Graph, m: CombinedConv) -> Vector | None:
        channels = channels_of(graph, m.conv)
        rank = graph.type(Value(m.conv, 0)).rank
        return (
            None
            if channels is None or rank is None
            else channel_vector(m.constant, rank=rank, channels=channels)
        )
