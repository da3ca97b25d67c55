"""Every typed operation against onnxruntime with its optimisations off, operation by operation."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from convgraph.errors import InvalidModel, UnsupportedOp
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir import ops
from convgraph.ir.build import GraphBuilder
from convgraph.ir.ops import TYPED, Conv, ConvTranspose, Op
from convgraph.ir.tensor import Array, DataType, Tensor
from convgraph.numerics.evaluate import evaluate, evaluate_op

EXACT = 0
POINTWISE = 16  # roundings in a polynomial of an elementary function, generously


@dataclass(frozen=True, kw_only=True)
class Case:
    """One node: its operands (the first is fed, the others are constants), results, and rounding steps.

    ``roundings`` is how many float roundings, each relative to ``reach`` (the largest magnitude a partial
    result has; by default the largest result), an element of the result went through. EXACT is bit equality.
    """

    op: Op
    operands: Sequence[Array | None]
    outputs: int = 1
    roundings: int = EXACT
    reach: float | None = None
    opset: int = 21


def signed(*shape: int, seed: int = 0, dtype: Any = np.float32, scale: float = 2) -> Array:
    """Seeded normal numbers with a few zeros among them."""
    rng = np.random.default_rng(seed + sum(shape))
    x = rng.normal(size=shape) * scale
    return np.asarray(np.where(rng.random(shape) < 0.05, 0, x)).astype(dtype)


def positive(*shape: int, seed: int = 0, dtype: Any = np.float32) -> Array:
    return np.abs(signed(*shape, seed=seed, dtype=dtype)) + np.asarray(0.25, dtype=dtype)


def whole(*shape: int, seed: int = 0, dtype: Any = np.int64, low: int = -9, high: int = 10) -> Array:
    return np.random.default_rng(seed + sum(shape)).integers(low, high, size=shape).astype(dtype)


def truth(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed + sum(shape)).random(shape) < 0.5


def ints(*numbers: int) -> Array:
    return np.asarray(numbers, dtype=np.int64)


def floats(*numbers: float) -> Array:
    return np.asarray(numbers, dtype=np.float32)


def scalar(number: float, dtype: Any = np.float32) -> Array:
    return np.asarray(number, dtype=dtype)


def contraction(op: Op, operands: Sequence[Array | None], *, length: int, **more: Any) -> Case:
    """A case whose results are sums of ``length`` products: the reach is the same sum of magnitudes."""
    magnitudes = [None if o is None else np.abs(o) if o.dtype.kind == "f" else o for o in operands]
    plain = replace(op, activation=None) if isinstance(op, (Conv, ConvTranspose)) else op
    arity = 3 if isinstance(op, (Conv, ConvTranspose)) else None
    (peak,) = evaluate_op(plain, magnitudes[:arity])
    return Case(op=op, operands=operands, roundings=length + 4, reach=float(peak.max()), **more)


def convolution(x: Sequence[int], weight: Sequence[int], *, bias: bool = True, **fields: Any) -> Case:
    rank = len(x) - 2
    op = replace(Conv.of(rank), **fields)
    operands = [signed(*x), signed(*weight, seed=1), signed(weight[0], seed=2) if bias else None]
    parameters = fields.pop("parameters", ())
    return contraction(op, [*operands, *parameters], length=int(np.prod(weight[1:])))


def transposed(x: Sequence[int], weight: Sequence[int], *, bias: bool = True, **fields: Any) -> Case:
    op = replace(ConvTranspose.of(len(x) - 2), **fields)
    out = weight[1] * op.group
    operands = [signed(*x), signed(*weight, seed=1), signed(out, seed=2) if bias else None]
    return contraction(op, operands, length=int(np.prod(weight[2:])) * weight[0])


def fused(activation: ops.Activation, *parameters: Array | None) -> Case:
    op = replace(Conv.of(2, pads=1), activation=activation)
    operands = [signed(2, 3, 5, 7), signed(4, 3, 3, 3, seed=1), signed(4, seed=2), *parameters]
    return contraction(op, operands, length=27)


CONVOLUTIONS = {
    "conv 1-D": convolution((2, 3, 11), (4, 3, 3)),
    "conv 1-D strided, padded to one side": convolution((2, 3, 11), (4, 3, 4), strides=(2,), pads=(0, 3)),
    "conv 2-D": convolution((2, 3, 7, 9), (4, 3, 2, 3), bias=False),
    "conv 2-D everything": convolution(
        (2, 6, 9, 13), (4, 3, 3, 2), strides=(2, 3), pads=(1, 0, 2, 3), dilations=(2, 3), group=2
    ),
    "conv depthwise": convolution((2, 3, 8, 5), (6, 1, 3, 3), pads=(1, 1, 1, 1), group=3),
    "conv 3-D": convolution((2, 3, 5, 6, 7), (4, 3, 2, 3, 2), strides=(1, 2, 1), pads=(1, 0, 1, 0, 2, 1)),
    "conv SAME_UPPER": convolution((2, 3, 8, 11), (4, 3, 4, 2), auto_pad="SAME_UPPER", strides=(2, 1)),
    "conv SAME_LOWER": convolution((2, 3, 8, 11), (4, 3, 4, 2), auto_pad="SAME_LOWER", strides=(1, 3)),
    "conv SAME, stride above kernel": convolution(
        (2, 3, 9, 11), (4, 3, 1, 2), auto_pad="SAME_UPPER", strides=(3, 4)
    ),
    "conv VALID": convolution((2, 3, 8, 11), (4, 3, 4, 2), auto_pad="VALID", strides=(2, 3)),
    "conv + relu": fused(ops.Relu()),
    "conv + leaky relu": fused(ops.LeakyRelu(alpha=0.125)),
    "conv + clip": fused(ops.Clip(), scalar(-1.5), scalar(2)),
    "conv + clip above": fused(ops.Clip(), None, scalar(2)),
    "conv + prelu": fused(ops.PRelu(), signed(4, 1, 1, seed=5)),
    "transposed 1-D": transposed((2, 3, 5), (3, 4, 3), strides=(2,)),
    "transposed 2-D": transposed((2, 3, 5, 4), (3, 4, 3, 2), bias=False),
    "transposed everything": transposed(
        (2, 4, 5, 4),
        (4, 3, 3, 2),
        strides=(3, 2),
        pads=(1, 0, 2, 1),
        dilations=(2, 3),
        group=2,
        output_padding=(2, 1),
    ),
    "transposed depthwise": transposed((2, 3, 5, 4), (3, 1, 2, 3), strides=(2, 2), group=3),
    "transposed 3-D": transposed(
        (2, 3, 3, 4, 2), (3, 4, 2, 3, 2), strides=(2, 1, 2), pads=(0, 1, 0, 1, 0, 1)
    ),
    "transposed SAME_UPPER": transposed((2, 3, 5, 4), (3, 4, 3, 4), strides=(2, 3), auto_pad="SAME_UPPER"),
    "transposed SAME_LOWER": transposed((2, 3, 5, 4), (3, 4, 3, 4), strides=(2, 3), auto_pad="SAME_LOWER"),
    "transposed output_shape": transposed((2, 3, 5, 4), (3, 4, 4, 4), strides=(2, 3), output_shape=(11, 10)),
    "transposed output_shape, SAME_UPPER": transposed(
        (2, 3, 5, 4), (3, 4, 4, 4), strides=(2, 3), output_shape=(11, 10), auto_pad="SAME_UPPER"
    ),
}


def max_pool(x: Sequence[int], kernel: Sequence[int], *, dtype: Any = np.float32, **fields: Any) -> Case:
    op = replace(ops.MaxPool.of(kernel), **fields)
    return Case(op=op, operands=[signed(*x, dtype=dtype, scale=40)], outputs=2)


def max_unpool(
    x: Sequence[int], kernel: Sequence[int], *, strides: Sequence[int], pads: Sequence[int] = (0, 0, 0, 0)
) -> Case:
    """Indices that each occur once, in no order."""
    op = ops.MaxUnpool(kernel_shape=tuple(kernel), strides=tuple(strides), pads=tuple(pads))
    crops = zip(pads[: len(kernel)], pads[len(kernel) :], strict=True)
    out = [s * (n - 1) + k - sum(crop) for n, s, k, crop in zip(x[2:], strides, kernel, crops, strict=True)]
    indices = np.random.default_rng(0).permutation(x[0] * x[1] * int(np.prod(out)))[: int(np.prod(x))]
    return Case(op=op, operands=[signed(*x), indices.reshape(x)])


def average_pool(x: Sequence[int], kernel: Sequence[int], **fields: Any) -> Case:
    op = replace(ops.AveragePool.of(kernel), **fields)
    return contraction(op, [signed(*x)], length=int(np.prod(kernel)))


POOL_FIELDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "strided": {"strides": (2, 3)},
    "padded": {"strides": (2, 1), "pads": (1, 0, 2, 1)},
    "dilated": {"dilations": (2, 3), "pads": (1, 1, 0, 2)},
    "ceil": {"strides": (2, 3), "ceil_mode": 1},
    "ceil, padded": {"strides": (3, 2), "pads": (1, 1, 2, 2), "ceil_mode": 1},
    "ceil, last window in the padding": {"strides": (3, 4), "pads": (0, 0, 2, 2), "ceil_mode": 1},
    "ceil, dilated": {"strides": (2, 2), "dilations": (2, 1), "pads": (1, 1, 1, 1), "ceil_mode": 1},
    "SAME_UPPER": {"strides": (2, 3), "auto_pad": "SAME_UPPER"},
    "SAME_LOWER": {"strides": (3, 2), "auto_pad": "SAME_LOWER"},
    "VALID": {"strides": (2, 3), "auto_pad": "VALID"},
}
POOLS = {
    **{f"max pool {name}": max_pool((2, 3, 8, 11), (3, 3), **f) for name, f in POOL_FIELDS.items()},
    **{
        f"max pool by columns {name}": max_pool((2, 3, 8, 11), (3, 3), storage_order=1, **f)
        for name, f in POOL_FIELDS.items()
    },
    **{f"average pool {name}": average_pool((2, 3, 8, 11), (3, 3), **f) for name, f in POOL_FIELDS.items()},
    **{
        f"average pool with padding {name}": average_pool((2, 3, 8, 11), (3, 3), count_include_pad=1, **f)
        for name, f in POOL_FIELDS.items()
    },
    "max pool 1-D": max_pool((2, 3, 11), (4,), strides=(3,), pads=(1, 2), ceil_mode=1),
    "max pool 3-D": max_pool((2, 3, 5, 6, 7), (2, 3, 2), strides=(2, 1, 2), pads=(0, 1, 0, 1, 1, 1)),
    "max pool 3-D by columns": max_pool((2, 3, 5, 6, 7), (2, 3, 2), storage_order=1),
    "max pool int8": max_pool((2, 3, 8, 11), (3, 3), dtype=np.int8, pads=(1, 1, 1, 1)),
    "max pool uint8": max_pool((2, 3, 8, 11), (3, 2), dtype=np.uint8),
    "max pool double": max_pool((2, 3, 8, 11), (3, 2), dtype=np.float64, pads=(1, 1, 1, 1)),
    "max unpool": max_unpool((2, 3, 4, 5), (2, 3), strides=(2, 3)),
    "max unpool, padded": max_unpool((2, 3, 4, 5), (3, 4), strides=(2, 3), pads=(1, 0, 0, 2)),
    "max unpool 1-D": max_unpool((2, 3, 7), (2,), strides=(3,), pads=(0, 1)),
    "max unpool 3-D": max_unpool((2, 3, 2, 4, 3), (2, 1, 2), strides=(2, 1, 3), pads=(0,) * 6),
    "average pool 1-D": average_pool((2, 3, 11), (4,), strides=(3,), pads=(1, 2), ceil_mode=1),
    "average pool 3-D": average_pool((2, 3, 5, 6, 7), (2, 3, 2), strides=(2, 1, 2), pads=(0, 1, 0, 1, 1, 1)),
    "global average": contraction(ops.GlobalAveragePool(), [signed(2, 3, 5, 7)], length=35),
    "global average 1-D": contraction(ops.GlobalAveragePool(), [signed(2, 3, 5)], length=5),
    "global average 3-D": contraction(ops.GlobalAveragePool(), [signed(2, 3, 5, 2, 3)], length=30),
    "global max": Case(op=ops.GlobalMaxPool(), operands=[signed(2, 3, 5, 7)]),
    "global max 3-D": Case(op=ops.GlobalMaxPool(), operands=[signed(2, 3, 5, 2, 3)]),
}


def activation(op: Op, *parameters: Array | None, **more: Any) -> Case:
    x = np.concatenate([signed(2, 3, 5), signed(2, 3, 2, scale=30)], axis=2)
    return Case(op=op, operands=[x, *parameters], roundings=POINTWISE, **more)


ACTIVATIONS = {
    "relu": replace(activation(ops.Relu()), roundings=EXACT),
    "relu int32": Case(op=ops.Relu(), operands=[whole(2, 3, dtype=np.int32)]),
    "leaky relu": activation(ops.LeakyRelu(alpha=-0.3)),
    "prelu scalar": activation(ops.PRelu(), signed(1)),
    "prelu per channel": activation(ops.PRelu(), signed(3, 1, seed=1)),
    "elu": activation(ops.Elu(alpha=0.7)),
    "selu": activation(ops.Selu()),
    "selu own numbers": activation(ops.Selu(alpha=0.5, gamma=2.0)),
    "celu": activation(ops.Celu(alpha=0.7)),
    "thresholded relu": activation(ops.ThresholdedRelu(alpha=0.7)),
    "clip": replace(activation(ops.Clip(), scalar(-0.5), scalar(1.5)), roundings=EXACT),
    "clip below": replace(activation(ops.Clip(), scalar(-0.5)), roundings=EXACT),
    "clip above": replace(activation(ops.Clip(), None, scalar(-0.5)), roundings=EXACT),
    "clip int64": Case(
        op=ops.Clip(), operands=[whole(3, 4), np.int64(-2).reshape(()), np.int64(5).reshape(())]
    ),
    "sigmoid": activation(ops.Sigmoid()),
    "hard sigmoid": activation(ops.HardSigmoid(alpha=0.3, beta=0.4)),
    "hard swish": activation(ops.HardSwish()),
    "swish": activation(ops.Swish(), opset=24),
    "swish alpha": activation(ops.Swish(alpha=1.5), opset=24),
    "tanh": activation(ops.Tanh()),
    "softplus": activation(ops.Softplus()),
    "softsign": activation(ops.Softsign()),
    "mish": activation(ops.Mish()),
    "gelu": activation(ops.Gelu()),
    "gelu tanh": activation(ops.Gelu(approximate="tanh")),
}


def broadcasting(op: Op, *, dtype: Any, roundings: int = EXACT, a: Array | None = None) -> Case:
    make = whole if np.dtype(dtype).kind in "iu" else signed
    left = make(2, 3, 1, 5, dtype=dtype) if a is None else a
    right = make(3, 4, 1, dtype=dtype, seed=3)
    return Case(op=op, operands=[left, np.where(right == 0, 1, right).astype(dtype)], roundings=roundings)


NUMBERS = (np.float32, np.float64, np.int32, np.int64)
ARITHMETIC = {
    **{
        f"{op.label} {np.dtype(dtype)}": broadcasting(op, dtype=dtype, roundings=1)
        for op in (ops.Add(), ops.Sub(), ops.Mul(), ops.Div())
        for dtype in NUMBERS
    },
    **{
        f"{op.label} {np.dtype(dtype)}": broadcasting(op, dtype=dtype)
        for op in (ops.Equal(), ops.Greater(), ops.GreaterOrEqual(), ops.Less(), ops.LessOrEqual())
        for dtype in NUMBERS
    },
    "pow": replace(broadcasting(ops.Pow(), dtype=np.float32, a=positive(2, 3, 1, 5)), roundings=POINTWISE),
    "pow of negatives": Case(
        op=ops.Pow(), operands=[signed(3, 4), whole(4, low=-2, high=4)], roundings=POINTWISE
    ),
    "pow int": Case(op=ops.Pow(), operands=[whole(3, 4), whole(4, low=0, high=4)]),
    "pow int by float": Case(op=ops.Pow(), operands=[whole(3, 4, low=1), floats(0.5, 1, 2, 1.5)]),
    **{
        op.label: Case(op=op, operands=[truth(2, 3, 1), truth(3, 4, seed=1)])
        for op in (ops.And(), ops.Or(), ops.Xor())
    },
    **{
        f"{op.label} of three": Case(
            op=op, operands=[signed(2, 3, 1), signed(1, 4, seed=1), signed(3, 1, seed=2)], roundings=3
        )
        for op in (ops.Max(), ops.Min(), ops.Sum(), ops.Mean())
    },
    "max of one": Case(op=ops.Max(), operands=[signed(2, 3)]),
    "min int64": Case(op=ops.Min(), operands=[whole(2, 3), whole(3, seed=1)]),
    "where": Case(op=ops.Where(), operands=[truth(2, 3, 1), signed(3, 4), signed(1, 4, seed=1)]),
    "where int64": Case(op=ops.Where(), operands=[truth(2, 1), whole(3), whole(1, seed=1)]),
}
UNARY = {
    **{
        op.label: Case(op=op, operands=[signed(2, 3, 5)])
        for op in (ops.Abs(), ops.Neg(), ops.Sign(), ops.Floor(), ops.Ceil(), ops.Identity())
    },
    **{
        f"{op.label} int32": Case(op=op, operands=[whole(2, 3, dtype=np.int32)])
        for op in (ops.Abs(), ops.Neg(), ops.Sign(), ops.Identity())
    },
    "round": Case(op=ops.Round(), operands=[np.arange(-3.5, 4, 0.25, dtype=np.float32)]),
    **{
        op.label: Case(op=op, operands=[signed(2, 3, 5)], roundings=POINTWISE)
        for op in (ops.Exp(), ops.Erf(), ops.Sin(), ops.Cos())
    },
    **{
        op.label: Case(op=op, operands=[positive(2, 3, 5)], roundings=POINTWISE)
        for op in (ops.Reciprocal(), ops.Sqrt(), ops.Log())
    },
    "sqrt of negatives": Case(op=ops.Sqrt(), operands=[signed(2, 3, 5)], roundings=1),
    "log of zero": Case(op=ops.Log(), operands=[floats(0, 1, 4)], roundings=POINTWISE),
    "not": Case(op=ops.Not(), operands=[truth(3, 4)]),
    "dropout": Case(op=ops.Dropout(), operands=[signed(2, 3)], outputs=2),
    "dropout with ratio": Case(op=ops.Dropout(), operands=[signed(2, 3), scalar(0.7)], outputs=2),
}
CASTS = {
    f"cast {np.dtype(source)} to {to.label}": Case(
        op=ops.Cast(to=to),
        operands=[signed(3, 5, scale=60).astype(source) if source is not np.bool_ else truth(3, 5)],
    )
    for source in (np.float32, np.float64, np.int64, np.int32, np.bool_)
    for to in (
        DataType.FLOAT16,
        DataType.BFLOAT16,
        DataType.INT32,
        DataType.INT64,
        DataType.BOOL,
        DataType.DOUBLE,
    )
}
FLOAT8 = {
    f"cast to {to.label} saturate={saturate}": Case(
        op=ops.Cast(to=to, saturate=saturate),
        operands=[np.concatenate([signed(30, scale=200), floats(1e6, -1e6, 0, 448, 470, 60000)])],
    )
    for to in (
        DataType.FLOAT8E4M3FN,
        DataType.FLOAT8E4M3FNUZ,
        DataType.FLOAT8E5M2,
        DataType.FLOAT8E5M2FNUZ,
    )
    for saturate in (0, 1)
}


def batch_norm(*x: int, dtype: Any = np.float32, **fields: Any) -> Case:
    c = x[1]
    vectors = [signed(c, seed=s, dtype=dtype) for s in (1, 2, 3)]
    operands = [signed(*x, dtype=dtype), *vectors, positive(c, seed=4, dtype=dtype)]
    op = ops.BatchNormalization(**fields)
    outputs = 3 if op.training_mode else 1
    return Case(op=op, operands=operands, outputs=outputs, roundings=8 + (x[0] if op.training_mode else 0))


def instance_norm(*x: int) -> Case:
    operands = [signed(*x), signed(x[1], seed=1), signed(x[1], seed=2)]
    return Case(
        op=ops.InstanceNormalization(epsilon=0.01), operands=operands, roundings=8 + int(np.prod(x[2:]))
    )


def group_norm(*x: int, groups: int) -> Case:
    operands = [signed(*x), signed(x[1], seed=1), signed(x[1], seed=2)]
    op = ops.GroupNormalization(num_groups=groups, epsilon=0.01)
    return Case(op=op, operands=operands, roundings=8 + int(np.prod(x[1:])) // groups)


def trailing_norm(kind: type[Op], *x: int, parameters: Sequence[Sequence[int]], **fields: Any) -> Case:
    operands = [signed(*x), *(signed(*sizes, seed=s) for s, sizes in enumerate(parameters, start=1))]
    outputs = 3 if kind is ops.LayerNormalization else 1
    op = kind(epsilon=0.01, **fields)
    return Case(op=op, operands=operands, outputs=outputs, roundings=8 + int(np.prod(x)), opset=23)


NORMS = {
    "batch norm": batch_norm(2, 3, 5, 7),
    "batch norm 1-D": batch_norm(2, 3, 5),
    "batch norm 3-D": batch_norm(2, 3, 5, 2, 4, epsilon=0.5),
    "batch norm without space": batch_norm(4, 3),
    "batch norm double": batch_norm(2, 3, 5, 7, dtype=np.float64, epsilon=2**-10),
    "batch norm training": batch_norm(8, 3, 5, 7, training_mode=1, momentum=0.75),
    "instance norm": instance_norm(2, 3, 5, 7),
    "instance norm 1-D": instance_norm(2, 3, 5),
    "instance norm 3-D": instance_norm(2, 3, 4, 5, 2),
    "group norm": group_norm(2, 6, 5, 7, groups=3),
    "group norm 1-D": group_norm(2, 6, 5, groups=2),
    "layer norm": trailing_norm(ops.LayerNormalization, 2, 3, 5, parameters=[(5,), (5,)]),
    "layer norm of two axes": trailing_norm(
        ops.LayerNormalization, 2, 3, 5, 4, parameters=[(5, 4), (5, 4)], axis=-2
    ),
    "layer norm without a bias": trailing_norm(ops.LayerNormalization, 2, 3, 5, parameters=[(3, 5)], axis=1),
    "mean square norm": trailing_norm(ops.RMSNormalization, 2, 3, 5, parameters=[(5,)]),
    "mean square norm of two axes": trailing_norm(ops.RMSNormalization, 2, 3, 5, parameters=[(3, 5)], axis=1),
}


def moved(op: Op, *operands: Array | None, **more: Any) -> Case:
    return Case(op=op, operands=operands, **more)


LAYOUT = {
    "pad constant": moved(ops.Pad(), signed(2, 3, 5), ints(0, 1, 2, 0, 3, 1), scalar(1.5)),
    "pad zero": moved(ops.Pad(), signed(2, 3, 5), ints(0, 1, 2, 0, 3, 1)),
    "pad axes": moved(ops.Pad(), signed(2, 3, 5), ints(1, 2, 3, 0), scalar(-1), ints(-1, 0)),
    "pad negative": moved(ops.Pad(), signed(2, 3, 5), ints(0, -1, 2, 0, 0, -3)),
    "pad reflect": moved(ops.Pad(mode="reflect"), signed(2, 3, 5), ints(0, 1, 4, 0, 2, 3)),
    "pad edge": moved(ops.Pad(mode="edge"), signed(2, 3, 5), ints(0, 1, 4, 1, 2, 7)),
    "pad edge negative": moved(ops.Pad(mode="edge"), signed(2, 3, 5), ints(0, -1, 4, 1, 2, -2)),
    "pad wrap": moved(ops.Pad(mode="wrap"), signed(2, 3, 5), ints(0, 1, 4, 0, 2, 3)),
    "pad int64": moved(ops.Pad(), whole(2, 3), ints(1, 0, 0, 2), np.asarray(7)),
    "concat": moved(ops.Concat(axis=1), signed(2, 3, 5), signed(2, 1, 5), signed(2, 4, 5)),
    "concat from the end": moved(ops.Concat(axis=-1), signed(2, 3, 5), signed(2, 3, 1)),
    "concat one": moved(ops.Concat(axis=0), whole(2, 3)),
    "split": moved(ops.Split(axis=1), signed(2, 7, 3), ints(2, 4, 1), outputs=3),
    "split evenly": moved(ops.Split(axis=-1, num_outputs=3), signed(2, 9), outputs=3),
    "split unevenly": moved(ops.Split(axis=1, num_outputs=3), signed(2, 7), outputs=3),
    "slice": moved(ops.Slice(), signed(5, 7, 3), ints(1, -4), ints(4, 2**40)),
    "slice axes and steps": moved(
        ops.Slice(), signed(5, 7, 3), ints(-1, 1), ints(-(2**40), 6), ints(1, -3), ints(-2, 3)
    ),
    "slice nothing": moved(ops.Slice(), signed(5, 7), ints(3), ints(2), ints(1)),
    "slice backwards to the start": moved(ops.Slice(), signed(5, 7), ints(9), ints(-8), ints(1), ints(-1)),
    "slice beyond": moved(ops.Slice(), whole(5, 7), ints(-20), ints(20), ints(0), ints(2)),
    "gather": moved(ops.Gather(axis=1), signed(2, 7, 3), ints(6, 0, -2, 0)),
    "gather of two axes": moved(ops.Gather(axis=-1), whole(2, 5), ints(4, 1, -5).reshape(3, 1)),
    "gather one": moved(ops.Gather(), signed(5, 7), np.asarray(-2)),
    "transpose": moved(ops.Transpose(perm=(2, 0, 3, 1)), signed(2, 3, 5, 7)),
    "transpose reversed": moved(ops.Transpose(), whole(2, 3, 5)),
    "depth to space": moved(ops.DepthToSpace(blocksize=2), signed(2, 12, 3, 5)),
    "depth to space CRD": moved(ops.DepthToSpace(blocksize=2, mode="CRD"), signed(2, 12, 3, 5)),
    "space to depth": moved(ops.SpaceToDepth(blocksize=3), signed(2, 2, 6, 9)),
    "reshape": moved(ops.Reshape(), signed(2, 3, 5, 7), ints(0, -1, 7)),
    "reshape allowzero": moved(ops.Reshape(allowzero=1), signed(0, 3), ints(3, 0)),
    "reshape to scalar": moved(ops.Reshape(), signed(1, 1), np.zeros(0, dtype=np.int64)),
    "flatten": moved(ops.Flatten(), signed(2, 3, 5)),
    "flatten at 0": moved(ops.Flatten(axis=0), signed(2, 3, 5)),
    "flatten from the end": moved(ops.Flatten(axis=-1), signed(2, 3, 5)),
    "squeeze": moved(ops.Squeeze(), signed(2, 1, 5, 1), ints(-1)),
    "squeeze all": moved(ops.Squeeze(), signed(2, 1, 5, 1)),
    "unsqueeze": moved(ops.Unsqueeze(), signed(2, 3), ints(-1, 1)),
    "expand": moved(ops.Expand(), signed(3, 1, 5), ints(2, 1, 4, 1)),
}
LINEAR = {
    "gemm": contraction(ops.Gemm(), [signed(3, 5), signed(5, 4)], length=5),
    "gemm everything": contraction(
        ops.Gemm(alpha=0.5, beta=2.0, transA=1, transB=1), [signed(5, 3), signed(4, 5), signed(4)], length=5
    ),
    "gemm c column": contraction(ops.Gemm(), [signed(3, 5), signed(5, 4), signed(3, 1)], length=5),
    "matmul": contraction(ops.MatMul(), [signed(2, 1, 3, 5), signed(4, 5, 6)], length=5),
    "matmul vectors": contraction(ops.MatMul(), [signed(5), signed(5, seed=1)], length=5),
    "matmul by a vector": contraction(ops.MatMul(), [signed(2, 3, 5), signed(5)], length=5),
    "matmul int32": moved(ops.MatMul(), whole(3, 5, dtype=np.int32), whole(5, 2, dtype=np.int32)),
}

REDUCTIONS: tuple[type[ops.Reduction], ...] = (
    ops.ReduceSum,
    ops.ReduceMean,
    ops.ReduceMax,
    ops.ReduceMin,
    ops.ReduceProd,
    ops.ReduceL1,
    ops.ReduceL2,
    ops.ReduceLogSum,
    ops.ReduceLogSumExp,
    ops.ReduceSumSquare,
)


def reduction(kind: type[ops.Reduction], *axes: int, x: Array | None = None, **fields: Any) -> Case:
    data = (positive(2, 3, 5, 4) if kind is ops.ReduceLogSum else signed(2, 3, 5, 4)) if x is None else x
    operands = [data, ints(*axes)] if axes else [data]
    exact = kind in (ops.ReduceMax, ops.ReduceMin) or data.dtype.kind != "f"
    reach = float(np.sqrt((data**2).sum()) + np.abs(data).sum())
    (y,) = evaluate_op(kind(**fields), operands)
    reach = max(reach, float(np.abs(y).max()))
    return Case(op=kind(**fields), operands=operands, roundings=EXACT if exact else POINTWISE, reach=reach)


REDUCE = {
    **{f"{k.__name__} all": reduction(k) for k in REDUCTIONS},
    **{f"{k.__name__} one axis": reduction(k, -2) for k in REDUCTIONS},
    **{f"{k.__name__} two axes, gone": reduction(k, 3, -3, keepdims=0) for k in REDUCTIONS},
    **{f"{k.__name__} no axis": reduction(k, noop_with_empty_axes=1) for k in REDUCTIONS},
    **{
        f"{k.__name__} int32": reduction(k, 1, x=whole(2, 3, 4, dtype=np.int32))
        for k in REDUCTIONS
        if k not in (ops.ReduceLogSum, ops.ReduceLogSumExp, ops.ReduceL2)
    },
    **{
        f"{kind.__name__} {axis}": Case(
            op=kind(axis=axis), operands=[signed(2, 3, 5, 4)], roundings=POINTWISE
        )
        for kind in (ops.Softmax, ops.LogSoftmax)
        for axis in (-1, 1, 0)
    },
}


def resize(x: Array, *, scales: Array | None = None, sizes: Array | None = None, **fields: Any) -> Case:
    op = ops.Resize(**fields)
    roi = fields.pop("roi", None)
    rounded = EXACT if op.mode == "nearest" else 64  # float32 weights, two or three axes of them
    return Case(op=op, operands=[x, roi, scales, sizes][: 4 if sizes is not None else 3], roundings=rounded)


COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")
GRIDS: dict[str, dict[str, Array]] = {
    "larger": {"scales": floats(1, 1, 2, 3)},
    "smaller": {"scales": floats(1, 1, 0.6, 0.5)},
    "mixed sizes": {"sizes": ints(2, 3, 9, 5)},
    "odd scales": {"scales": floats(1, 1, 1.7, 2.3)},
    "to one": {"sizes": ints(2, 3, 1, 5)},
}
RESIZE = {
    **{
        f"resize nearest {c} {n} {grid}": resize(
            signed(2, 3, 5, 7), coordinate_transformation_mode=c, nearest_mode=n, **GRIDS[grid]
        )
        for c in COORDINATES
        for n in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
        for grid in GRIDS
    },
    **{
        f"resize {mode} {c} {grid}": resize(
            signed(2, 3, 5, 7), mode=mode, coordinate_transformation_mode=c, **GRIDS[grid]
        )
        for mode in ("linear", "cubic")
        for c in COORDINATES
        for grid in GRIDS
    },
    **{
        f"resize cubic exclude_outside {c} {grid}": resize(
            signed(2, 3, 5, 7),
            mode="cubic",
            exclude_outside=1,
            cubic_coeff_a=-0.5,
            coordinate_transformation_mode=c,
            **GRIDS[grid],
        )
        for c in COORDINATES
        for grid in GRIDS
    },
    **{
        f"resize antialias {mode} exclude_outside={e} {grid}": resize(
            signed(2, 3, 9, 11), mode=mode, antialias=1, exclude_outside=e, **GRIDS[grid]
        )
        for mode in ("linear", "cubic")
        for e in (0, 1)
        for grid in GRIDS
    },
    "resize linear 1-D": resize(signed(2, 3, 5), mode="linear", scales=floats(1, 1, 2.5)),
    "resize linear 3-D": resize(signed(2, 3, 5, 4, 3), mode="linear", scales=floats(1, 1, 2, 1.5, 2)),
    "resize nearest 1-D": resize(signed(2, 3, 5), scales=floats(1, 1, 2.5)),
    "resize nearest 3-D": resize(signed(2, 3, 5, 4, 3), sizes=ints(2, 3, 4, 7, 6)),
    "resize nearest int32": resize(whole(2, 3, 5, dtype=np.int32), scales=floats(1, 1, 2)),
    "resize axes": resize(signed(2, 3, 5, 4), scales=floats(2, 3), axes=(3, 2)),
    "resize not larger": resize(
        signed(2, 3, 5, 7), sizes=ints(8, 9), axes=(2, 3), keep_aspect_ratio_policy="not_larger"
    ),
    "resize not smaller": resize(
        signed(2, 3, 5, 7), sizes=ints(8, 9), axes=(2, 3), keep_aspect_ratio_policy="not_smaller"
    ),
    **{
        f"resize crop {mode}": Case(
            op=ops.Resize(
                mode=mode, coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=7.5
            ),
            operands=[signed(2, 3, 5, 7), floats(0, 0, 0.2, -0.4, 1, 1, 0.9, 1.3), None, ints(2, 3, 6, 9)],
            roundings=64,
        )
        for mode in ("nearest", "linear", "cubic")
    },
}
CASES = {
    **CONVOLUTIONS, **POOLS, **ACTIVATIONS, **ARITHMETIC, **UNARY, **CASTS, **FLOAT8, **NORMS, **LAYOUT,
    **LINEAR, **REDUCE, **RESIZE,
}  # fmt: skip


def build(case: Case) -> tuple[Any, dict[str, Array]]:
    """The graph of one node and what it is fed."""
    b = GraphBuilder(opset=case.opset)
    first = case.operands[0]
    assert first is not None
    x = b.input("x", shape=first.shape, dtype=DataType.of(first.dtype))
    results = b.add_all(case.op, x, *case.operands[1:], names=("",) * case.outputs)
    for number, result in enumerate(results):
        # onnxruntime cannot hand out the narrowest floats.
        narrow = b.type(result).dtype.label.startswith(("bfloat", "float8"))
        b.output(b.add(ops.Cast(to=DataType.FLOAT), result) if narrow else result, name=f"y{number}")
    return b.build(), {"x": first}


def reference(graph: Any, feeds: dict[str, Array]) -> list[Array]:
    """onnxruntime's results, its optimisations off."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    model = to_onnx(graph)
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(y) for y in session.run(None, feeds)]


