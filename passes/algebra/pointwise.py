"""Convolutions of one pixel: what the rewrites that let another operation change places with them share."""

from dataclasses import dataclass
from typing import ClassVar, TypeVar

from convgraph.ir.graph import Graph, Value
from convgraph.passes.algebra.outer_taps import convolution, known_pads
from convgraph.passes.rewrite import Measure, PricedRewrite, requirement, target_cost


@dataclass(frozen=True, slots=True, kw_only=True)
class BesideConv:
    """A convolution and the result of the operation that reads it, or that it reads."""

    conv: int
    other: Value


M = TypeVar("M", bound=BesideConv)


@dataclass(frozen=True, kw_only=True)
class MovePointwiseConv(PricedRewrite[M]):
    """A rewrite that lets a pointwise convolution change places with a neighbour."""

    name: ClassVar[str]
    measure: ClassVar[Measure] = staticmethod(target_cost)

    @requirement
    def the_convolution_is_pointwise(self, graph: Graph, m: M) -> bool:
        """The kernel is one pixel, moved by one, without padding."""
        return is_pointwise(graph, m.conv)

    def replaces(self, graph: Graph, match: M) -> tuple[int, ...]:
        """Both operations."""
        return (match.conv, match.other.node)


def is_pointwise(graph: Graph, conv: int) -> bool:
    """Whether each output pixel of a Conv depends on the one input pixel in its place."""
    return reads_single_pixels(graph, conv) and set(convolution(graph, conv).strides) <= {1}


def reads_single_pixels(graph: Graph, conv: int) -> bool:
    """Whether each output pixel of a Conv, perhaps a strided one, depends on one input pixel."""
    weight, pads = graph.operand(conv, 1), known_pads(graph, conv)
    shape = None if weight is None else graph.type(weight).shape
    return shape is not None and set(shape[2:]) <= {1} and pads is not None and not any(pads)
