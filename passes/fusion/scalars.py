"""One number beside a value: what the rewrites that recover an activation from arithmetic look for."""

from collections.abc import Sequence
from math import inf, isnan

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Clip, Div, Mul, Op, Relu
from convgraph.ir.tensor import Tensor
from convgraph.passes.fusion.channelwise import beside_constants


def scalar(tensor: Tensor | None) -> float | None:
    """The one number in a tensor; None when there are more, or fewer."""
    return None if tensor is None or tensor.size != 1 else float(tensor.numpy().reshape(()))


def beside_a_number(graph: Graph, node: int) -> tuple[Value, float, bool] | None:
    """The operand of a binary node whose fellow is one constant number, that number, and whether it is first.

    None as well where the number has more axes than the value, whose rank it would raise.
    """
    if len(graph.operands(node)) != 2:
        return None
    for value, constant, first in beside_constants(graph, node):
        number, rank = scalar(constant), graph.type(value).rank
        if number is not None and (not constant.shape or (rank is not None and len(constant.shape) <= rank)):
            return value, number, first
    return None


def pairs_in_order(
    graph: Graph, *, first: tuple[type[Op], ...], then: tuple[type[Op], ...]
) -> tuple[int, int]:
    """Measure: how many operations there are, then how many pairs of which the second stands somewhere after.

    One stands after another as far as only operations of these classes are between, each with one value to
    work on: a Mul or a Div has a constant beside it.
    """
    counted, before, pairs = 0, dict[int, int](), 0
    for node in graph.compute_nodes():
        counted += 1
        op, x = graph.op(node), graph.operand(node, 0)
        if not isinstance(op, (*first, *then)):
            continue
        if isinstance(op, (Mul, Div)):
            x = next((x for x, *_ in beside_constants(graph, node)), None)
        if x is not None:
            before[node] = before.get(x.node, 0) + isinstance(op, first)
            pairs += before[node] if isinstance(op, then) else 0
    return counted, pairs


def bounds_of(graph: Graph, node: int) -> tuple[float, float] | None:
    """The constant bounds of a Clip or Relu, infinite where it has none; None for anything else."""
    return bounds_of_function(graph, graph.op(node), graph.operands(node)[1:])


def bounds_of_function(
    graph: Graph, function: Op, parameters: Sequence[Value | None]
) -> tuple[float, float] | None:
    """The same for a function that may be part of a convolution."""
    if isinstance(function, Relu):
        return 0.0, inf
    if not isinstance(function, Clip):
        return None
    given = [*parameters, None, None]
    low, high = (
        default if value is None else scalar(graph.constant(value))
        for value, default in zip(given[:2], (-inf, inf), strict=True)
    )
    return None if low is None or high is None or isnan(low) or isnan(high) else (low, high)
