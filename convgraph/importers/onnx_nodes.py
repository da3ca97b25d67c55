"""ONNX nodes as typed operations: attributes become fields by name, opset differences become the newest form.

A node is typed only when everything about it is understood; otherwise the caller carries it as Opaque.
``READERS`` is the explicit table of every operator whose form changed between opsets 6 and the newest.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from onnx import NodeProto

from convgraph.errors import InvalidModel
from convgraph.importers.onnx_view import NodeView, Operand, Typed, schema
from convgraph.ir.ops import TYPED
from convgraph.ir.ops.base import Op
from convgraph.ir.ops.conv import Conv, ConvTranspose
from convgraph.ir.ops.pool import AveragePool, MaxPool
from convgraph.ir.tensor import Array, DataType, TensorType

OLDEST_TYPED = 6  # operators of older opsets declare in-place buffers: all are carried as they are


def typed(view: NodeView) -> Typed | None:
    """The typed operation of a node; None when convgraph has no class that says all the node says.

    Raises InvalidModel, naming the node, for an illegal attribute.
    """
    op_type = view.proto.op_type
    reader = READERS.get(op_type)
    known = op_type in TYPED or reader is not None
    if view.opset < OLDEST_TYPED or not known or schema(op_type, view.opset) is None:
        return None
    if any(a.ref_attr_name for a in view.attributes.values()):
        return None
    return view.typed() if reader is None else reader(view)


# ---- windows ----


def _window(view: NodeView, *, rank: int, **given: Any) -> Typed | None:
    """Convolutions and pools: absent strides, pads and dilations are written out for ``rank`` axes.

    With an ``auto_pad`` rule ONNX ignores the pads; they become explicit as soon as the sizes are known.
    """
    automatic = view.get("auto_pad", "NOTSET") != "NOTSET"
    shape = given.get("output_shape")
    pads = None if automatic or shape else view.get("pads")
    return view.typed(
        strides=view.get("strides") or (1,) * rank,
        pads=pads or (0,) * (2 * rank),
        dilations=view.get("dilations") or (1,) * rank,
        **given,
    )


def _spatial_rank(view: NodeView) -> int | None:
    for name in ("kernel_shape", "strides", "dilations"):
        if view.get(name):
            return len(view.get(name))
    ranks = [t.rank for t in view.types[:2] if t is not None and t.rank is not None]
    return ranks[-1] - 2 if ranks else None


def _conv(view: NodeView) -> Typed | None:
    rank = _spatial_rank(view)
    if rank is None or len(view.types) < 2:
        return None
    _check_kernel(view)
    given = _transposed(view, rank) if view.proto.op_type == "ConvTranspose" else {}
    return _window(view, rank=rank, **given, done=("kernel_shape",))


def _transposed(view: NodeView, rank: int) -> dict[str, Any]:
    """``output_shape`` names the spatial sizes; some writers put N and C in front."""
    shape = view.get("output_shape")
    given: dict[str, Any] = {"output_padding": view.get("output_padding") or ()}
    if given["output_padding"] == (0,) * rank:
        given["output_padding"] = ()
    given["output_shape"] = shape[-rank:] if shape and len(shape) == rank + 2 else shape or None
    return given


def _check_kernel(view: NodeView) -> None:
    stated, weight = view.get("kernel_shape"), view.operand(1)
    if not stated or weight is None or weight.shape is None:
        return
    found = weight.shape[2:]
    if len(found) != len(stated) or any(
        isinstance(a, int) and a != b for a, b in zip(found, stated, strict=True)
    ):
        raise InvalidModel(
            view.at, found=f"kernel_shape={stated}", expected=f"the weight's, of type {weight}"
        )


def _pool(view: NodeView) -> Typed | None:
    kernel = view.get("kernel_shape")
    if not kernel:
        raise InvalidModel(view.at, found="no kernel_shape", expected="attribute kernel_shape")
    return _window(view, rank=len(kernel))


def _unpool(view: NodeView) -> Typed | None:
    """Where a size of the result is given, runtimes disagree what indices count through: it stays opaque."""
    kernel = view.get("kernel_shape")
    if not kernel or len(view.types) != 2:
        return None
    rank = len(kernel)
    return view.typed(strides=view.get("strides") or (1,) * rank, pads=view.get("pads") or (0,) * (2 * rank))


# ---- activations, normalisations and dropout ----


def _prelu(view: NodeView) -> Typed | None:
    """Before opset 7 several slopes go with the channels, not with the last axes: that stays opaque."""
    slope = view.operand(1)
    alone = slope is not None and slope.static_shape is not None and math.prod(slope.static_shape) == 1
    return view.typed() if view.opset >= 7 or alone else None


def _batch_normalization(view: NodeView) -> Typed | None:
    """Old forms: statistics over every element (spatial=0) and training with further results stay opaque."""
    named = sum(1 for name in view.proto.output if name)
    if view.get("spatial", 1) != 1 or (view.opset < 14 and named > 1):
        return None
    if view.opset < 7 and view.get("is_test", 0) == 0:
        return None
    return view.typed(done=("spatial", "is_test"))


def _group_normalization(view: NodeView) -> Typed | None:
    """Before opset 21 scale and bias have a number for each group."""
    return view.typed() if view.opset >= 21 else None


def _dropout(view: NodeView) -> Typed | None:
    """Before opset 12 the ratio is an attribute; the mask of opsets before 10 has the element type of x."""
    if view.opset >= 12:
        return view.typed()
    named = sum(1 for name in view.proto.output if name)
    if (named > 1 and view.opset < 10) or (view.opset < 7 and view.get("is_test", 0) == 0):
        return None
    ratio = np.asarray(view.get("ratio"), dtype=np.float32) if view.has("ratio") else None
    return view.typed(done=("ratio", "is_test"), operands=_trimmed(0, ratio))


def without_unread_mask(node: NodeProto, *, opset: int, is_read: Callable[[str], bool]) -> NodeProto:
    """A Dropout of before opset 10, whose mask has the element type of x, without the mask nobody reads."""
    if opset >= 10 or node.op_type != "Dropout" or any(map(is_read, node.output[1:])):
        return node
    plain = NodeProto()
    plain.CopyFrom(node)
    del plain.output[1:]
    return plain


def _softmax(view: NodeView) -> Typed | None:
    """Before opset 13 the axes from ``axis`` on are one: the same function when only one is longer than 1."""
    if view.opset >= 13:
        return view.typed()
    axis, x = view.get("axis", 1), view.operand(0)
    if axis != -1:
        if x is None or x.shape is None or not -len(x.shape) <= axis < len(x.shape):
            return None
        if any(dim != 1 for dim in x.shape[axis % len(x.shape) + 1 :]):
            return None
    return view.typed(axis=axis)


# ---- attributes that became operands ----


def _trimmed(*operands: Operand) -> tuple[Operand, ...]:
    """Operands without the omitted ones at the end."""
    last = max((i for i, operand in enumerate(operands) if operand is not None), default=-1)
    return operands[: last + 1]


def _ints(values: Sequence[int] | None) -> Array | None:
    return None if values is None else np.array(values, dtype=np.int64)


def _scalar(view: NodeView, value: float) -> Array | None:
    """A number in the element type of the first operand; None when that type is not known to be a float."""
    x = view.operand(0)
    return np.asarray(value, dtype=x.dtype.numpy) if x is not None and x.dtype.is_float else None


def _clip(view: NodeView) -> Typed | None:
    """Before opset 11 the bounds are attributes, the largest float meaning that there is none."""
    if view.opset >= 11:
        return view.typed()
    x, largest = view.operand(0), float(np.finfo(np.float32).max)
    if x is None or not x.dtype.is_float:
        return None
    low, high = view.get("min", -largest), view.get("max", largest)
    bounds = (
        None if low == -largest else _scalar(view, low),
        None if high == largest else _scalar(view, high),
    )
    return view.typed(done=("min", "max"), operands=_trimmed(0, *bounds))


def _pad(view: NodeView) -> Typed | None:
    if view.opset >= 11:
        return view.typed()
    value = np.float32(view.get("value", 0.0))
    fill = None if value == 0 and not np.signbit(value) else _scalar(view, float(value))
    if not view.has("pads") or (fill is None and value != 0):
        return None
    return view.typed(done=("pads", "value"), operands=_trimmed(0, _ints(view.get("pads")), fill))


def _slice(view: NodeView) -> Typed | None:
    if view.opset >= 10:
        return view.typed()
    names = ("starts", "ends", "axes")
    starts, ends, axes = (_ints(view.get(name)) for name in names)
    return (
        None
        if starts is None or ends is None
        else view.typed(done=names, operands=_trimmed(0, starts, ends, axes))
    )


def _axes_before(opset: int) -> Callable[[NodeView], Typed | None]:
    """The reader of an operator whose ``axes`` became an operand in an opset."""

    def read(view: NodeView) -> Typed | None:
        if view.opset >= opset:
            return view.typed()
        axes = _ints(view.get("axes") or None)
        return view.typed(done=("axes",), operands=_trimmed(0, axes))

    return read


def _split(view: NodeView) -> Typed | None:
    """Before opset 13 the sizes are an attribute; before 18 the number of equal parts goes without saying."""
    sizes = _ints(view.get("split")) if view.opset < 13 else None
    operands = _trimmed(0, sizes) if view.opset < 13 else view.slots
    equal = len(operands) < 2 or operands[1] is None
    stated, named = view.get("num_outputs"), len(view.proto.output)
    if stated not in (None, named):
        raise InvalidModel(view.at, found=f"{named} results", expected=f"{stated} pieces")
    if not equal or view.has("num_outputs"):
        return view.typed(done=("split",), operands=operands)
    return view.typed(done=("split",), operands=operands, num_outputs=named)


# ---- resizing ----


def _upsample(view: NodeView) -> Typed | None:
    """Upsample is Resize without alignment: source = floor(target / scale)."""
    if view.opset < 7:
        return None
    if view.opset >= 9:
        return _unaligned(view, operands=(0, None, 1), scales=_floats(view, 1))
    scales = view.get("scales", ())
    operands = (0, None, np.array(scales, dtype=np.float32))
    return _unaligned(view, operands=operands, scales=scales)


def _resize(view: NodeView) -> Typed | None:
    if view.opset >= 11:
        # Only opsets 11 and 12 know this mode; the newest ones have no name for it.
        old = view.get("coordinate_transformation_mode") == "tf_half_pixel_for_nn"
        return None if old else view.typed()
    return _unaligned(view, operands=(0, None, 1), scales=_floats(view, 1))


def _floats(view: NodeView, slot: int) -> tuple[float, ...] | None:
    known = view.operand(slot)
    return None if known is None else known.floats


def _unaligned(
    view: NodeView, *, operands: tuple[Operand, ...], scales: Sequence[float] | None
) -> Typed | None:
    """A Resize of the old kind. Runtimes disagree on nearest pixels when it shrinks: that stays opaque."""
    mode = view.get("mode", "nearest")
    shrinks = scales is None or any(scale < 1 for scale in scales)
    if mode not in ("nearest", "linear") or (mode == "nearest" and shrinks):
        return None
    return view.typed(
        as_type="Resize",
        done=("scales",),
        operands=operands,
        mode=mode,
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor" if mode == "nearest" else "round_prefer_floor",
    )


def _cast_like(view: NodeView) -> Typed | None:
    """A Cast to the element type of the second operand, of which nothing else matters."""
    like = view.operand(1)
    if like is None or like.dtype is DataType.UNDEFINED:
        return None
    return view.typed(as_type="Cast", operands=(0,), to=like.dtype)


READERS: Mapping[str, Callable[[NodeView], Typed | None]] = {
    "AveragePool": _pool,
    "BatchNormalization": _batch_normalization,
    "CastLike": _cast_like,
    "Clip": _clip,
    "Conv": _conv,
    "ConvTranspose": _conv,
    "Dropout": _dropout,
    "GroupNormalization": _group_normalization,
    "LogSoftmax": _softmax,
    "MaxPool": _pool,
    "MaxUnpool": _unpool,
    "PRelu": _prelu,
    "Pad": _pad,
    "ReduceL1": _axes_before(18),
    "ReduceL2": _axes_before(18),
    "ReduceLogSum": _axes_before(18),
    "ReduceLogSumExp": _axes_before(18),
    "ReduceMax": _axes_before(18),
    "ReduceMean": _axes_before(18),
    "ReduceMin": _axes_before(18),
    "ReduceProd": _axes_before(18),
    "ReduceSum": _axes_before(13),
    "ReduceSumSquare": _axes_before(18),
    "Resize": _resize,
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Squeeze": _axes_before(13),
    "Unsqueeze": _axes_before(13),
    "Upsample": _upsample,
}


def explicit_padding(op: Op, types: Sequence[TensorType | None]) -> Op:
    """The same window with its pads written out, where the operands' sizes are known; else ``op`` itself."""
    x = types[0] if types else None
    if not isinstance(op, (Conv, ConvTranspose, MaxPool, AveragePool)) or _is_explicit(op):
        return op
    if isinstance(op, ConvTranspose):
        pads = _known_pads(op, types)
        fits = pads is not None and min(pads, default=0) >= 0
        return replace(op, auto_pad="NOTSET", output_shape=None, pads=pads) if fits and pads else op
    if isinstance(op, Conv):
        pads = _known_pads(op, types)
        return op if pads is None else replace(op, auto_pad="NOTSET", pads=pads)
    if x is None or (op.auto_pad == "VALID" and op.ceil_mode):
        return op  # runtimes differ on whether the last window is rounded up
    pads = op.padded_explicitly(x)
    return op if pads is None else replace(op, auto_pad="NOTSET", pads=pads, ceil_mode=0)


def _is_explicit(op: Conv | ConvTranspose | MaxPool | AveragePool) -> bool:
    return op.auto_pad == "NOTSET" and not (isinstance(op, ConvTranspose) and op.output_shape is not None)


def _known_pads(op: Conv | ConvTranspose, types: Sequence[TensorType | None]) -> tuple[int, ...] | None:
    x, weight = types[0], types[1]
    return None if x is None or weight is None else op.padded_explicitly(x, weight)
