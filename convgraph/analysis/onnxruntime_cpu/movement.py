"""Kernels that move elements: they copy pieces, as large as lie side by side before and after."""

import math
from collections.abc import Sequence

from convgraph.analysis.onnxruntime_cpu.work import Call, Work, dims
from convgraph.ir.ops import Concat, Gather, Pad, Slice, Split, Transpose
from convgraph.ir.ops.axes import normal_axis

_ROW_AND_BACK, _WITH_LINES = 2, 3  # a piece is read once and written once, or what it overwrites read too


def copied(call: Call) -> tuple[Work, ...]:
    """Everything once, as fast as memory is: what there is no better account of."""
    return (Work(bytes=call.traffic),)


def renamed(call: Call) -> tuple[Work, ...]:
    """The same elements under another shape: nothing, unless they come from a caller or go to one."""
    return (Work(bytes=2 * call.bytes(call.y)),) if call.boundary else ()


def joined(call: Call) -> tuple[Work, ...]:
    """A Concat: ``copy.run`` for each piece."""
    assert isinstance(call.op, Concat)
    sizes = dims(call.y)
    axis = normal_axis("Concat", call.op.axis, rank=len(sizes))
    return (_copy(call, pieces=math.prod(sizes[:axis]) * len(call.operands)),)


def cut(call: Call) -> tuple[Work, ...]:
    """A Split: ``copy.run`` for each piece."""
    assert isinstance(call.op, Split)
    sizes = dims(call.x)
    axis = normal_axis("Split", call.op.axis, rank=len(sizes))
    pieces = math.prod(sizes[:axis]) * len(call.results)
    return (Work(bytes=2 * call.bytes(call.x), counts=(("copy.run", pieces),)),)


def sliced(call: Call) -> tuple[Work, ...]:
    """A Slice: ``copy.cut`` for each piece, ``copy.stride`` for each element where none lie side by side."""
    assert isinstance(call.op, Slice)
    x, starts, ends = call.operands[:3]
    assert x is not None
    assert starts is not None
    assert ends is not None
    cuts = call.op.cuts(x, starts, ends, call.operand(3), call.operand(4)) or {}
    changed = {axis: c for axis, c in cuts.items() if dims(x)[axis] != dims(call.y)[axis] or c.step != 1}
    last = max(changed, default=0)
    steps = bool(changed) and changed[last].step != 1
    run = math.prod(dims(call.y)[last + 1 if steps else last :])
    if steps and run == 1:
        passed = 1 + abs(changed[last].step)  # what lies between is read as well
        counts = (("copy.stride", call.elements(call.y)),)
        return (Work(bytes=passed * call.bytes(call.y), counts=counts),)
    return (_copy(call, pieces=call.elements(call.y) / max(1, run), piece="copy.cut"),)


def gathered(call: Call) -> tuple[Work, ...]:
    """A Gather: ``copy.far`` for each piece, wherever it is."""
    assert isinstance(call.op, Gather)
    axis = normal_axis("Gather", call.op.axis, rank=len(dims(call.x)))
    run = math.prod(dims(call.x)[axis + 1 :])
    return (_copy(call, pieces=call.elements(call.y) / max(1, run), piece="copy.far"),)


def padded(call: Call) -> tuple[Work, ...]:
    """A Pad: ``pad.MODE`` for each row of the innermost axis that grows."""
    assert isinstance(call.op, Pad)
    pads = call.operand(1)
    assert pads is not None
    amounts = call.op.amounts(call.x, pads, call.operand(3)) or []
    last = max((axis for axis, amount in enumerate(amounts) if any(amount)), default=0)
    rows = math.prod(dims(call.y)[:last])
    return (_copy(call, pieces=rows, piece=f"pad.{call.op.mode}"),)


def spread_out(call: Call) -> tuple[Work, ...]:
    """An Expand: runs double until they are long enough, ``copy.far`` for each copy."""
    after = dims(call.y)
    before = (1,) * (len(after) - len(dims(call.x))) + dims(call.x)
    copies, axis = 0.0, 0
    while axis < len(after):
        first = axis
        while axis < len(after) and before[axis] != after[axis]:
            axis += 1
        if axis > first:
            copies += math.prod(after[:first]) * math.ceil(math.log2(math.prod(after[first:axis]) or 1))
        axis += 1
    return (Work(bytes=call.traffic, counts=(("copy.far", copies),)),)


def turned(call: Call) -> tuple[Work, ...]:
    """A Transpose."""
    assert isinstance(call.op, Transpose)
    sizes = dims(call.x)
    return (transposition(sizes, call.op.order(len(sizes)), size=call.bytes(call.x)),)


def transposition(sizes: Sequence[int], order: Sequence[int], *, size: float) -> Work:
    """Axes in another order, ``size`` being the bytes of all elements.

    Axes that stay neighbours count as one. Where the last stays last, whole rows move, ``copy.far`` each;
    where one axis passes over others, planes turn, ``turn.plane`` an element; else each element goes alone,
    ``turn.element``.
    """
    merged, shape = _merged(sizes, order)
    count = math.prod(sizes)
    if merged == sorted(merged):
        return Work(bytes=_ROW_AND_BACK * size)
    if merged[-1] == len(merged) - 1:
        return Work(bytes=_ROW_AND_BACK * size, counts=(("copy.far", math.prod(shape[:-1])),))
    if _is_one_move(merged):
        # Lines of the cache are written in parts, so that they are read before.
        return Work(bytes=_WITH_LINES * size, counts=(("turn.plane", count),))
    return Work(bytes=_ROW_AND_BACK * size, counts=(("turn.element", count),))


def _merged(sizes: Sequence[int], order: Sequence[int]) -> tuple[list[int], list[int]]:
    """The permutation and the old sizes when single elements are left out and neighbours are one axis."""
    kept = [axis for axis in order if sizes[axis] != 1]
    rank = {axis: i for i, axis in enumerate(sorted(kept))}
    perm = [rank[axis] for axis in kept]
    heads = [axis for i, axis in enumerate(perm) if not i or perm[i - 1] + 1 != axis]
    firsts = sorted(heads)
    shape = [sizes[axis] for axis in sorted(kept)]
    ends = [*firsts[1:], len(shape)]
    return [firsts.index(h) for h in heads], [
        math.prod(shape[a:b]) for a, b in zip(firsts, ends, strict=True)
    ]


def _is_one_move(perm: Sequence[int]) -> bool:
    """Whether taking a single axis out and putting it elsewhere makes the permutation."""
    return any([p for p in perm if p != axis] == sorted(p for p in perm if p != axis) for axis in perm)


def rearranged(call: Call) -> tuple[Work, ...]:
    """A DepthToSpace or SpaceToDepth, ``turn.depthtospace`` and ``turn.spacetodepth`` an element."""
    counts = ((f"turn.{call.op.label.lower()}", call.elements(call.y)),)
    return (Work(bytes=call.traffic, counts=counts),)


def _copy(call: Call, *, pieces: float, piece: str = "copy.run") -> Work:
    return Work(bytes=_ROW_AND_BACK * call.bytes(call.y), counts=((piece, pieces),))
