"""A window that reads the result of a Pad: what the rewrites that absorb the Pad into the window share."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Conv, Op, Pad, Pool
from convgraph.passes.rewrite import Measure, Rewrite, requirement

Window = Conv | Pool

NAMES_AXES = 18
"""The opset from which on a Pad can name its axes: runtimes then do not take it over into a pool."""


def pads_above(graph: Graph) -> int:
    """Measure: over all operations, how many Pads in a row stand between the first operand and its source.

    Unlike the number of operations it also goes down when a Pad that others read stays where it is.
    """
    heights: dict[int, int] = {}
    total = 0
    for node in graph.compute_nodes():
        first = graph.operand(node, 0)
        above = 0 if first is None else heights.get(first.node, 0)
        heights[node] = above + 1 if isinstance(graph.op(node), Pad) else 0
        total += 0 if isinstance(graph.op(node), Pad) else above
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class PaddedWindow:
    """A window and the Pad it reads; ``fill`` is the Pad's value, None when it is not a constant number.

    ``amounts`` is (begin, end) of every axis, None when they are not known.
    """

    window: int
    op: Window
    pad: Pad
    data: Value
    fill: float | None
    amounts: tuple[tuple[int, int], ...] | None

    @property
    def spatial(self) -> tuple[int, ...]:
        """The amounts of the spatial axes in the order of a window's pads."""
        assert self.amounts is not None
        return tuple(amount[end] for end in (0, 1) for amount in self.amounts[2:])

    @property
    def pads(self) -> tuple[int, ...]:
        """The window's own pads and the Pad's, added up."""
        return tuple(own + more for own, more in zip(self.op.pads, self.spatial, strict=True))


def padded_window(graph: Graph, node: int) -> PaddedWindow | None:
    """The match at a convolution or pool whose first operand a Pad makes."""
    op, padded = graph.op(node), graph.operand(node, 0)
    if padded is None or not isinstance(op, (Conv, Pool)):
        return None
    pad = graph.producer(padded)
    if not isinstance(pad, Pad):
        return None
    data, pads, value, axes = (graph.operand(padded.node, slot) for slot in range(4))
    assert data is not None
    return PaddedWindow(
        window=node,
        op=op,
        pad=pad,
        data=data,
        fill=0.0 if value is None else _number(graph, value),
        amounts=_amounts(graph, pad, data, pads, axes),
    )


def is_padded_with_zero(graph: Graph, value: Value) -> bool:
    """Whether a Pad adds zeros to make a value: runtimes would take them for the padding of a pool of it."""
    pad = graph.producer(value)
    if not isinstance(pad, Pad) or pad.mode != "constant":
        return False
    fill = graph.operand(value.node, 2)
    return fill is None or _number(graph, fill) == 0


def _number(graph: Graph, value: Value) -> float | None:
    tensor = graph.constant(value)
    return None if tensor is None or tensor.size != 1 else float(tensor.numpy().reshape(()))


def _amounts(
    graph: Graph, pad: Pad, data: Value, pads: Value | None, axes: Value | None
) -> tuple[tuple[int, int], ...] | None:
    operands = [value for value in (pads, axes) if value is not None]
    if pads is None or any(graph.is_supplied(value) for value in operands):
        return None
    amounts = pad.amounts(graph.type(data), graph.type(pads), None if axes is None else graph.type(axes))
    return None if amounts is None else tuple(amounts)


@dataclass(frozen=True, kw_only=True)
class AbsorbPad(Rewrite[PaddedWindow]):
    """Take a Pad's amounts over into the pads of the window that reads it; other readers keep the Pad."""

    name: ClassVar[str]
    measure: ClassVar[Measure] = staticmethod(pads_above)

    @requirement
    def it_pads_with_one_number(self, graph: Graph, m: PaddedWindow) -> bool:
        """The Pad adds a constant, not copies of the data (reflect, edge, wrap)."""
        return m.pad.mode == "constant"

    @requirement
    def the_amounts_are_known(self, graph: Graph, m: PaddedWindow) -> bool:
        """How much is added at which end of which axis is known and no caller can override it."""
        return m.amounts is not None

    @requirement
    def only_spatial_axes_are_padded(self, graph: Graph, m: PaddedWindow) -> bool:
        """Neither the batch axis nor the channel axis grows or shrinks."""
        return m.amounts is not None and m.amounts[:2] == ((0, 0), (0, 0))

    @requirement
    def nothing_is_cropped(self, graph: Graph, m: PaddedWindow) -> bool:
        """No amount is negative: elements that were cropped would be seen again."""
        return min(m.spatial, default=0) >= 0

    @requirement
    def the_window_states_its_own_pads(self, graph: Graph, m: PaddedWindow) -> bool:
        """The window's pads are numbers, not a rule (auto_pad) that follows the padded size."""
        return m.op.auto_pad == "NOTSET"

    def apply(self, edit: Edit, m: PaddedWindow) -> None:
        """Put a window with the larger pads on the data itself."""
        _, *operands = edit.graph.operands(m.window)
        edit.replace(Value(m.window, 0), edit.add(self.absorbed(m), m.data, *operands, like=m.window))

    def absorbed(self, m: PaddedWindow) -> Op:
        """The window with the pads of both."""
        return replace(m.op, pads=m.pads)


@dataclass(frozen=True, kw_only=True)
class IntoPool(Rewrite[PaddedWindow]):
    """What a pool needs on top: no window without data, and the same size when sizes are rounded up."""

    name: ClassVar[str]

    @requirement
    def every_window_meets_the_data(self, graph: Graph, m: PaddedWindow) -> bool:
        """No window lies wholly in the padding, and all pads stay smaller than the kernel."""
        op, rank = pool(m), len(m.op.strides)
        ends = zip(op.kernel_shape, m.pads[:rank], m.pads[rank:], strict=True)
        if any(max(begin, end) >= kernel for kernel, begin, end in ends):
            return False
        sizes = [graph.type(m.data).dim(2 + axis) for axis in range(rank)]
        return all(_meets(op, size, axis=axis, pads=m.pads) for axis, size in enumerate(sizes))

    @requirement
    def rounding_up_gives_the_same_size(self, graph: Graph, m: PaddedWindow) -> bool:
        """With ceil_mode, the last window does not start in what the Pad added."""
        op = pool(m)
        if not op.ceil_mode or max(op.strides) == 1:
            return True
        before = graph.type(Value(m.window, 0)).shape
        after = replace(op, pads=m.pads).infer_all((graph.type(m.data),))[0].shape
        return before is not None and before == after and None not in before[2:]


def pool(m: PaddedWindow) -> Pool:
    """The operation of a match whose window is known to be a pool."""
    assert isinstance(m.op, Pool)
    return m.op


def _meets(op: Pool, size: int | str | None, *, axis: int, pads: Sequence[int]) -> bool:
    """Whether every window has a tap on the data, its pads being smaller than the kernel.

    Taps without gaps then do, whatever the size; of dilated ones that is not known while the size is not.
    """
    if op.dilations[axis] == 1 or not any(pads[axis :: len(op.strides)]):
        return True
    if not isinstance(size, int):
        return False
    stride, dilation, kernel = op.strides[axis], op.dilations[axis], op.kernel_shape[axis]
    begin, end = pads[axis], pads[axis + len(op.strides)]
    starts = range(-begin, size + end - dilation * (kernel - 1), stride)
    return all(any(0 <= start + dilation * tap < size for tap in range(kernel)) for start in starts)