def assert_close(found: Array, expected: Array, *, case: Case) -> None:
    assert found.shape == expected.shape
    if expected.dtype.kind != "f":
        assert found.dtype == expected.dtype
    if case.roundings == EXACT or expected.dtype.kind != "f":
        np.testing.assert_array_equal(found.astype(expected.dtype), expected)
        return
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(np.where(finite, 0, found), np.where(finite, 0, expected))
    reach = case.reach if case.reach is not None else float(np.abs(expected[finite]).max(initial=0))
    tolerance = float(np.finfo(expected.dtype).eps) * case.roundings * max(reach, 1e-30)
    np.testing.assert_allclose(
        np.where(finite, found, 0), np.where(finite, expected, 0), rtol=0, atol=tolerance
    )


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_onnxruntime(name: str) -> None:
    case = CASES[name]
    graph, feeds = build(case)
    found = evaluate(graph, feeds)
    for number, expected in enumerate(reference(graph, feeds)):
        assert_close(found[f"y{number}"], expected, case=case)


def test_every_typed_operation_is_covered() -> None:
    assert {case.op.label for case in CASES.values()} == set(TYPED)


def as_columns(x: Array, *, kernel: Sequence[int], op: Conv) -> Array:
    """im2col: what every window holds, (N, C, *out, *kernel)."""
    rank = len(kernel)
    wide = np.pad(x, [(0, 0), (0, 0), *((op.pads[i], op.pads[i + rank]) for i in range(rank))])
    reach = [d * (k - 1) + 1 for d, k in zip(op.dilations, kernel, strict=True)]
    axes = tuple(range(2, 2 + rank))
    views = np.lib.stride_tricks.sliding_window_view(wide, reach, axis=axes)
    steps = [slice(None, None, s) for s in op.strides]
    taps = [slice(None, None, d) for d in op.dilations]
    return views[(slice(None), slice(None), *steps, *taps)]


