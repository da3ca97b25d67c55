"""Typed operations as ONNX nodes: fields become attributes by name, newest forms become the opset's own.

``WRITERS`` is the explicit table of every operation whose form differs between opsets or that is spelled
with several nodes. An operation that the model's opset cannot say raises UnsupportedOp.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto

from convgraph.exporters.onnx_lowered import gelu, hard_swish, lowered, mish, swish
from convgraph.exporters.onnx_padded import Apart, kept_apart, padding, pads_apart, unpadded
from convgraph.exporters.onnx_place import NOTHING, Place, Ref, Writer, node_proto, plain, schema
from convgraph.ir.ops import TYPED
from convgraph.ir.ops.activation import Clip, Gelu, HardSwish, Mish, Swish
from convgraph.ir.ops.base import Op
from convgraph.ir.ops.conv import Convolution
from convgraph.ir.ops.layout import Pad, Slice, Split
from convgraph.ir.ops.linear import Gemm
from convgraph.ir.ops.norm import BatchNormalization, GroupNormalization
from convgraph.ir.ops.pointwise import Dropout
from convgraph.ir.ops.pool import Pool
from convgraph.ir.ops.reduce import AxisNormalization, Reduction
from convgraph.ir.ops.resize import Resize
from convgraph.ir.ops.shaping import Squeeze, Unsqueeze


def write(place: Place, op: Op, operands: Sequence[Ref], results: Sequence[str]) -> list[NodeProto]:
    """The nodes that say one operation, the one that makes its results last but for fused activations.

    Raises UnsupportedOp when the opset has no form for it.
    """
    writer: Writer = _WRITER_OF.get(type(op), plain)
    return writer(place, op, operands, results)


def _slot(operands: Sequence[Ref], slot: int) -> Ref:
    return operands[slot] if slot < len(operands) else NOTHING


# ---- convolutions ----


def _convolution(
    place: Place, op: Convolution, operands: Sequence[Ref], results: Sequence[str]
) -> list[NodeProto]:
    """The convolution, then its fused activation; the kernel's size is the weight's."""
    weight = operands[1].type
    shape = None if weight is None or weight.shape is None else weight.shape[2:]
    kernel = shape if shape is not None and all(isinstance(size, int) for size in shape) else None
    pads = () if op.auto_pad != "NOTSET" or getattr(op, "output_shape", None) else op.pads
    form: Mapping[str, Any] = {"pads": pads, "kernel_shape": kernel}
    if op.activation is None:
        return plain(place, op, operands, results, without=("pads",), given=form)
    between = place.name_between(f"{results[0]}_{op.label.lower()}")
    conv = plain(place, op, operands[:3], [between], without=("pads",), given=form)
    x = Ref(name=between, type=place.graph.type(place.graph.results(place.node)[0]))
    return [*conv, *write(place, op.activation, [x, *operands[3:]], results)]


def _pool(place: Place, op: Pool, operands: Sequence[Ref], results: Sequence[str]) -> list[NodeProto]:
    """The pool, by rule or after a Pad of its own where runtimes would confuse a Pad's zeros with its own."""
    how = kept_apart(place.graph, place.node, opset=place.opset)
    if how is None or how is Apart.BY_AXES:
        return _window(place, op, operands, results)
    first: list[NodeProto] = []
    if how is Apart.BY_ANOTHER:
        between = Ref(name=place.fresh(f"{results[0]}_pad"))
        first = _pad(place, Pad(), pads_apart(place, op, operands[0]), [between.name])
        operands = [between]
    return [*first, *_window(place, unpadded(op, how), operands, results)]


def _window(place: Place, op: Pool, operands: Sequence[Ref], results: Sequence[str]) -> list[NodeProto]:
    """Dilations are younger than pools: all 1, they go without saying."""
    pads = () if op.auto_pad != "NOTSET" else op.pads
    plainly = ("dilations",) if all(d == 1 for d in op.dilations) else ()
    return plain(place, op, operands, results, without=("pads", *plainly), given={"pads": pads})


# ---- operands that were attributes ----


def _clip(place: Place, op: Clip, operands: Sequence[Ref], results: Sequence[str]) -> list[NodeProto]:
    if place.opset >= 11:
        return plain(place, op, operands, results)
    bounds = {"min": _slot(operands, 1), "max": _slot(operands, 2)}
    stated = {name: _number(place, bound, name) for name, bound in bounds.items() if bound.name}
    return [node_proto(place, "Clip", operands[:1], results, stated)]


