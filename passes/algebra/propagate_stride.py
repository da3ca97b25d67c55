"""Do not compute the pixels that every reader skips.

    conv(x, W, b; stride s)[::t, ::t]  ->  conv(x, W, b; stride s·t)
    f(x, y)[::t, ::t]  ->  f(x[::t, ::t], y[::t, ::t])        f pointwise, or a Concat of channels

[::t] takes every t-th pixel: a 1×1 convolution of stride t, which keeps stride 1, a pool of one pixel, a
Slice with steps or a Resize to 1/t that copies pixels, which go. Step by step the stride wanders up to the
first operation that has other readers; in front of what is pointwise it waits as a MaxPool of one pixel.
Residual networks begin their stages with such convolutions (He et al., Deep Residual Learning, 2016): the
block before then computes a quarter. Exact.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Use, Value
from convgraph.ir.ops import (
    Activation,
    AveragePool,
    BatchNormalization,
    Binary,
    Concat,
    Conv,
    MaxPool,
    Op,
    Resize,
    Slice,
    Unary,
    Variadic,
)
from convgraph.ir.ops.layout import FAR, Cut
from convgraph.ir.tensor import Dim
from convgraph.passes.algebra.outer_taps import known_pads
from convgraph.passes.algebra.pointwise import reads_single_pixels
from convgraph.passes.algebra.repeated import scales_of
from convgraph.passes.cleanup.slices import constant_cuts
from convgraph.passes.rewrite import Measure, PricedRewrite, requirement, target_cost

Strides = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedPixels:
    """What is computed, the nodes that read it, and the strides at which they all do."""

    node: int
    readers: tuple[int, ...]
    strides: Strides


@dataclass(frozen=True, kw_only=True)
class PropagateStride(PricedRewrite[SkippedPixels]):
    """Do not compute the pixels that every reader skips."""

    name: ClassVar[str] = "propagate-stride"
    roots: ClassVar[tuple[type[Op], ...]] = (
        Conv,
        Activation,
        Unary,
        Binary,
        Variadic,
        BatchNormalization,
        Concat,
    )
    measure: ClassVar[Measure] = staticmethod(target_cost)

    def find(self, graph: Graph, node: int) -> SkippedPixels | None:
        """A convolution or pointwise operation that is read by takers of every t-th pixel only."""
        uses = graph.readers(Value(node, 0))
        first = _taken(graph, uses[0]) if uses else None
        if first is None or set(first) == {1} or not _keeps_pixels_apart(graph, node):
            return None
        if any(_taken(graph, use) != first for use in uses[1:]):
            return None
        return SkippedPixels(node=node, readers=tuple(use.node for use in uses), strides=first)

    @requirement
    def the_graph_does_not_return_it(self, graph: Graph, m: SkippedPixels) -> bool:
        """No caller gets all the pixels."""
        return not graph.is_output(Value(m.node, 0))

    @requirement
    def the_pads_are_known(self, graph: Graph, m: SkippedPixels) -> bool:
        """The padding is given as numbers, or follows from sizes that are known."""
        return not isinstance(graph.op(m.node), Conv) or known_pads(graph, m.node) is not None

    @requirement
    def each_operand_has_all_axes_or_one_pixel(self, graph: Graph, m: SkippedPixels) -> bool:
        """What is combined pointwise has every axis of the result, and can be pooled, or one pixel."""
        return all(_is_pixel(graph, m, value) or _is_image(graph, m, value) for value in _combined(graph, m))

    def replaces(self, graph: Graph, match: SkippedPixels) -> tuple[int, ...]:
        """The operation and its readers."""
        return (match.node, *dict.fromkeys(match.readers))

    def apply(self, edit: Edit, m: SkippedPixels) -> None:
        """Compute the pixels that are read, and read them all."""
        graph = edit.graph
        op, operands = graph.op(m.node), list(graph.operands(m.node))
        if isinstance(op, Conv):
            pads = known_pads(graph, m.node)
            assert pads is not None
            strides = tuple(s * t for s, t in zip(op.strides, m.strides, strict=True))
            op = replace(op, strides=strides, pads=pads, auto_pad="NOTSET")
        skipping = MaxPool.of((1,) * len(m.strides), strides=m.strides)
        images = [value for value in _combined(graph, m) if not _is_pixel(graph, m, value)]
        small = {value: edit.add(skipping, value) for value in dict.fromkeys(images)}
        operands = [value and small.get(value, value) for value in operands]
        y = edit.add(op, *operands, like=m.node)
        for reader in dict.fromkeys(m.readers):
            edit.replace(Value(reader, 0), _read(edit, reader, y))


def _keeps_pixels_apart(graph: Graph, node: int) -> bool:
    """Whether an operation of the roots is a convolution, or makes a pixel of the pixels in its place."""
    op, rank = graph.op(node), graph.type(Value(node, 0)).rank
    if isinstance(op, BatchNormalization):
        return not op.training_mode
    return not isinstance(op, Concat) or (rank is not None and op.axis % rank < 2)


def _read(edit: Edit, reader: int, y: Value) -> Value:
    """What a reader makes of the pixels it used to take."""
    op = edit.graph.op(reader)
    if not isinstance(op, Conv):
        return y
    every = Conv.of(op.spatial_rank, group=op.group)
    return edit.add(
        replace(every, activation=op.activation), y, *edit.graph.operands(reader)[1:], like=reader
    )


def _taken(graph: Graph, use: Use) -> Strides | None:
    """The strides at which a reader takes single pixels and does not look at the others; None if it does."""
    op = graph.op(use.node)
    if use.slot != 0:
        return None
    if isinstance(op, Conv):
        return op.strides if reads_single_pixels(graph, use.node) else None
    if isinstance(op, (MaxPool, AveragePool)):
        indices = any(graph.readers(v) or graph.is_output(v) for v in graph.results(use.node)[1:])
        single = {*op.kernel_shape} == {1} and not any(op.pads) and op.auto_pad in ("NOTSET", "VALID")
        return op.strides if single and not indices else None
    if isinstance(op, Resize):
        return _thinned(graph, use.node, op)
    return _steps(graph, use.node) if isinstance(op, Slice) else None


def _thinned(graph: Graph, node: int, op: Resize) -> Strides | None:
    """The strides at which a Resize copies pixels of axes whose sizes are known multiples of them.

    Powers of two alone: at others the places of pixels, computed as floats, are rounded.
    """
    image, scales = graph.operand(node, 0), scales_of(graph, node, op)
    assert image is not None
    copies = op.mode == "nearest" and op.coordinate_transformation_mode == "asymmetric"
    if not copies or scales is None or scales[:2] != [1, 1]:
        return None
    strides = [round(1 / scale) if 0 < scale <= 1 else 0 for scale in scales]
    sizes = zip(graph.type(image).shape or (), strides, scales, strict=True)
    return tuple(strides[2:]) if all(_divides(*axis) for axis in sizes) else None


def _divides(size: Dim, stride: int, scale: float) -> bool:
    whole = stride == 1 or (stride > 1 and isinstance(size, int) and size % stride == 0)
    return whole and stride & (stride - 1) == 0 and stride * scale == 1


def _steps(graph: Graph, node: int) -> Strides | None:
    """The steps of a Slice that takes spatial axes from their begin to their end."""
    cuts, data = constant_cuts(graph, node), graph.operand(node, 0)
    assert data is not None
    kind = graph.type(data)
    if cuts is None or kind.rank is None or min(cuts, default=0) < 2:
        return None
    sizes = {axis: size for axis, size in enumerate(kind.shape or ()) if isinstance(size, int)}
    if any(cut.start != 0 or cut.step < 1 or cut.end < sizes.get(axis, FAR) for axis, cut in cuts.items()):
        return None
    return tuple(cuts.get(axis, Cut(0, FAR, 1)).step for axis in range(2, kind.rank))


def _combined(graph: Graph, m: SkippedPixels) -> list[Value]:
    """The operands that are combined pixel by pixel: of a convolution those of its activation."""
    op, operands = graph.op(m.node), graph.operands(m.node)
    mine = operands[3:] if isinstance(op, Conv) else operands
    mine = operands[:1] if isinstance(op, BatchNormalization) else mine
    return [value for value in mine if value is not None]


def _is_pixel(graph: Graph, m: SkippedPixels, value: Value) -> bool:
    """Whether a value is the same at every place of what it is combined with."""
    shape = graph.type(value).shape
    axes = None if shape is None else shape[max(len(shape) - len(m.strides), 0) :]
    return axes is not None and set(axes) <= {1}


def _is_image(graph: Graph, m: SkippedPixels, value: Value) -> bool:
    """Whether a value has samples, channels and all spatial axes, and elements that a pool takes."""
    kind = graph.type(value)
    return kind.rank == len(m.strides) + 2 and kind.dtype.is_float