@pytest.mark.parametrize("name", [n for n, c in CONVOLUTIONS.items() if type(c.op) is Conv])
def test_convolution_agrees_with_im2col(name: str) -> None:
    case = CONVOLUTIONS[name]
    x, weight, bias = (None if o is None else o.astype(np.float64) for o in case.operands[:3])
    assert isinstance(case.op, Conv)
    assert x is not None
    assert weight is not None
    pads = case.op.padded_explicitly(Tensor(x).type, Tensor(weight).type)
    assert pads is not None
    op = replace(case.op, activation=None, auto_pad="NOTSET", pads=pads)
    columns = as_columns(x, kernel=weight.shape[2:], op=op)
    groups = zip(np.split(columns, op.group, axis=1), np.split(weight, op.group), strict=True)
    rank = op.spatial_rank
    over = ((1, *range(2 + rank, 2 + 2 * rank)), tuple(range(1, 2 + rank)))
    parts = [np.moveaxis(np.tensordot(c, w, axes=over), -1, 1) for c, w in groups]
    expected = np.concatenate(parts, axis=1)
    if bias is not None:
        expected = expected + bias.reshape(-1, *(1 for _ in range(rank)))
    (found,) = evaluate_op(op, [x, weight, bias])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


def test_floats_stay_float64_and_integers_keep_their_type() -> None:
    third = np.asarray(1 / 3)
    assert evaluate_op(ops.Add(), [third, third])[0] == third + third
    assert evaluate_op(ops.Add(), [np.float16([1]), np.float16([2])])[0].dtype == np.float64
    for dtype in (np.int8, np.uint8, np.int16, np.int64):
        seven = np.asarray([7, 100], dtype=dtype)
        assert evaluate_op(ops.Mul(), [seven, seven])[0].dtype == dtype
        assert evaluate_op(ops.ReduceSum(), [seven])[0].dtype == dtype


