"""Dilate a convolution instead of moving the phases of its image to the batch and back.

    to_space(conv(to_batch(x; r), W, b; dilation d, pads p); r)  ->  conv(x, W, b; dilation d·r, pads p·r)

to_batch puts every r-th pixel of each spatial axis into one image, r·r images of each, and to_space joins
them again; the convolution has stride 1. Exact: each result is the same sum. TensorFlow spelled dilated
convolutions so (SpaceToBatchND and BatchToSpaceND); exporters write either as a chain of Reshape, Transpose,
SpaceToDepth and Pad. What a chain does is found by moving the numbers of all elements through it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Conv, DepthToSpace, Op, Pad, Reshape, SpaceToDepth, Transpose
from convgraph.ir.tensor import Array
from convgraph.numerics.evaluate import evaluate_op
from convgraph.passes.algebra.outer_taps import convolution, known_pads
from convgraph.passes.rewrite import Rewrite, requirement

_MOVES = (Reshape, Transpose, SpaceToDepth, DepthToSpace, Pad)
_LONGEST = 6  # operations in a chain
_Chain = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchedConv:
    """x, the convolution and the chain after it, the steps between pixels of one image, and x's pads."""

    x: Value
    conv: int
    after: _Chain
    steps: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class AbsorbBatchesIntoConv(Rewrite[BatchedConv]):
    """Dilate a convolution instead of moving the phases of its image to the batch and back."""

    name: ClassVar[str] = "absorb-batches-into-conv"
    roots: ClassVar[tuple[type[Op], ...]] = (Conv,)

    def find(self, graph: Graph, node: int) -> BatchedConv | None:
        """A convolution of pixels that a chain of moves puts into the batch, and another brings back."""
        images, made = graph.operand(node, 0), Value(node, 0)
        if images is None or not isinstance(graph.producer(images), _MOVES) or len(graph.operands(node)) > 3:
            return None
        for before, x in _upwards(graph, images):
            phases = _phases(graph, x, before)
            if phases is None:
                continue
            steps, pads = phases
            for after in _downwards(graph, made):
                if _joins(graph, made, after, steps=steps, samples=graph.type(x).dim(0)):
                    return BatchedConv(x=x, conv=node, after=after, steps=steps, pads=pads)
        return None

    @requirement
    def it_takes_every_pixel(self, graph: Graph, m: BatchedConv) -> bool:
        """The convolution has stride 1."""
        return set(convolution(graph, m.conv).strides) == {1}

    def apply(self, edit: Edit, m: BatchedConv) -> None:
        """Put a dilated convolution in the place of both chains."""
        op, own = convolution(edit.graph, m.conv), known_pads(edit.graph, m.conv)
        assert own is not None
        y, rank = m.x, len(m.steps)
        if any(map(any, m.pads)):
            amounts = np.array(((0, 0), (0, 0), *m.pads), np.int64).T.reshape(-1)
            y = edit.add(Pad(), y, edit.constant(amounts, name="pads"))
        wide = replace(
            op,
            dilations=tuple(d * step for d, step in zip(op.dilations, m.steps, strict=True)),
            pads=tuple(pad * m.steps[place % rank] for place, pad in enumerate(own)),
            auto_pad="NOTSET",
        )
        dilated = edit.add(wide, y, *edit.graph.operands(m.conv)[1:], like=m.conv)
        edit.replace(Value(m.after[-1], 0), dilated)


def _upwards(graph: Graph, value: Value) -> Iterator[tuple[_Chain, Value]]:
    """The moves that make a value, in order, and what they move: the last one alone, the last two, and on."""
    chain: _Chain = ()
    while isinstance(graph.producer(value), _MOVES) and len(chain) < _LONGEST:
        x, *numbers = graph.operands(value.node)
        if x is None or any(number is not None and graph.constant(number) is None for number in numbers):
            return
        chain, value = (value.node, *chain), x
        yield chain, value