def _number(place: Place, operand: Ref, role: str) -> float:
    """A constant scalar as the single-precision number an attribute holds."""
    value = place.absorb(operand, role).reshape(-1)[0]
    if np.float32(value) != value and not np.isnan(value):
        raise place.refusal(f"{role}={value}, no single-precision number,")
    return float(value)


def _numbers(place: Place, operand: Ref, role: str) -> list[int] | None:
    return [int(v) for v in place.absorb(operand, role).reshape(-1)] if operand.name else None


def _pad_apart(place: Place, op: Pad, operands: Sequence[Ref], results: Sequence[str]) -> list[NodeProto]:
    """The Pad, in the form that runtimes do not take over into a pool where that would be another one."""
    operands = padding(place, operands)
    return _pad(place, op, operands, [place.another or results[0]])


def _pad(place: Place, op: Pad, operands: Sequence[Ref], results: Sequence[str]) -> list[NodeProto]:
    if place.opset >= 18:
        return plain(place, op, operands, results)
    if op.mode == "wrap":
        raise place.refusal("Pad with mode=wrap")
    data, pads, fill = operands[0], operands[1], _slot(operands, 2)
    spread = _all_axes(place, operands) if _slot(operands, 3).name else None
    if place.opset >= 11:
        if spread is not None:
            pads = place.constant(np.array(spread, dtype=np.int64), stem=f"{results[0]}_pads")
        return plain(place, op, [data, pads, fill], results)
    amounts = spread or _numbers(place, pads, "pads")
    value = _number(place, fill, "constant_value") if fill.name else None
    return plain(place, op, [data], results, given={"pads": amounts, "value": value})


def _all_axes(place: Place, operands: Sequence[Ref]) -> list[int]:
    """The pads of some axes as pads of every axis, the only form before opset 18."""
    pads, axes = _numbers(place, operands[1], "pads"), _numbers(place, operands[3], "axes")
    rank = None if operands[0].type is None else operands[0].type.rank
    if rank is None or pads is None or axes is None:
        raise place.refusal("Pad with axes for data of unknown rank")
    spread = [0] * (2 * rank)
    for position, axis in enumerate(axes):
        spread[axis % rank] = pads[position]
        spread[axis % rank + rank] = pads[position + len(axes)]
    return spread


def _slice(place: Place, op: Slice, operands: Sequence[Ref], results: Sequence[str]) -> list[NodeProto]:
    if place.opset >= 10:
        return plain(place, op, operands, results)
    names = ("starts", "ends", "axes", "steps")
    stated = {name: _numbers(place, _slot(operands, i), name) for i, name in enumerate(names, start=1)}
    steps = stated.pop("steps")
    if steps is not None and any(step != 1 for step in steps):
        raise place.refusal(f"Slice with steps={steps}")
    return plain(place, op, operands[:1], results, given=stated)


def _axes(place: Place, op: Op, operands: Sequence[Ref], results: Sequence[str]) -> list[NodeProto]:
    declared = schema(op.label, place.opset)
    if declared is None or "axes" not in declared.attributes:
        return plain(place, op, operands, results)
    axes = _numbers(place, _slot(operands, 1), "axes") or None
    ignored = ("noop_with_empty_axes",) if axes else ()
    return plain(place, op, operands[:1], results, without=ignored, given={"axes": axes})


def _split(place: Place, op: Split, operands: Sequence[Ref], results: Sequence[str]) -> list[NodeProto]:
    """Before opset 18 equal parts go without saying, and must be equal."""
    if place.opset >= 18:
        implied = op.num_outputs is None and not _slot(operands, 1).name
        return plain(place, op, operands, results, given={"num_outputs": len(results)} if implied else {})
    whole = None if operands[0].type is None else operands[0].type.dim(op.axis)
    if op.num_outputs and isinstance(whole, int) and whole % op.num_outputs:
        raise place.refusal(f"Split of {whole} elements into {op.num_outputs}")
    if place.opset >= 13:
        return plain(place, op, operands, results, without=("num_outputs",))
    sizes = _numbers(place, _slot(operands, 1), "split")
    return plain(place, op, operands[:1], results, without=("num_outputs",), given={"split": sizes})