def test_a_cast_to_a_narrow_float_rounds() -> None:
    (found,) = evaluate_op(ops.Cast(to=DataType.FLOAT16), [np.asarray([1 / 3, 1e6])])
    assert found.dtype == np.float64
    assert found.tolist() == [float(np.float16(1 / 3)), np.inf]


def test_integer_division_truncates_towards_zero() -> None:
    (found,) = evaluate_op(ops.Div(), [ints(7, -7, 7, -7, 6, -6), ints(2, 2, -2, -2, 3, 3)])
    assert found.tolist() == [3, -3, -3, 3, 2, -2]


def test_the_extremes_of_no_elements() -> None:
    nothing = np.zeros((0, 3))
    assert evaluate_op(ops.ReduceMax(), [nothing])[0].item() == -np.inf
    assert evaluate_op(ops.ReduceMin(), [nothing])[0].item() == np.inf
    assert evaluate_op(ops.ReduceMax(), [nothing.astype(np.int8)])[0].item() == -128
    assert evaluate_op(ops.ReduceMin(), [nothing.astype(np.bool_)])[0].item() is True


def test_only_as_many_results_as_asked_for() -> None:
    x = signed(2, 3, 8, 11)
    pool = ops.MaxPool.of((2, 3))
    assert len(evaluate_op(pool, [x])) == 1
    assert len(evaluate_op(pool, [x], outputs=2)) == 2


