"""Reductions along axes, and the softmax family."""

from dataclasses import dataclass

from convgraph.ir.ops.axes import normal_axes, normal_axis
from convgraph.ir.ops.base import Op, require
from convgraph.ir.tensor import TensorType


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction(Op):
    """One element for all those along ``axes``, or along every axis when none is named.

    ``noop_with_empty_axes`` turns "none is named" into "every element by itself", which is the identity for a
    sum but not for ReduceL1.
    """

    keepdims: int = 1
    noop_with_empty_axes: int = 0

    def __post_init__(self) -> None:
        """Refuse a flag that is neither 0 nor 1."""
        flags = (self.keepdims, self.noop_with_empty_axes)
        legal = all(flag in (0, 1) for flag in flags)
        require(legal, self.label, found=f"keepdims, noop_with_empty_axes={flags}", expected="0 or 1")

    def infer(self, data: TensorType, axes: TensorType | None = None) -> TensorType:
        """The type of data with the reduced axes one long, or gone without ``keepdims``."""
        reduced = self.reduced_axes(data, axes)
        if data.shape is None:
            return data.with_shape(() if axes is None and not self._keeps_axes else None)
        if reduced is None:
            return data.with_shape((None,) * len(data.shape) if self.keepdims else None)
        if self.keepdims:
            return data.with_shape(tuple(1 if i in reduced else d for i, d in enumerate(data.shape)))
        return data.with_shape(tuple(d for i, d in enumerate(data.shape) if i not in reduced))

    def reduced_axes(self, data: TensorType, axes: TensorType | None) -> tuple[int, ...] | None:
        """The axes that go, counted from the front; None when that is not known."""
        if data.rank is None:
            return None
        if axes is None or axes.size == 0:
            return () if self.noop_with_empty_axes else tuple(range(data.rank))
        return None if axes.ints is None else normal_axes(self.label, axes.ints, rank=data.rank)

    @property
    def _keeps_axes(self) -> bool:
        return bool(self.keepdims or self.noop_with_empty_axes)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceSum(Reduction):
    """The sum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceMean(Reduction):
    """The mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceMax(Reduction):
    """The largest element."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceMin(Reduction):
    """The smallest element."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceProd(Reduction):
    """The product."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceL1(Reduction):
    """The sum of the magnitudes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceL2(Reduction):
    """The square root of the sum of squares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceLogSum(Reduction):
    """The logarithm of the sum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceLogSumExp(Reduction):
    """The logarithm of the sum of exponentials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceSumSquare(Reduction):
    """The sum of squares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisNormalization(Op):
    """A function of all elements along one axis that keeps the shape (as since opset 13)."""

    axis: int = -1

    def infer(self, x: TensorType) -> TensorType:
        """The type of x."""
        if x.rank:
            normal_axis(self.label, self.axis, rank=x.rank)
        return x.with_shape(x.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Softmax(AxisNormalization):
    """exp(x) divided by its sum along ``axis``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSoftmax(AxisNormalization):
    """The logarithm of softmax along ``axis``."""
