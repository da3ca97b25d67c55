"""Operations that work on each channel alone: an order of channels passes through them."""

from collections.abc import Sequence
from dataclasses import replace

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Activation, Cast, Convolution, GlobalPool, Pool, PRelu, Unary
from convgraph.passes.fusion.ordered_weights import with_channels


def is_channelwise(graph: Graph, node: int) -> bool:
    """Whether a node's one result has the channels of its first operand, each made from that alone.

    Either the same is done to all of them, or the node is a depthwise convolution with constant parameters.
    """
    op = graph.op(node)
    if isinstance(op, Convolution):
        return _is_depthwise(graph, node)
    kinds = (Unary, Activation, Cast, Pool, GlobalPool)
    return isinstance(op, kinds) and not isinstance(op, PRelu) and len(graph.results(node)) == 1


def _is_depthwise(graph: Graph, node: int) -> bool:
    op, (_, weight, *bias) = graph.op(node), graph.operands(node)
    tensor = graph.constant(weight)
    assert isinstance(op, Convolution)
    if tensor is None or tensor.shape[:2] != (op.group, 1) or not has_no_channels(graph, node):
        return False
    return not bias or bias[0] is None or graph.constant(bias[0]) is not None


def has_no_channels(graph: Graph, conv: int) -> bool:
    """Whether the parameters of the activation fused into a convolution, if any, are single numbers."""
    parameters = graph.operands(conv)[3:]
    return all(value is None or graph.type(value).size == 1 for value in parameters)


def carried(edit: Edit, node: int, x: Value, *, taken: Sequence[int]) -> Value:
    """A channelwise node's work on x, whose channel c is what channel ``taken[c]`` was to the node."""
    graph, op = edit.graph, edit.graph.op(node)
    _, *rest = graph.operands(node)
    if isinstance(op, Convolution):
        op = replace(op, group=len(taken))
        rest = [*(with_channels(edit, value, taken=taken) for value in rest[:2]), *rest[2:]]
    return edit.add(op, x, *rest, name=graph.value_name(Value(node, 0)), like=node)