def test_a_graph_with_a_default_and_a_shared_value() -> None:
    b = GraphBuilder()
    x = b.input("x", shape=(2, 3))
    c = b.overridable("c", floats(1, 2, 4))
    total = b.add(ops.Add(), x, c, name="total")
    b.output(b.add(ops.Mul(), total, total), name="square")
    b.output(total)
    graph, x_data = b.build(), signed(2, 3)
    by_default = evaluate(graph, {"x": x_data})
    assert list(by_default) == ["square", "total"]
    np.testing.assert_array_equal(by_default["total"], x_data + np.asarray([1.0, 2.0, 4.0]))
    np.testing.assert_array_equal(by_default["square"], by_default["total"] ** 2)
    overridden = evaluate(graph, {"x": x_data, "c": floats(0, 0, 0)})
    np.testing.assert_array_equal(overridden["total"], x_data)


def test_a_feed_that_is_missing_or_unknown_is_named() -> None:
    b = GraphBuilder()
    b.output(b.add(ops.Relu(), b.input("image", shape=(2, 3))), name="y")
    graph = b.build()
    with pytest.raises(InvalidModel, match="image: no feed"):
        evaluate(graph, {})
    with pytest.raises(InvalidModel, match="imgae"):
        evaluate(graph, {"image": signed(2, 3), "imgae": signed(2, 3)})


