"""How far two float results of the same function may lie apart, derived from what was added up.

Every rounding errs by at most u = 2^-(p+1) of the rounded number, p the stored bits of the significand. A
sum of K products rounds about K times, and roundings of unrelated numbers add in quadrature: the error of a
sum is about u·√K of its size. Along a graph the terms add up operation by operation; two programs that
compute the same real function in another order (a batch normalisation folded into a convolution, a sum
reassociated) round independently, so their difference has the same form, √2 larger. Hence

    tolerance = c · u · √length · scale

with ``length`` the number of roundings accumulated on the longest path to the output, ``scale`` the output's
largest magnitude and c = 8: √2 for two programs, the rest for the largest of many elements being several
standard deviations out. Where the terms are alike, as in the mean of a map that a bias fills, the roundings
are no unrelated numbers but go the same way as long as the sum keeps its exponent: a running sum of K errs by
a part of u·K, which beyond some hundred terms is more. It does not know how much a network amplifies or
averages: most stay a hundred times below, some go beyond. So ``compare`` trusts it no further than c = 1/2
for the longest sum alone, and beyond that measures (``convgraph.numerics.noise``); c = 2 serves where a
result is too small to measure.
"""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from convgraph.ir.graph import Graph, Value
from convgraph.ir.tensor import DataType, TensorType

SAFETY = 8.0
TIGHT = 2.0  # for who can measure when it does not suffice
LEAST = 0.5  # of one sum alone: what may be told apart without measuring
UNKNOWN_SIZE = 64  # elements: what a dimension counts that is not known
UNKNOWN_REDUCTION = 1024  # roundings: an operator that adds up an amount nobody can read off

# Of a pool's K terms, all alike, in roundings: onnxruntime's pools err by up to K/16, its reductions by K/32,
# as measured from 7 x 7 to 448 x 448; that is their difference, as ``LEAST`` of the root of a length.
_DRIFT = (1 / 16 + 1 / 32) / LEAST

_COMPLEX = {DataType.COMPLEX64: DataType.FLOAT, DataType.COMPLEX128: DataType.DOUBLE}


def is_exact(dtype: DataType) -> bool:
    """Whether the type has no rounding, so that results are equal or not: integers, bools, strings."""
    return not dtype.is_float and dtype not in _COMPLEX


def unit_roundoff(dtype: DataType) -> float:
    """Largest relative error of rounding to the type: 2^-24 for float32; 0 for a type that is exact."""
    return 0.0 if is_exact(dtype) else _step(1.0, dtype) / 2


def tolerance(dtype: DataType, *, length: float, scale: float, safety: float = SAFETY) -> float:
    """Largest error two programs of the same function may show in an output.

    ``length`` is the accumulated number of roundings, in roundings of ``dtype``; ``scale`` the largest
    magnitude of the reference; ``safety`` is c. 0 for types that are exact. The only absolute floor is one
    smallest subnormal number: below it there is no smaller difference than one step.
    """
    if is_exact(dtype):
        return 0.0
    bound = safety * unit_roundoff(dtype) * math.sqrt(max(length, 1.0)) * scale
    return max(bound, _step(0.0, dtype))


def _step(number: float, dtype: DataType) -> float:
    """From a number to the next larger one of a type."""
    at = np.asarray(number, dtype=_COMPLEX.get(dtype, dtype).numpy)
    return float(np.nextafter(at, np.asarray(2, dtype=at.dtype))) - number


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One operation as the count of roundings sees it: ONNX's names, and types as far as they are known.

    ``attributes`` holds at least the plain attributes that say how much is added up (kernel_shape, group,
    axis, transA, mode).
    """

    op_type: str
    operands: Sequence[TensorType | None]
    results: Sequence[TensorType]
    attributes: Mapping[str, object]


def accumulated_length(graph: Graph) -> dict[str, float]:
    """Roundings accumulated on the longest path to each output, by output name.

    A path adds up, operation by operation, what ``reduction_length`` says. They are counted in roundings of
    the output's own element type: one of float16 on the way to a float32 output weighs (2^-11 / 2^-24)².
    Every unknown dimension counts as UNKNOWN_SIZE.
    """
    variance: dict[Value, float] = {}
    for node in graph.nodes():
        operands = graph.operands(node)
        step = Step(
            op_type=graph.op(node).label,
            operands=[None if v is None else graph.type(v) for v in operands],
            results=[graph.type(v) for v in graph.results(node)],
            attributes=graph.op(node).attributes(),
        )
        incoming = max((variance[v] for v in operands if v is not None), default=None)
        outgoing = 0.0 if incoming is None else incoming + added_variance(step)
        variance.update(dict.fromkeys(graph.results(node), outgoing))
    return {graph.value_name(v): length_in(variance[v], dtype=graph.type(v).dtype) for v in graph.outputs}


def length_in(variance: float, *, dtype: DataType) -> float:
    """A variance relative to the value's square, in roundings of an element type (float32 if exact)."""
    return max(1.0, variance / (unit_roundoff(dtype) or unit_roundoff(DataType.FLOAT)) ** 2)


def added_variance(step: Step) -> float:
    """What one operation adds to the relative variance of its results: u² for every rounding."""
    types = [*step.results, *(t for t in step.operands if t is not None)]
    unit = max((unit_roundoff(t.dtype) for t in types), default=0.0)
    return unit**2 * reduction_length(step)


