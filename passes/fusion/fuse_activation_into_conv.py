"""Make an activation part of the convolution that feeds it.

    f(conv(x, W, b))  ->  conv_f(x, W, b)        f any activation

Exact: the two run one after the other as before. ONNX has no fused convolution, so the exporter writes both
nodes, in the form that runtimes fuse themselves; inside the IR one node says what the machine does in one go.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Activation, Op
from convgraph.passes.fusion.after_convolution import (
    AfterConvolution,
    PullIntoConvolution,
    convolution,
    convolution_before,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivatedConv(AfterConvolution):
    """A convolution, the activation that reads it, and the activation's parameter operands."""

    activation: Activation
    parameters: tuple[Value | None, ...]


@dataclass(frozen=True, kw_only=True)
class FuseActivationIntoConv(PullIntoConvolution[ActivatedConv]):
    """Make an activation part of the convolution that feeds it."""

    name: ClassVar[str] = "fuse-activation-into-conv"
    roots: ClassVar[tuple[type[Op], ...]] = (Activation,)
    after: ClassVar[tuple[str, ...]] = (
        "drop-redundant-channels",
        "fold-batchnorm-into-conv",
        "fold-nearest-resize-through-concat-into-conv",
        "fold-scale-into-conv",
        "fold-shift-into-conv",
        "merge-sibling-convs",
        "share-equal-operations",
    )

    def find(self, graph: Graph, node: int) -> ActivatedConv | None:
        """An activation of a convolution's result."""
        activation = graph.op(node)
        x, *parameters = graph.operands(node)
        conv = convolution_before(graph, x)
        if conv is None or not isinstance(activation, Activation):
            return None
        return ActivatedConv(
            conv=conv, result=Value(node, 0), activation=activation, parameters=tuple(parameters)
        )

    def apply(self, edit: Edit, m: ActivatedConv) -> None:
        """Put one convolution with the activation in the place of both."""
        x, weight, *bias = edit.graph.operands(m.conv)
        op = replace(convolution(edit.graph, m.conv), activation=m.activation)
        operands = (x, weight, bias[0] if bias else None, *m.parameters)
        edit.replace(m.result, edit.add(op, *operands, like=m.conv, fused=m.result.node))
