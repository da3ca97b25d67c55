"""What the rewrites that spell a transposed convolution with other operations have in common."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Concat, Conv, ConvTranspose, DepthToSpace, Op
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.constant_weight import constant_weight
from convgraph.passes.algebra.outer_taps import known_pads
from convgraph.passes.algebra.phases import Axis, Part, phase_conv, phase_weight
from convgraph.passes.algebra.pixels import cropped, interleaved
from convgraph.passes.rewrite import Measure, Rewrite, requirement

MOST_PARTS = 16  # convolutions in the place of one
_FURTHEST = 4096  # pixels: strides and dilations beyond, in a damaged model, would be spelled tap by tap

BEFORE_IT_IS_SPELLED = (
    "fold-batchnorm-into-conv",
    "fold-channel-order-into-conv",
    "fold-scale-into-conv",
    "fold-shift-into-conv",
    "fuse-activation-into-conv",
    "lower-interpolating-conv-transpose-to-resize",
)
"""What a transposed convolution has to meet as one operation: rewrites that spell it come after these."""

Made = dict[tuple[Conv, tuple[int, ...], bytes], Value]
"""The results of convolutions, by the operation and its weight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransposedConv:
    """A transposed convolution."""

    conv: int


def transposed_count(graph: Graph) -> int:
    """Measure: how many transposed convolutions there are."""
    return sum(isinstance(graph.op(node), ConvTranspose) for node in graph.nodes())


@dataclass(frozen=True, kw_only=True)
class SpellsConvTranspose(Rewrite[TransposedConv]):
    """A rewrite that spells a transposed convolution with convolutions and what moves pixels."""

    name: ClassVar[str]
    roots: ClassVar[tuple[type[Op], ...]] = (ConvTranspose,)
    lowers: ClassVar[tuple[type[Op], ...]] = (ConvTranspose,)
    measure: ClassVar[Measure] = staticmethod(transposed_count)

    def find(self, graph: Graph, node: int) -> TransposedConv | None:
        """Any transposed convolution that leaves something of its output: no window fits in nothing."""
        op, shape = transposed(graph, node), graph.type(Value(node, 0)).shape or ()
        if 0 in shape or max((*op.strides, *op.dilations), default=1) > _FURTHEST:
            return None
        return TransposedConv(conv=node)

    @requirement
    def the_weights_are_constant(self, graph: Graph, m: TransposedConv) -> bool:
        """The weight and the bias are constants that no caller can override."""
        _, weight, *rest = graph.operands(m.conv)
        return all(graph.constant(v) is not None for v in (weight, *rest[:1]) if v is not None)


@dataclass(frozen=True, kw_only=True)
class LowersConvTranspose(SpellsConvTranspose):
    """One for images of any size, as long as the padding is known."""

    name: ClassVar[str]

    @requirement
    def the_pads_are_known(self, graph: Graph, m: TransposedConv) -> bool:
        """The padding is given as numbers or follows from sizes that are known."""
        return known_pads(graph, m.conv) is not None


def transposed(graph: Graph, node: int) -> ConvTranspose:
    """The operation of a node that is known to be a ConvTranspose."""
    op = graph.op(node)
    assert isinstance(op, ConvTranspose)
    return op


def axes_of(graph: Graph, node: int) -> list[Axis]:
    """The spatial axes of a transposed convolution whose weight is constant and whose pads are known."""
    op, pads, rank = transposed(graph, node), known_pads(graph, node), transposed(graph, node).spatial_rank
    kernel = constant_weight(graph, node)[1].shape[2:]
    assert pads is not None
    numbers = zip(kernel, op.strides, op.dilations, pads[:rank], pads[rank:], op.output_paddings, strict=True)
    return [Axis(*axis) for axis in numbers]


def spell(
    edit: Edit, node: int, *, x: Value, axes: Sequence[Axis], weight: Array, apart: bool = False
) -> None:
    """Put the phases of ``weight`` over x, interleaved, in the place of a transposed convolution.

    One convolution makes them all, or with ``apart`` one makes each.
    """
    graph = edit.graph
    combined = list(product(*(axis.apart for axis in axes))) if apart else [[axis.whole for axis in axes]]
    inside = apart or takes_activation(graph, node)
    known: Made = {}
    made = [
        phases(edit, node, x=x, parts=parts, weight=weight, activated=inside, known=known)
        for parts in combined
    ]
    y = made[0] if len(made) == 1 else edit.add(Concat(axis=1), *made)
    y = _spread(edit, y, strides=[axis.stride for axis in axes], block_first=apart)
    begins, ends = zip(*(axis.surplus for axis in axes), strict=True)
    settle(edit, node, cropped(edit, y, begins=begins, ends=ends), activated=inside)


def takes_activation(graph: Graph, node: int) -> bool:
    """Whether a fused activation does the same to phases side by side in the channels.

    A parameter for each channel would have to follow the channels.
    """
    return all(v is None or graph.type(v).size == 1 for v in graph.operands(node)[3:])


def settle(edit: Edit, node: int, y: Value, *, activated: bool) -> None:
    """Put y in the place of a transposed convolution; unless ``activated`` its activation comes after."""
    activation = transposed(edit.graph, node).activation
    if activation is not None and not activated:
        y = edit.add(activation, y, *edit.graph.operands(node)[3:])
    edit.replace(edit.graph.results(node)[0], y)


def phases(
    edit: Edit,
    node: int,
    *,
    x: Value,
    parts: Sequence[Part],
    weight: Array,
    activated: bool,
    known: Made,
) -> Value:
    """Some phases of a transposed convolution, side by side in the channels.

    ``known`` are the convolutions that other phases have been made by: an equal one is not made again.
    """
    graph, old = edit.graph, transposed(edit.graph, node)
    _, old_weight, *rest = graph.operands(node)
    bias, parameters = (rest[0] if rest else None), rest[1:]
    conv = replace(phase_conv(parts, group=old.group), activation=old.activation if activated else None)
    kernel = phase_weight(parts, weight, group=old.group)
    key = conv, kernel.shape, kernel.tobytes()
    if key in known:
        return _without_excess(edit, known[key], parts)
    operands = (
        edit.constant(kernel, like=old_weight),
        None if bias is None else _repeated(edit, bias, math.prod(len(part.taps) for part in parts)),
        *(parameters if activated else ()),
    )
    given = operands if any(v is not None for v in operands[1:]) else operands[:1]
    known[key] = edit.add(conv, x, *given, like=None if known else node)
    return _without_excess(edit, known[key], parts)


def _without_excess(edit: Edit, x: Value, parts: Sequence[Part]) -> Value:
    begins, ends = zip(*(part.excess for part in parts), strict=True)
    return cropped(edit, x, begins=begins, ends=ends)


def _spread(edit: Edit, x: Value, *, strides: Sequence[int], block_first: bool) -> Value:
    """The phases, side by side in the channels, interleaved."""
    if max(strides) == 1:
        return x
    # Before opset 11 a DepthToSpace knows one order of its channels: the block's place first.
    if len(strides) == 2 and len(set(strides)) == 1 and (block_first or edit.graph.model.opset >= 11):
        return edit.add(DepthToSpace(blocksize=strides[0], mode="DCR" if block_first else "CRD"), x)
    return interleaved(edit, x, block=strides, block_first=block_first)


def _repeated(edit: Edit, bias: Value, times: int) -> Value:
    tensor = edit.graph.constant(bias)
    assert tensor is not None
    return bias if times == 1 else edit.constant(np.repeat(tensor.numpy(), times), like=bias)
