"""Let a reduction keep the axes that it reduces, or not, where a Reshape takes them away or brings them back.

    squeeze(mean(x; keepdims))  =  reshape(mean(x; keepdims))  ->  mean(x)
    unsqueeze(mean(x))  =  reshape(mean(x))  ->  mean(x; keepdims)

and likewise for every other reduction, and for a Flatten. Exact: the same elements, in the same order.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Flatten, Op, Reduction, Reshape, Squeeze, Unsqueeze
from convgraph.ir.tensor import Dim
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class ReshapedReduction:
    """A reduction, and what reshapes its result."""

    reduction: int
    reshape: int


@dataclass(frozen=True, kw_only=True)
class FuseReshapeIntoReduction(Rewrite[ReshapedReduction]):
    """Let a reduction keep the axes that it reduces, or not, where a Reshape changes that."""

    name: ClassVar[str] = "fuse-reshape-into-reduction"
    roots: ClassVar[tuple[type[Op], ...]] = (Squeeze, Unsqueeze, Reshape, Flatten)

    def find(self, graph: Graph, node: int) -> ReshapedReduction | None:
        """What reshapes the result of a reduction."""
        reduced = graph.operand(node, 0)
        if reduced is None or not isinstance(graph.producer(reduced), Reduction):
            return None
        return ReshapedReduction(reduction=reduced.node, reshape=node)

    @requirement
    def only_the_axes_reduced_come_or_go(self, graph: Graph, m: ReshapedReduction) -> bool:
        """The shape is the one that the reduction gives if it keeps its axes, or if it does not."""
        shape = graph.type(Value(m.reshape, 0)).shape
        return shape is not None and None not in shape and shape == _shape(graph, m)

    @requirement
    def nothing_else_reads_the_reduction(self, graph: Graph, m: ReshapedReduction) -> bool:
        """Only the reshaped result is read, so that the other one goes."""
        return graph.sole_reader(Value(m.reduction, 0)) is not None

    def apply(self, edit: Edit, m: ReshapedReduction) -> None:
        """Put a reduction that leaves the axes so in the place of both."""
        operands = edit.graph.operands(m.reduction)
        edit.replace(Value(m.reshape, 0), edit.add(_turned(edit.graph, m), *operands, like=m.reduction))


def _turned(graph: Graph, m: ReshapedReduction) -> Reduction:
    op = graph.op(m.reduction)
    assert isinstance(op, Reduction)
    return replace(op, keepdims=1 - op.keepdims)


def _shape(graph: Graph, m: ReshapedReduction) -> tuple[Dim, ...] | None:
    """The shape that the reduction gives if it leaves the axes the other way."""
    data, *axes = (value and graph.type(value) for value in graph.operands(m.reduction))
    return _turned(graph, m).infer_all((data, *axes))[0].shape