def test_an_operation_without_a_meaning_is_named() -> None:
    b = GraphBuilder()
    x = b.input("x", shape=(2, 3))
    results = b.add_all(ops.Opaque(op_type="Hardmax", arity=1), x, types=[b.type(x)], node="the hard one")
    b.output(results[0], name="y")
    with pytest.raises(UnsupportedOp, match="the hard one"):
        evaluate(b.build(), {"x": signed(2, 3)})


@pytest.mark.parametrize(
    ("op", "operands"),
    [
        (
            replace(ops.MaxPool.of((2,), dilations=2), auto_pad="SAME_UPPER"),
            [signed(2, 3, 7)],
        ),
        (ops.Dropout(), [signed(2, 3), scalar(0.5), np.asarray(True)]),
        (ops.Cast(to=DataType.STRING), [signed(2, 3)]),
        (ops.Cast(to=DataType.FLOAT8E8M0), [signed(2, 3)]),
        (ops.Resize(mode="linear"), [whole(1, 1, 3, 4), None, floats(1, 1, 2, 2)]),
        *((ops.Pad(mode=mode), [signed(3, 0), ints(0, 1, 0, 0)]) for mode in ("reflect", "edge", "wrap")),
        (ops.Pad(mode="wrap"), [signed(3, 2), ints(0, -2, 0, 1)]),
    ],
)
def test_what_has_no_exact_meaning_is_refused(op: Op, operands: list[Array | None]) -> None:
    with pytest.raises(UnsupportedOp):
        evaluate_op(op, operands)


