"""What the rewrites that spell a transposed convolution with other operations have in common."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import ConvTranspose, DepthToSpace, Op
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.constant_weight import constant_weight
from convgraph.passes.algebra.phases import Axis, phase_conv, phase_weight
from convgraph.passes.algebra.pixels import cropped, interleaved
from convgraph.passes.rewrite import Measure, Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class TransposedConv:
    """A transposed convolution."""

    conv: int


def transposed_count(graph: Graph) -> int:
    """Measure: how many transposed convolutions there are."""
    return sum(isinstance(graph.op(node), ConvTranspose) for node in graph.nodes())


@dataclass(frozen=True, kw_only=True)
class LowersConvTranspose(Rewrite[TransposedConv]):
    """A rewrite that spells a transposed convolution with a convolution and what moves pixels."""

    name: ClassVar[str]
    roots: ClassVar[tuple[type[Op], ...]] = (ConvTranspose,)
    lowers: ClassVar[tuple[type[Op], ...]] = (ConvTranspose,)
    measure: ClassVar[Measure] = staticmethod(transposed_count)

    def find(self, graph: Graph, node: int) -> TransposedConv | None:
        """Any transposed convolution."""
        return TransposedConv(conv=node)

    @requirement
    def the_weights_are_constant(self, graph: Graph, m: TransposedConv) -> bool:
        """The weight and the bias are constants that no caller can override."""
        _, weight, *rest = graph.operands(m.conv)
        return all(graph.constant(v) is not None for v in (weight, *rest[:1]) if v is not None)

    @requirement
    def the_pads_are_known(self, graph: Graph, m: TransposedConv) -> bool:
        """The padding is given as numbers or follows from sizes that are known, and takes nothing away."""
        pads = known_pads(graph, m.conv)
        return pads is not None and min(pads, default=0) >= 0


def transposed(graph: Graph, node: int) -> ConvTranspose:
    """The operation of a node that is known to be a ConvTranspose."""
    op = graph.op(node)
    assert isinstance(op, ConvTranspose)
    return op


def known_pads(graph: Graph, node: int) -> tuple[int, ...] | None:
    """The pads of a transposed convolution as numbers; None while they depend on an unknown size."""
    op, (x, weight) = transposed(graph, node), graph.operands(node)[:2]
    assert x is not None
    assert weight is not None
    kind = graph.type(x)
    if op.output_shape is None:  # then the padding is the same at any size
        kind = kind.with_shape((None, None, *[1] * op.spatial_rank))
    return op.padded_explicitly(kind, graph.type(weight))


def axes_of(graph: Graph, node: int) -> list[Axis]:
    """The spatial axes of a transposed convolution whose weight is constant and whose pads are known."""
    op, pads, rank = transposed(graph, node), known_pads(graph, node), transposed(graph, node).spatial_rank
    kernel = constant_weight(graph, node)[1].shape[2:]
    assert pads is not None
    numbers = zip(kernel, op.strides, op.dilations, pads[:rank], pads[rank:], op.output_paddings, strict=True)
    return [Axis(*axis) for axis in numbers]


def spell(edit: Edit, node: int, *, x: Value, axes: Sequence[Axis], weight: Array) -> None:
    """Put the phases of ``weight`` over x, interleaved, in the place of a transposed convolution."""
    graph, old = edit.graph, transposed(edit.graph, node)
    _, old_weight, *rest = graph.operands(node)
    strides = [axis.stride for axis in axes]
    bias, parameters = (rest[0] if rest else None), rest[1:]
    # A parameter for each channel would have to follow the channels; the activation then stays behind.
    inside = all(v is None or graph.type(v).size == 1 for v in parameters)
    conv = replace(phase_conv(axes, group=old.group), activation=old.activation if inside else None)
    operands = (
        edit.constant(phase_weight(axes, weight, group=old.group), like=old_weight),
        None if bias is None else _repeated(edit, bias, math.prod(strides)),
        *(parameters if inside else ()),
    )
    given = operands if any(v is not None for v in operands[1:]) else operands[:1]
    y = _spread(edit, edit.add(conv, x, *given, like=node), strides=strides)
    begins, ends = zip(*(axis.surplus for axis in axes), strict=True)
    y = cropped(edit, y, begins=begins, ends=ends)
    if old.activation is not None and not inside:
        y = edit.add(old.activation, y, *parameters)
    edit.replace(graph.results(node)[0], y)


def _spread(edit: Edit, x: Value, *, strides: Sequence[int]) -> Value:
    """The phases, side by side in the channels, interleaved."""
    if max(strides) == 1:
        return x
    # Before opset 11 a DepthToSpace numbers its channels otherwise.
    if len(strides) == 2 and len(set(strides)) == 1 and edit.graph.model.opset >= 11:
        return edit.add(DepthToSpace(blocksize=strides[0], mode="CRD"), x)
    return interleaved(edit, x, block=strides)


def _repeated(edit: Edit, bias: Value, times: int) -> Value:
    tensor = edit.graph.constant(bias)
    assert tensor is not None
    return bias if times == 1 else edit.constant(np.repeat(tensor.numpy(), times), like=bias)
