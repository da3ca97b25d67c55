"""A Slice that cuts ends off a convolution's result: what the rewrites of the two have in common."""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Conv, Convolution, ConvTranspose, Op, Pad, Slice
from convgraph.ir.tensor import Dim
from convgraph.passes.cleanup.slices import left_out
from convgraph.passes.fusion.after_convolution import AfterConvolution, convolution, convolution_before
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicedConv(AfterConvolution):
    """A convolution and the Slice of its result, or the Pad that crops it.

    ``cut`` is how much goes at the begin, then at the end of each spatial axis, in the order of pads; None
    when that is not known or something else is taken. ``pads`` are those of a convolution that does not make
    what is cut off, negative where it would have to read less; None when they are not known.
    """

    cut: tuple[int, ...] | None
    pads: tuple[int, ...] | None


@dataclass(frozen=True, kw_only=True)
class TakeFromConvolution(Rewrite[SlicedConv]):
    """A rewrite of a convolution and a Slice to a convolution that makes no more than the Slice takes."""

    name: ClassVar[str]
    roots: ClassVar[tuple[type[Op], ...]] = (Slice, Pad)

    def find(self, graph: Graph, node: int) -> SlicedConv | None:
        """A Slice or Pad of a convolution's result; a fused activation has no operands of its own."""
        conv = convolution_before(graph, graph.operand(node, 0))
        if conv is None or len(graph.operands(conv)) > 3:
            return None
        cut = _cut(graph, node)
        return SlicedConv(conv=conv, result=Value(node, 0), cut=cut, pads=_pads(graph, conv, cut))

    @requirement
    def it_cuts_off_ends(self, graph: Graph, m: SlicedConv) -> bool:
        """It takes all but a constant number of elements at the ends of spatial axes, each in turn."""
        return m.cut is not None

    @requirement
    def the_pads_are_known(self, graph: Graph, m: SlicedConv) -> bool:
        """The padding is given as numbers, or follows from sizes that are known."""
        return m.pads is not None

    @requirement
    def nothing_else_reads_the_convolution(self, graph: Graph, m: SlicedConv) -> bool:
        """Only the Slice reads the convolution's result, and the graph does not return it."""
        return graph.sole_reader(Value(m.conv, 0)) is not None


def _cut(graph: Graph, node: int) -> tuple[int, ...] | None:
    data, gone = graph.operand(node, 0), left_out(graph, node)
    rank = None if data is None else graph.type(data).rank
    if gone is None or rank is None or any(any(ends) for axis, ends in gone.items() if axis < 2):
        return None
    return tuple(gone.get(axis, (0, 0))[end] for end in (0, 1) for axis in range(2, rank))


def _pads(graph: Graph, conv: int, cut: tuple[int, ...] | None) -> tuple[int, ...] | None:
    x, weight = graph.operands(conv)[:2]
    assert x is not None
    assert weight is not None
    op = convolution(graph, conv)
    assert isinstance(op, (Conv, ConvTranspose))
    pads = op.padded_explicitly(graph.type(x), graph.type(weight))
    if pads is None or cut is None:
        return None
    # The pads of a transposed convolution crop its result; those of the other kind move its first window.
    steps = (1,) * len(cut) if isinstance(op, ConvTranspose) else tuple(-stride for stride in op.strides) * 2
    return tuple(pad + step * gone for pad, step, gone in zip(pads, steps, cut, strict=True))


def least_left(graph: Graph, m: SlicedConv) -> list[int]:
    """How many elements each axis that is cut keeps at least, sizes left open being 1 or more."""
    x, weight = graph.operands(m.conv)[:2]
    assert x is not None
    assert weight is not None
    assert m.pads is not None
    assert m.cut is not None
    op, rank = convolution(graph, m.conv), len(m.pads) // 2
    left = []
    for axis in range(rank):
        if m.cut[axis] or m.cut[axis + rank]:
            kernel, padding = graph.type(weight).dim(2 + axis), m.pads[axis] + m.pads[axis + rank]
            size = least(graph.type(x).dim(2 + axis))
            left.append(_made(op, axis, size=size, kernel=kernel, padding=padding))
    return left


def _made(op: Convolution, axis: int, *, size: int, kernel: Dim, padding: int) -> int:
    """How many elements a convolution makes along an axis, 0 when it has no window that fits."""
    if not isinstance(kernel, int):
        return 0
    reach = op.dilations[axis] * (kernel - 1)
    if isinstance(op, ConvTranspose):
        return op.strides[axis] * (size - 1) + op.output_paddings[axis] + reach + 1 - padding
    return (size + padding - reach - 1) // op.strides[axis] + 1


def least(size: Dim) -> int:
    """A size, or the least it can be when it is open."""
    return size if isinstance(size, int) else 1
