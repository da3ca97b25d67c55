"""An operation in float64 that errs as float arithmetic does, at random: what it computes is rounded.

Its results are rounded up or down. A sum of K terms rounds K times on the way, which its result does not
show where large products cancel: half of the terms are in the sum when an average rounding takes place, so
that these come to what a rounding of each term comes to, √(K/2) times.
"""

import math
from collections.abc import Sequence

import numpy as np

from convgraph.ir.ops import Convolution, Gemm, MatMul, Op
from convgraph.ir.tensor import Array, DataType, TensorType
from convgraph.numerics.evaluate import evaluate_op
from convgraph.numerics.tolerance import Step, reduction_length, unit_roundoff

_SUMS = (Convolution, Gemm, MatMul)
_FACTOR = 1  # the operand of a sum of products that is moved


def computed_rounding(
    op: Op, operands: Sequence[Array | None], types: Sequence[TensorType], *, rng: np.random.Generator
) -> tuple[Array, ...]:
    """The results of an operation, as ``evaluate_op`` has them but for roundings."""
    by = _within(op, operands, types)
    if by and isinstance(op, _SUMS):
        operands = [
            _moved(operand, by, rng=rng) if slot == _FACTOR else operand
            for slot, operand in enumerate(operands)
        ]
        by = 0.0
    results = evaluate_op(op, operands, outputs=len(types))
    return tuple(
        rounded(_moved(array, by, rng=rng), type_.dtype, rng=rng) if type_.dtype.is_float else array
        for array, type_ in zip(results, types, strict=False)
    )


def rounded(array: Array, kind: DataType, *, rng: np.random.Generator) -> Array:
    """Each float64 element as the float of a type above or below it, at random; one of those stays."""
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite stays
        near = np.asarray(array.astype(kind.numpy))
        wide = near.astype(np.float64)
        # Neighbours among floats of one sign are neighbours as integers.
        beyond = np.where(np.abs(wide) < np.abs(array), 1, -1).astype(f"i{near.itemsize}")
        other = (near.view(beyond.dtype) + beyond).view(near.dtype).astype(np.float64)
    between = (wide != array) & np.isfinite(array) & np.isfinite(other)
    return np.where(between & rng.integers(0, 2, size=array.shape, dtype=bool), other, wide)


def _within(op: Op, operands: Sequence[Array | None], types: Sequence[TensorType]) -> float:
    """What the roundings within an operation come to in each of its terms; 0 where there is but one."""
    known = [None if a is None else TensorType(DataType.of(a.dtype), shape=a.shape) for a in operands]
    step = Step(op_type=op.label, operands=known, results=types, attributes=op.attributes())
    terms = reduction_length(step)
    return unit_roundoff(types[0].dtype) * math.sqrt(terms / 2) if terms > 1 else 0.0


def _moved(array: Array | None, by: float, *, rng: np.random.Generator) -> Array:
    """Each element moved by so much of itself at most."""
    assert array is not None
    return array * (1.0 + by * rng.uniform(-1.0, 1.0, size=array.shape)) if by else array
