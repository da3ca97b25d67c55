"""A convolution of joined channels as a sum of convolutions, one for each group of the parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar, TypeVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Concat, Expand
from convgraph.ir.tensor import Array, Dim
from convgraph.passes.algebra.constant_weight import LooksIntoWeight, WeightedConv, constant_weight
from convgraph.passes.algebra.outer_taps import convolution
from convgraph.passes.rewrite import requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvOfConcat(WeightedConv):
    """A convolution, the joined value it reads, and the parts of that."""

    joined: Value
    parts: tuple[Value, ...]


M = TypeVar("M", bound=ConvOfConcat)


@dataclass(frozen=True, kw_only=True)
class SumOverParts(LooksIntoWeight[M]):
    """A rewrite of ``conv(concat(a, b))`` to ``conv(a) + conv(b)``, with what then is simpler."""

    name: ClassVar[str]

    @requirement
    def the_convolution_is_a_plain_sum(self, graph: Graph, m: M) -> bool:
        """It has one group, so that it reads every part, and no activation."""
        op = convolution(graph, m.conv)
        return op.group == 1 and op.activation is None

    @requirement
    def known_numbers_of_channels_are_joined(self, graph: Graph, m: M) -> bool:
        """The parts are joined along the channel axis, and how many channels each has is known."""
        concat = graph.producer(m.joined)
        assert isinstance(concat, Concat)
        return concat.axis in (1, 1 - len(convolution(graph, m.conv).strides) - 2) and bool(
            channels(graph, m)
        )


def joined_parts(graph: Graph, conv: int) -> tuple[Value, tuple[Value, ...]] | None:
    """What a convolution reads and the parts of it, when that is a Concat."""
    joined = graph.operand(conv, 0)
    if joined is None or not isinstance(graph.producer(joined), Concat):
        return None
    return joined, tuple(part for part in graph.operands(joined.node) if part is not None)


def channels(graph: Graph, m: ConvOfConcat) -> list[int]:
    """How many channels each part has; none when that is not known.

    An Expand makes no fewer channels than it is given, and no more where the weight's are then used up.
    """
    weight, sizes = graph.operand(m.conv, 1), [_least_channels(graph, part) for part in m.parts]
    known = [size for size in sizes if isinstance(size, int)]
    total = None if weight is None else graph.type(weight).dim(1)
    return known if len(known) == len(sizes) and sum(known) == total else []


def _least_channels(graph: Graph, part: Value) -> Dim:
    size, source = graph.type(part).dim(1), graph.operand(part.node, 0)
    if size is not None or source is None or not isinstance(graph.producer(part), Expand):
        return size
    return graph.type(source).dim(1) if graph.type(source).rank == graph.type(part).rank else None


def columns(graph: Graph, m: ConvOfConcat, places: Sequence[int]) -> Array:
    """The weight for the channels of the parts in some places."""
    _, array = constant_weight(graph, m.conv)
    pieces = np.split(array, list(accumulate(channels(graph, m)))[:-1], axis=1)
    return np.concatenate([pieces[place] for place in places], axis=1)


def convolved(
    edit: Edit, m: ConvOfConcat, *, places: Sequence[int], sources: Sequence[Value | None], bias: Value | None
) -> Value:
    """The share that some parts have in the convolution, computed from ``sources`` in their stead."""
    weight, _ = constant_weight(edit.graph, m.conv)
    x = sources[0] if len(sources) == 1 else edit.add(Concat(axis=1), *sources, like=m.joined.node)
    chosen = edit.constant(columns(edit.graph, m, places), like=weight)
    return edit.add(edit.graph.op(m.conv), x, chosen, bias, like=m.conv)