def _downwards(graph: Graph, value: Value) -> Iterator[_Chain]:
    """The moves that a value goes through, as long as they are its only readers."""
    chain: _Chain = ()
    while (use := graph.sole_reader(value)) is not None and len(chain) < _LONGEST:
        numbers = graph.operands(use.node)[1:]
        if not isinstance(graph.op(use.node), _MOVES) or use.slot != 0:
            return
        if any(number is not None and graph.constant(number) is None for number in numbers):
            return
        chain, value = (*chain, use.node), Value(use.node, 0)
        yield chain


def _moved(graph: Graph, chain: _Chain, array: Array) -> Array:
    for node in chain:
        tensors = [graph.constant(number) for number in graph.operands(node)[1:]]
        operands = [array, *(None if tensor is None else tensor.numpy() for tensor in tensors)]
        result = evaluate_op(graph.op(node), operands, outputs=1)[0]
        assert result is not None
        array = result
    return array


def _phases(
    graph: Graph, x: Value, chain: _Chain
) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]] | None:
    """The steps and pads with which a chain moves the pixels of x to the batch; None when it does not."""
    shape, made = graph.type(x).static_shape, graph.type(Value(chain[-1], 0)).static_shape
    if shape is None or made is None or len(shape) != len(made) or shape[1] != made[1]:
        return None
    if not shape[0] or made[0] % shape[0] or made[0] == shape[0] or 0 in (*shape, *made):
        return None
    numbers = np.arange(1, math.prod(shape) + 1).reshape(shape)  # 0 is what a Pad adds
    moved = _moved(graph, chain, numbers)
    places_of_first = np.argwhere(moved == 1).tolist()
    if len(places_of_first) != 1:
        return None
    sample, _, *first = places_of_first[0]
    for steps in _factored(made[0] // shape[0], len(first)):
        places = np.unravel_index(sample // shape[0], steps)
        begins = [at * step + int(place) for at, step, place in zip(first, steps, places, strict=True)]
        sizes = zip(made[2:], steps, shape[2:], begins, strict=True)
        pads = tuple((begin, after * step - size - begin) for after, step, size, begin in sizes)
        if min(end for _, end in pads) < 0:
            continue
        padded = np.pad(numbers, ((0, 0), (0, 0), *pads))
        if np.array_equal(_in_batch(padded, steps), moved):
            return steps, pads
    return None


def _joins(graph: Graph, made: Value, chain: _Chain, *, steps: tuple[int, ...], samples: object) -> bool:
    """Whether a chain brings pixels back from the batch to where these steps would have taken them."""
    shape, after = graph.type(made).static_shape, graph.type(Value(chain[-1], 0)).static_shape
    if shape is None or after is None or len(after) != len(shape) or after[0] != samples:
        return False
    if after[2:] != tuple(size * step for size, step in zip(shape[2:], steps, strict=True)):
        return False
    numbers = np.arange(math.prod(shape)).reshape(shape)
    return np.array_equal(_in_batch(_moved(graph, chain, numbers), steps), numbers)


def _in_batch(x: Array, steps: tuple[int, ...]) -> Array:
    """Every pixel at these steps from another in one image: (N, C, *spatial) -> (N·Πr, C, *(spatial/r))."""
    rank = len(steps)
    sizes = [(size // step, step) for size, step in zip(x.shape[2:], steps, strict=True)]
    apart = x.reshape(*x.shape[:2], *(number for pair in sizes for number in pair))
    places, pixels = range(3, 3 + 2 * rank, 2), range(2, 2 + 2 * rank, 2)
    batch = apart.transpose(*places, 0, 1, *pixels)
    return batch.reshape(-1, x.shape[1], *(size for size, _ in sizes))


def _factored(number: int, count: int) -> Iterator[tuple[int, ...]]:
    """All ways to write a number as a product of so many."""
    divisors = [d for d in range(1, number + 1) if number % d == 0]
    return (ways for ways in product(divisors, repeat=count) if math.prod(ways) == number)
