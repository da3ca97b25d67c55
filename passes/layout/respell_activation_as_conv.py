"""Let a convolution that changes nothing carry an activation, where no other one can.

    f(x)  ->  conv_f(x, 1; each channel by itself)        f LeakyRelu or Clip

onnxruntime computes these as a part of a convolution only, and of none that adds another value as it writes:
after a residual sum, a Concat or a pool they take the image out of its blocks of channels and back. Exact:
each number times one.

Source: He et al., Deep Residual Learning for Image Recognition (2016), for activations after the sum;
onnxruntime's NchwcTransformer and ConvActivationFusion.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Activation, Clip, LeakyRelu, Op
from convgraph.passes.layout.depthwise import channels_of_image, pointwise, weight_of
from convgraph.passes.timed import TimedRewrite


@dataclass(frozen=True, slots=True, kw_only=True)
class BareActivation:
    """An activation, its operand, and how many channels that has."""

    node: int
    x: Value
    channels: int


@dataclass(frozen=True, kw_only=True)
class RespellActivationAsConv(TimedRewrite[BareActivation]):
    """Let a convolution that changes nothing carry an activation, where no other one can."""

    name: ClassVar[str] = "respell-activation-as-conv"
    roots: ClassVar[tuple[type[Op], ...]] = (LeakyRelu, Clip)
    reads_weights: ClassVar[bool] = False

    def find(self, graph: Graph, node: int) -> BareActivation | None:
        """An activation of an image of so many channels, with bounds that are constant."""
        x, *bounds = graph.operands(node)
        channels = channels_of_image(graph, x)
        if x is None or channels is None or not self.can_be_judged:
            return None
        known = all(graph.constant(bound) is not None for bound in bounds if bound is not None)
        return BareActivation(node=node, x=x, channels=channels) if known else None

    def replaces(self, graph: Graph, match: BareActivation) -> tuple[int, ...]:
        """The activation."""
        del graph
        return (match.node,)

    def apply(self, edit: Edit, m: BareActivation) -> None:
        """Put the convolution with the activation in its place."""
        _, *bounds = edit.graph.operands(m.node)
        activation = edit.graph.op(m.node)
        assert isinstance(activation, Activation)
        op, weight = replace(pointwise(m.channels), activation=activation), np.ones(m.channels)
        made = edit.add(op, m.x, weight_of(edit, weight), None, *bounds, like=m.node)
        edit.replace(Value(m.node, 0), made)
