"""Kernels that look at several elements for each: pools and Resize."""

import math

from convgraph.analysis.onnxruntime_cpu.work import Call, Work, dims
from convgraph.ir.ops import AveragePool, MaxPool, Pool, Resize

_NO_LONGER_FAST = 19  # the opset from which AveragePool, outside of blocks, has a kernel of its own
_TWICE = (1, 1, 2, 2)
_FLAT = 2  # axes of an image


def pooled(call: Call) -> tuple[Work, ...]:
    """MaxPool and AveragePool, by four kernels.

    In blocks ``pool.block`` an output and ``pool.tap`` a tap; outside ``pool.output`` an output (with strides
    ``pool.stride``), ``pool.line`` a line of taps in a window and ``pool.row`` a row of outputs. What these
    kernels do not know has others, ``pool.general`` a tap, for means ``pool.mean`` a tap.
    """
    op = call.op
    assert isinstance(op, Pool)
    count, taps = call.elements(call.y), math.prod(op.kernel_shape)
    if call.block > 1:
        counts: list[tuple[str, float]] = [("pool.block", count), ("pool.tap", count * taps)]
    elif isinstance(op, AveragePool) and call.opset >= _NO_LONGER_FAST:
        counts = [("pool.mean", count * taps)]
    elif any(d != 1 for d in op.dilations) or (isinstance(op, MaxPool) and call.several):
        counts = [("pool.general", count * taps)]
    else:
        lines = count * math.prod(op.kernel_shape[:-1])
        output = "pool.output" if set(op.strides) == {1} else "pool.stride"
        rows = count / max(1, *dims(call.y)[-1:])
        counts = [(output, count), ("pool.line", lines), ("pool.row", rows)]
    return (Work(bytes=call.traffic, counts=tuple(counts)),)


def pooled_whole(call: Call) -> tuple[Work, ...]:
    """A global pool: in blocks as fast as memory, outside ``pool.globalaverage`` or ``…max`` an input."""
    if call.block > 1:
        return (Work(bytes=call.traffic),)
    name = f"pool.{call.op.label.lower().removesuffix('pool')}"
    return (Work(bytes=call.traffic, counts=((name, call.elements(call.x)),)),)


def unpooled(call: Call) -> tuple[Work, ...]:
    """A MaxUnpool: everything is cleared, then ``pool.unpool`` for each input."""
    return (Work(bytes=call.traffic, counts=(("pool.unpool", call.elements(call.x)),)),)


def resized(call: Call) -> tuple[Work, ...]:
    """A Resize, ``resize.KIND`` an output.

    To blocks and to twice the height and width, nearest by asymmetric and floor, as fast as memory; else
    nearest, linear (blocked, flat, or along other axes too) and cubic.
    """
    op = call.op
    assert isinstance(op, Resize)
    before, after = dims(call.x), dims(call.y)
    exact = (op.coordinate_transformation_mode, op.nearest_mode) == ("asymmetric", "floor")
    twice = tuple(b * s for b, s in zip(before, _TWICE, strict=False)) == after and len(before) == len(_TWICE)
    if op.mode == "nearest" and (call.block > 1 or (exact and twice)):
        return (Work(bytes=call.bytes(call.x, call.y)),)
    kind = op.mode
    if op.antialias:
        kind = "antialias"
    elif op.mode == "linear" and call.block > 1:
        kind = "linear.block"
    elif op.mode == "linear" and sum(b != a for b, a in zip(before, after, strict=False)) > _FLAT:
        kind = "linear.solid"
    counts = ((f"resize.{kind}", call.elements(call.y)),)
    return (Work(bytes=call.bytes(call.x, call.y), counts=counts),)
