"""The meanings of matrix products."""

from collections.abc import Callable, Mapping

import numpy as np

from convgraph.ir.ops import Gemm, MatMul, Op
from convgraph.ir.tensor import Array


def _gemm(op: Gemm, a: Array, b: Array, c: Array | None = None) -> Array:
    product = (a.T if op.transA else a) @ (b.T if op.transB else b)
    y = op.alpha * product if c is None else op.alpha * product + op.beta * c
    return np.asarray(y).astype(a.dtype, copy=False)


MEANINGS: Mapping[type[Op], Callable[..., Array]] = {
    Gemm: _gemm,
    MatMul: lambda _op, a, b: np.asarray(np.matmul(a, b)),
}