def reduction_length(step: Step) -> float:
    """Roundings behind one element of the result: the terms added up, one for an elementwise operation."""
    if step.op_type in _MOVES:
        return 0.0
    if (count := _COUNTS.get(step.op_type)) is not None:
        return max(1.0, count(step))
    return float(UNKNOWN_REDUCTION) if step.op_type in _REDUCES_UNSEEN else max(1.0, _shrinkage(step))


def _elements(tensor: TensorType | None, *, skip: int = 0) -> float:
    """Number of elements, unknown dimensions counted as UNKNOWN_SIZE; the first ``skip`` axes left out."""
    if tensor is None or tensor.shape is None:
        return float(UNKNOWN_REDUCTION)
    sizes = (float(d if isinstance(d, int) else UNKNOWN_SIZE) for d in tensor.shape[skip:])
    return min(math.prod(sizes), sys.float_info.max)


def _operand(step: Step, slot: int) -> TensorType | None:
    return step.operands[slot] if slot < len(step.operands) else None


def _dim(tensor: TensorType | None, axis: int) -> float:
    size = None if tensor is None else tensor.dim(axis)
    return float(size) if isinstance(size, int) else float(UNKNOWN_SIZE)


def _int(step: Step, name: str, default: int) -> int:
    value = step.attributes.get(name, default)
    return value if isinstance(value, int) else default


def _conv(step: Step) -> float:
    """C/group · kernel products and the bias."""
    return _elements(_operand(step, 1), skip=1) + 1


def _conv_transpose(step: Step) -> float:
    """At most C/group · kernel products and the bias; strides leave fewer."""
    weight = _operand(step, 1)
    return _dim(weight, 0) / max(1, _int(step, "group", 1)) * _elements(weight, skip=2) + 1


def _gemm(step: Step) -> float:
    return _dim(_operand(step, 0), 0 if _int(step, "transA", 0) else 1) + 1


def _matmul(step: Step) -> float:
    return _dim(_operand(step, 0), -1)


def _shrinkage(step: Step) -> float:
    """Elements read for each element written."""
    result = step.results[0] if step.results else None
    if result is None or result.shape is None or (first := _operand(step, 0)) is None or first.shape is None:
        return 1.0
    return _elements(first) / max(1.0, _elements(result))


def _window(step: Step) -> float:
    kernel = step.attributes.get("kernel_shape")
    numbers = kernel if isinstance(kernel, (tuple, list)) else ()
    return float(math.prod(n for n in numbers if isinstance(n, int)))


def _mean(terms: float) -> float:
    """A mean of terms that may all be alike."""
    return max(terms, (_DRIFT * terms) ** 2)


def _spatial(step: Step) -> float:
    return _elements(_operand(step, 0), skip=2)


def _axis(step: Step) -> float:
    return _dim(_operand(step, 0), _int(step, "axis", -1))


def _from_axis(step: Step) -> float:
    """Layer normalisation: everything from ``axis`` on."""
    first = _operand(step, 0)
    axis = _int(step, "axis", -1)
    return _elements(first, skip=axis if axis >= 0 else max(0, len(_shape(first)) + axis))


def _shape(tensor: TensorType | None) -> tuple[object, ...]:
    return () if tensor is None or tensor.shape is None else tensor.shape


def _operand_count(step: Step) -> float:
    return float(len(step.operands))


def _interpolation(step: Step) -> float:
    """Taps of the interpolating kernel: none for nearest, 2 an axis for linear, 4 for cubic."""
    taps = {"linear": 2, "cubic": 4}.get(str(step.attributes.get("mode", "nearest")), 1)
    return float(taps ** max(1, len(_shape(_operand(step, 0))) - 2))


_REDUCTIONS = ("Sum", "Mean", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare")
_COUNTS: Mapping[str, Callable[[Step], float]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "AveragePool": lambda step: _mean(_window(step)),
    "LpPool": _window,
    "GlobalAveragePool": lambda step: _mean(_spatial(step)),
    "GlobalLpPool": _spatial,
    "InstanceNormalization": _spatial,
    "BatchNormalization": lambda _: 4.0,
    "LayerNormalization": _from_axis,
    "RMSNormalization": _from_axis,
    "GroupNormalization": lambda step: _elements(_operand(step, 0), skip=1),
    "Softmax": _axis,
    "LogSoftmax": _axis,
    "CumSum": lambda step: _elements(_operand(step, 0)),
    "Sum": _operand_count,
    "Mean": _operand_count,
    "Resize": _interpolation,
    "Upsample": _interpolation,
    **{f"Reduce{kind}": _shrinkage for kind in _REDUCTIONS},
}
# fmt: off
_REDUCES_UNSEEN = frozenset((
    "Attention", "Det", "Einsum", "GRU", "GridSample", "If", "LRN", "LSTM", "Loop", "LpNormalization",
    "MeanVarianceNormalization", "RNN", "RoiAlign", "Scan",
))
_MOVES = frozenset((
    "Abs", "Clip", "Concat", "Constant", "DepthToSpace", "Expand", "Flatten", "Gather",
    "GatherElements", "GatherND", "GlobalMaxPool", "Identity", "Input", "Max", "MaxPool",
    "MaxUnpool", "Min", "Neg",
    "Pad", "ReduceMax", "ReduceMin", "Relu", "Reshape", "Shape", "Slice", "SpaceToDepth", "Split",
    "Squeeze", "Tile", "Transpose", "Unsqueeze", "Where",
))
# fmt: on
