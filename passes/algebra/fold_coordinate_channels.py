"""Convolve the channels that are the same for every input once and for all.

    conv(concat(x, c), W, b)  ->  conv(x, W_x, b) + conv(c, W_c)        c constant, so is conv(c, W_c)

W_x are the columns of W for the channels of x. Coordinates of the pixels are such channels (Liu et al., An
Intriguing Failing of Convolutional Neural Networks and the CoordConv Solution, 2018), so are a mask or a
positional code. The map has the size of the result, which must be known; its border sees the padding as the
convolution does. Adding it is a pass over the result: the target says whether that takes longer than the
multiplications it saves. With onnxruntime it pays where the channels come in fours without the constant ones
only, and so may keep to its blocked layout (measured, one thread: 1.1 to 1.8 times as fast; elsewhere 0.8 to
1.3 times). Exact in real arithmetic.
"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, Conv, Expand, Op
from convgraph.ir.tensor import Array, Tensor
from convgraph.numerics.evaluate import evaluate_op
from convgraph.passes.algebra.joined import (
    ConvOfConcat,
    SumOverParts,
    channels,
    columns,
    convolved,
    joined_parts,
)
from convgraph.passes.algebra.outer_taps import convolution, known_pads
from convgraph.passes.rewrite import PricedRewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvOfCoordinates(ConvOfConcat):
    """A convolution of a Concat, and which of its parts are constant."""

    constants: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class FoldCoordinateChannels(SumOverParts[ConvOfCoordinates], PricedRewrite[ConvOfCoordinates]):
    """Convolve the channels that are the same for every input once and for all.

    ``size_limit`` is how many bytes the map may have.
    """

    name: ClassVar[str] = "fold-coordinate-channels"
    roots: ClassVar[tuple[type[Op], ...]] = (Conv,)

    size_limit: int = 1 << 20

    def find(self, graph: Graph, node: int) -> ConvOfCoordinates | None:
        """A convolution of something and constants, perhaps expanded over the samples."""
        found = joined_parts(graph, node)
        if found is None:
            return None
        places = tuple(place for place, part in enumerate(found[1]) if _constant(graph, part) is not None)
        if not 0 < len(places) < len(found[1]):
            return None
        return ConvOfCoordinates(conv=node, joined=found[0], parts=found[1], constants=places)

    @requirement
    def the_sizes_are_known(self, graph: Graph, m: ConvOfCoordinates) -> bool:
        """Height and width of what is joined are numbers."""
        shape = graph.type(m.joined).shape
        return shape is not None and all(isinstance(size, int) for size in shape[2:])

    @requirement
    def the_map_is_small(self, graph: Graph, m: ConvOfCoordinates) -> bool:
        """The map that is added takes no more bytes than the size limit allows."""
        result = graph.type(Value(m.conv, 0))
        sizes = [size for size in (result.shape or ())[1:] if isinstance(size, int)]
        constants = (_constant(graph, m.parts[place]) for place in m.constants)
        shapes = [tensor.shape for tensor in constants if tensor is not None]
        samples = max(shape[0] if len(shape) == result.rank else 1 for shape in shapes)
        return samples * math.prod(sizes) * result.dtype.bits // 8 <= self.size_limit

    def replaces(self, graph: Graph, match: ConvOfCoordinates) -> tuple[int, ...]:
        """The convolution, the Concat, and what makes constants wider."""
        wide = (match.parts[place].node for place in match.constants)
        made = (node for node in wide if isinstance(graph.op(node), Expand))
        return (match.conv, match.joined.node, *dict.fromkeys(made))

    def apply(self, edit: Edit, m: ConvOfCoordinates) -> None:
        """Put a convolution of the rest, plus the map, in place of the convolution."""
        places = [place for place in range(len(m.parts)) if place not in m.constants]
        added = _map(edit.graph, m)
        sources, bias = [m.parts[place] for place in places], edit.graph.operand(m.conv, 2)
        rest = convolved(edit, m, places=places, sources=sources, bias=bias)
        weight = edit.graph.operand(m.conv, 1)
        edit.replace(Value(m.conv, 0), edit.add(Add(), rest, edit.constant(added, like=weight)))


def _constant(graph: Graph, part: Value) -> Tensor | None:
    """The constant that a part is, or is an Expand of."""
    source = graph.operand(part.node, 0) if isinstance(graph.producer(part), Expand) else part
    return graph.constant(source)


def _coordinates(graph: Graph, m: ConvOfCoordinates) -> list[Array]:
    """The constant channels, each (1, C, *in), or one image a sample where they differ."""
    found, sizes = [], [size for size in (graph.type(m.joined).shape or ())[2:] if isinstance(size, int)]
    for place in m.constants:
        tensor = _constant(graph, m.parts[place])
        assert tensor is not None
        array = tensor.numpy().reshape(*(1,) * (2 + len(sizes) - len(tensor.shape)), *tensor.shape)
        alike = array[:1] if (array == array[:1]).all() else array
        found.append(np.broadcast_to(alike, (len(alike), channels(graph, m)[place], *sizes)))
    return found


def _map(graph: Graph, m: ConvOfCoordinates) -> Array:
    """What the constant channels add to each pixel: (1, M, *out), or a map a sample."""
    pads, parts, weight = known_pads(graph, m.conv), _coordinates(graph, m), columns(graph, m, m.constants)
    assert pads is not None
    samples = max(len(array) for array in parts)
    joined = np.concatenate([np.broadcast_to(a, (samples, *a.shape[1:])) for a in parts], axis=1)
    op = replace(convolution(graph, m.conv), pads=pads, auto_pad="NOTSET")
    return evaluate_op(op, [joined, weight])[0].astype(weight.dtype)