def _dropout(place: Place, op: Dropout, operands: Sequence[Ref], results: Sequence[str]) -> list[NodeProto]:
    if place.opset >= 12:
        return plain(place, op, operands, results)
    ratio, training = _slot(operands, 1), _slot(operands, 2)
    if training.name and place.absorb(training, "training_mode").any():
        raise place.refusal("Dropout in training mode")
    stated = _number(place, ratio, "ratio") if ratio.name else None
    only = {} if place.opset >= 7 else {"is_test": 1}
    return plain(place, op, operands[:1], results, given={"ratio": stated, **only})


def _batch_normalization(
    place: Place, op: BatchNormalization, operands: Sequence[Ref], results: Sequence[str]
) -> list[NodeProto]:
    return plain(place, op, operands, results, given={} if place.opset >= 7 else {"is_test": 1})


def _group_normalization(
    place: Place, op: GroupNormalization, operands: Sequence[Ref], results: Sequence[str]
) -> list[NodeProto]:
    """Before opset 21 scale and bias have a number for each group."""
    if place.opset < 21:
        raise place.refusal("GroupNormalization with a scale for each channel", expected="opset 21 or newer")
    return plain(place, op, operands, results)


def _gemm(place: Place, op: Gemm, operands: Sequence[Ref], results: Sequence[str]) -> list[NodeProto]:
    if place.opset < 11 and not _slot(operands, 2).name:
        raise place.refusal("Gemm without c", expected="opset 11 or newer")
    return plain(place, op, operands, results)


def _softmax(
    place: Place, op: AxisNormalization, operands: Sequence[Ref], results: Sequence[str]
) -> list[NodeProto]:
    """Before opset 13 the axes from ``axis`` on count as one."""
    shape = None if operands[0].type is None else operands[0].type.shape
    if place.opset < 13 and op.axis != -1:
        trailing = None if shape is None else shape[op.axis % len(shape) + 1 :]
        if trailing is None or any(dim != 1 for dim in trailing):
            raise place.refusal(f"{op.label} along axis {op.axis}, not the last,")
    return plain(place, op, operands, results)


# ---- resizing ----


def _resize(place: Place, op: Resize, operands: Sequence[Ref], results: Sequence[str]) -> list[NodeProto]:
    x, roi, scales, sizes = (_slot(operands, slot) for slot in range(4))
    if place.opset >= 13:
        return plain(place, op, operands, results)
    if place.opset >= 11:
        empty = None if roi.name and scales.name else _empty(place, stem=f"{results[0]}_none")
        filled = [x, roi if roi.name else empty or roi, scales if scales.name else empty or scales, sizes]
        return plain(place, op, filled, results)
    nearest = op.mode == "nearest"
    old = op.coordinate_transformation_mode == "asymmetric" and (not nearest or op.nearest_mode == "floor")
    if op.mode not in ("nearest", "linear") or not old or sizes.name or not scales.name:
        raise place.refusal(f"Resize of mode {op.mode}, {op.coordinate_transformation_mode}")
    ignored = ("coordinate_transformation_mode", "nearest_mode")
    name = "Resize" if place.opset >= 10 else "Upsample"
    if place.opset >= 9:
        return plain(place, op, [x, scales], results, op_type=name, without=ignored)
    factors = [float(v) for v in place.absorb(scales, "scales").reshape(-1)]
    return plain(place, op, [x], results, op_type=name, without=ignored, given={"scales": factors})


def _empty(place: Place, *, stem: str) -> Ref:
    """An empty vector, how opsets 11 and 12 omit roi and scales."""
    return place.constant(np.zeros(0, dtype=np.float32), stem=stem)


WRITERS: Mapping[type[Op], Writer] = {
    AxisNormalization: _softmax,
    BatchNormalization: _batch_normalization,
    Clip: _clip,
    Convolution: _convolution,
    Dropout: _dropout,
    Gelu: lowered(20, gelu),
    Gemm: _gemm,
    GroupNormalization: _group_normalization,
    HardSwish: lowered(14, hard_swish),
    Mish: lowered(18, mish),
    Pad: _pad_apart,
    Pool: _pool,
    Reduction: _axes,
    Resize: _resize,
    Slice: _slice,
    Split: _split,
    Squeeze: _axes,
    Swish: lowered(24, swish),
    Unsqueeze: _axes,
}
_WRITER_OF: Mapping[type[Op], Writer] = {
    kind: writer for family, writer in WRITERS.items() for kind in TYPED.values() if issubclass(kind, family)
}
