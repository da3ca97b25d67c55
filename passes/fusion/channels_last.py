"""Operations on values whose channels are the last axis, and what each is with the channels in their place.

Between the transpositions that bring them there and back, the pixels may be one axis, (N·H·W, C), and that
matrix may be transposed, (C, N·H·W): each operation is told on which side it finds the channels.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, Constant, Conv, Div, Gemm, Input, MatMul, Mul, Op, Reshape, Sub, Transpose
from convgraph.ir.tensor import DataType, Dim, Tensor
from convgraph.passes.fusion.channelwise import Vector

CONVOLVED = (DataType.FLOAT, DataType.FLOAT16)  # runtimes multiply matrices of others, but do not convolve

_POINTWISE = (Add, Sub, Mul, Div)


class Linear(NamedTuple):
    """A product with a float64 matrix (in, out), a bias one number an output channel, and whose they are."""

    node: int
    matrix: Vector
    bias: Vector | None
    named: Value
    bias_named: Value | None


class Pointwise(NamedTuple):
    """An operation with one number, or one a channel."""

    node: int
    numbers: Vector
    named: Value
    first: bool


Step = Linear | Pointwise


def carried(graph: Graph, node: int) -> Value | None:
    """The operand that an operation carries on: the only one, or the one that is no parameter."""
    operands = graph.operands(node)
    if isinstance(graph.op(node), (Reshape, Transpose, Gemm)):
        return operands[0]
    if not isinstance(graph.op(node), (MatMul, *_POINTWISE)):
        return None
    left, right = operands
    is_parameter = left is not None and isinstance(graph.producer(left), (Constant, Input))
    return right if is_parameter else left


def sides(graph: Graph, nodes: tuple[int, ...]) -> list[bool] | None:
    """For each node, and after the last, whether the channels are the last axis; None when they get lost."""
    last = [True]
    for node in nodes:
        before, after = graph.type(Value(node, 0)).shape, _given(graph, node)
        if isinstance(graph.op(node), Transpose):
            last.append(not last[-1])
            continue
        if isinstance(graph.op(node), Reshape):
            ends = {before and before[-1], after and after[-1]}
            if not last[-1] or len(ends) > 1 or not isinstance(ends.pop(), int):
                return None
        last.append(last[-1])
    return last


def steps(graph: Graph, nodes: tuple[int, ...], last: list[bool]) -> list[Step] | None:
    """What the nodes compute, Reshape and Transpose aside; None where operands are not constant or apt."""
    found = list[Step]()
    for node, at_end in zip(nodes, last, strict=False):
        if isinstance(graph.op(node), (Reshape, Transpose)):
            continue
        step = _pointwise(graph, node, last=at_end) or _linear(graph, node, last=at_end)
        if step is None:
            return None
        found.append(step)
    return found


def placed(edit: Edit, x: Value, step: Step, *, rank: int) -> Value:
    """The step on x (N, C, *spatial)."""
    graph, ones = edit.graph, (1,) * (rank - 2)
    kind = graph.type(step.named).dtype.numpy

    def constant(numbers: Vector, shape: tuple[int, ...], like: Value | None) -> Value:
        return edit.constant(np.ascontiguousarray(numbers).reshape(shape).astype(kind), like=like)

    if isinstance(step, Pointwise):
        number = constant(step.numbers, (step.numbers.size, *ones), step.named)
        return edit.add(graph.op(step.node), *((number, x) if step.first else (x, number)), like=step.node)
    weight = constant(step.matrix.T, (*step.matrix.shape[::-1], *ones), step.named)
    if step.bias is None:
        return edit.add(Conv.of(rank - 2), x, weight, like=step.node)
    bias = constant(step.bias, (step.bias.size,), step.bias_named)
    return edit.add(Conv.of(rank - 2), x, weight, bias, like=step.node)


def _given(graph: Graph, node: int) -> tuple[Dim, ...] | None:
    value = carried(graph, node)
    return None if value is None else graph.type(value).shape


def _linear(graph: Graph, node: int, *, last: bool) -> Linear | None:
    """A product with a constant matrix on the side of the channels."""
    op, (left, right, *rest) = graph.op(node), graph.operands(node)
    if not isinstance(op, (MatMul, Gemm)):
        return None
    gemm, named = op if isinstance(op, Gemm) else Gemm(), right if last else left
    matrix, added = graph.constant(named), rest[0] if rest else None
    if matrix is None or named is None or len(matrix.shape) != 2 or gemm.transA:
        return None
    if carried(graph, node) == named or (rest and not last):
        return None
    wide = matrix.numpy().astype(np.float64)
    wide = gemm.alpha * (wide if last != bool(gemm.transB) else wide.T)
    bias = None if added is None else _numbers(graph.constant(added), channels=wide.shape[1], rank=2)
    if added is not None and bias is None:
        return None
    bias = None if bias is None else gemm.beta * np.broadcast_to(bias, wide.shape[1:])
    return Linear(node, wide, bias, named, added)


def _pointwise(graph: Graph, node: int, *, last: bool) -> Pointwise | None:
    """An operation with a constant that has one element, or one a channel."""
    op, value = graph.op(node), carried(graph, node)
    if not isinstance(op, _POINTWISE) or value is None:
        return None
    shape, first = graph.type(value).shape, graph.operand(node, 1) == value
    named = graph.operand(node, 0 if first else 1)
    if shape is None or named is None or not isinstance(channels := shape[-1 if last else 0], int):
        return None
    numbers = _numbers(graph.constant(named), channels=channels, rank=len(shape), axis=-1 if last else 0)
    return None if numbers is None else Pointwise(node, numbers, named, first)


def _numbers(constant: Tensor | None, *, channels: int, rank: int, axis: int = -1) -> Vector | None:
    """A constant as one float64 number, or one a channel along ``axis``; None when it is anything else."""
    if constant is None or constant.size not in (1, channels):
        return None
    shape = (1,) * (rank - len(constant.shape)) + constant.shape
    return constant.numpy().astype(np.float64).reshape(-1) if shape[axis] == constant.size else None


def nodes_between(graph: Graph, value: Value | None) -> Iterator[int]:
    """The nodes that make a value, the last one first, back to the transposition of three axes or more."""
    while value is not None and not is_turn(graph.producer(value), rank=graph.type(value).rank):
        yield value.node
        value = carried(graph, value.node)


def is_turn(op: Op, *, rank: int | None) -> bool:
    """Whether an operation is a transposition of other than two axes."""
    return isinstance(op, Transpose) and rank != 2