def test_an_empty_axis_that_does_not_grow_is_padded_in_every_mode() -> None:
    for mode in ("constant", "reflect", "edge", "wrap"):
        (found,) = evaluate_op(ops.Pad(mode=mode), [signed(3, 0), ints(2, 0, 1, 0)])
        assert found.shape == (6, 0)


@pytest.mark.parametrize(
    ("op", "operands"),
    [
        (ops.Add(), [signed(2, 3), signed(2, 4)]),
        (ops.Gather(axis=1), [signed(2, 3), ints(5)]),
        (ops.Concat(axis=3), [signed(2, 3), signed(2, 3)]),
        (ops.Transpose(perm=(0, 1, 2)), [signed(2, 3)]),
        (ops.Reshape(), [signed(2, 3), ints(4, 4)]),
    ],
)
def test_operands_that_do_not_fit_together_are_an_invalid_model(op: Op, operands: list[Array]) -> None:
    with pytest.raises(InvalidModel, match=op.label):
        evaluate_op(op, operands)


def test_an_operation_that_cannot_be_computed_is_named() -> None:
    b = GraphBuilder()
    x = b.input("x", shape=("N", 3))
    b.output(b.add(ops.Gather(axis=0), x, ints(4), node="the fifth"), name="y")
    with pytest.raises(InvalidModel, match="the fifth"):
        evaluate(b.build(), {"x": signed(2, 3)})
