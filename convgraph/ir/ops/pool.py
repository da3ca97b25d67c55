"""Pools: windows that keep the largest or the mean element, their global forms, and what undoes the first.

Pads are in ONNX's order: every axis's begin, then every axis's end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from convgraph.ir.ops.base import Op, Results, require
from convgraph.ir.ops.window import AUTO_PADS, check_window, explicit_pads, slid, spread
from convgraph.ir.tensor import DataType, Dim, TensorType, affine, times


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool(Op):
    """What MaxPool and AveragePool share. x (N, C, *spatial) -> (N, C, *out).

    out[d] = round((in[d] + pad_begin[d] + pad_end[d] - dilation[d]*(kernel[d]-1) - 1) / stride[d]) + 1,
    rounded down, or up with ``ceil_mode``: then a last window that would start in the end padding is dropped.
    """

    kernel_shape: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    ceil_mode: int = 0
    auto_pad: str = "NOTSET"

    def __post_init__(self) -> None:
        """Refuse a window whose numbers do not fit together."""
        op = self.label
        check_window(op, strides=self.strides, pads=self.pads, dilations=self.dilations)
        kernel = self.kernel_shape
        same_rank = len(kernel) == len(self.strides)
        found = f"kernel_shape={kernel} with strides={self.strides}"
        require(same_rank, op, found=found, expected="one number an axis")
        require(all(k >= 1 for k in kernel), op, found=f"kernel_shape={kernel}", expected="positive sizes")
        require(all(p >= 0 for p in self.pads), op, found=f"pads={self.pads}", expected="none negative")
        known = self.auto_pad in AUTO_PADS
        require(known, op, found=f"auto_pad={self.auto_pad}", expected=str(AUTO_PADS))
        require(self.ceil_mode in (0, 1), op, found=f"ceil_mode={self.ceil_mode}", expected="0 or 1")

    @classmethod
    def of(
        cls,
        kernel_shape: Sequence[int],
        *,
        strides: int | Sequence[int] = 1,
        pads: int | Sequence[int] = 0,
        dilations: int | Sequence[int] = 1,
        ceil_mode: int = 0,
    ) -> Self:
        """A pool with this window; a single number stands for every axis (and both ends)."""
        rank = len(kernel_shape)
        return cls(
            kernel_shape=tuple(kernel_shape),
            strides=spread(strides, rank),
            pads=spread(pads, 2 * rank),
            dilations=spread(dilations, rank),
            ceil_mode=ceil_mode,
        )

    @property
    def spatial_rank(self) -> int:
        """Number of spatial axes."""
        return len(self.strides)

    def padded_explicitly(self, x: TensorType) -> tuple[int, ...] | None:
        """The pads that ``auto_pad`` stands for; None while that depends on an unknown size.

        None, too, where ONNX and runtimes disagree (SAME with dilations, or where SAME would crop): the
        rule then has to stay as it is.
        """
        if self.auto_pad in ("SAME_UPPER", "SAME_LOWER") and self._same_is_disputed(x):
            return None
        return explicit_pads(self._sizes(x), kernel=self.kernel_shape, window=self)

    def _same_is_disputed(self, x: TensorType) -> bool:
        crops = [
            isinstance(size, int) and (-(-size // stride) - 1) * stride + kernel < size
            for size, stride, kernel in zip(self._sizes(x), self.strides, self.kernel_shape, strict=True)
        ]
        return any(crops) or max(self.dilations, default=1) > 1

    def _sizes(self, x: TensorType) -> list[Dim]:
        return [x.dim(2 + axis) for axis in range(self.spatial_rank)]

    def _pooled(self, x: TensorType) -> TensorType:
        rank = self.spatial_rank + 2
        require(x.rank in (None, rank), self.label, found=f"x of type {x}", expected=f"rank {rank}")
        out = slid(
            self._sizes(x),
            kernel=self.kernel_shape,
            window=self,
            op=self.label,
            ceil_mode=bool(self.ceil_mode),
        )
        return TensorType(x.dtype, shape=(x.dim(0), x.dim(1), *out))


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool(Pool):
    """The largest element under a window; the second result, optional, is where in x it was.

    Indices count through the whole of x; within a sample's channel row by row, or column by column when
    ``storage_order`` is 1.
    """

    storage_order: int = 0

    def __post_init__(self) -> None:
        """Refuse a window whose numbers do not fit together."""
        Pool.__post_init__(self)
        known = self.storage_order in (0, 1)
        require(known, "MaxPool", found=f"storage_order={self.storage_order}", expected="0 or 1")

    def infer(self, x: TensorType) -> Results:
        """The types of the maxima and of their indices."""
        y = self._pooled(x)
        return y, TensorType(DataType.INT64, shape=y.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxUnpool(Op):
    """The elements of x put back where the indices of a MaxPool say, among zeros.

    x and indices (N, C, *spatial) -> (N, C, *out), where out[d] = stride[d]*(in[d] - 1) + kernel[d] -
    pad_begin[d] - pad_end[d]: the window only says how large the result is. Indices count through all of it,
    row by row.
    """

    kernel_shape: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse a window whose numbers do not fit together."""
        ones = (1,) * len(self.kernel_shape)
        check_window(self.label, strides=self.strides, pads=self.pads, dilations=ones)

    def infer(self, x: TensorType, indices: TensorType) -> TensorType:
        """The type of the larger image."""
        rank = len(self.kernel_shape) + 2
        require(x.rank in (None, rank), self.label, found=f"x of type {x}", expected=f"rank {rank}")
        one_each = indices.rank in (None, rank)
        require(one_each, self.label, found=f"indices of type {indices}", expected=f"rank {rank}")
        crops = [begin + end for begin, end in zip(self.pads[: rank - 2], self.pads[rank - 2 :], strict=True)]
        numbers = zip(self.strides, self.kernel_shape, crops, strict=True)
        out = [
            affine(times(x.dim(2 + axis), stride), add=kernel - crop - stride)
            for axis, (stride, kernel, crop) in enumerate(numbers)
        ]
        return TensorType(x.dtype, shape=(x.dim(0), x.dim(1), *out))


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragePool(Pool):
    """The mean of the elements under a window; padding counts as zeros with ``count_include_pad``."""

    count_include_pad: int = 0

    def __post_init__(self) -> None:
        """Refuse a window whose numbers do not fit together."""
        Pool.__post_init__(self)
        known = self.count_include_pad in (0, 1)
        require(known, "AveragePool", found=f"count_include_pad={self.count_include_pad}", expected="0 or 1")

    def infer(self, x: TensorType) -> TensorType:
        """The type of the means."""
        return self._pooled(x)


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalPool(Op):
    """One element a sample and channel. x (N, C, *spatial) -> (N, C, 1, …)."""

    def infer(self, x: TensorType) -> TensorType:
        """The type of x with every spatial axis one long."""
        if x.shape is None:
            return x.with_shape(None)
        require(len(x.shape) >= 2, self.label, found=f"x of type {x}", expected="rank 2 or more")
        return x.with_shape((*x.shape[:2], *(1 for _ in x.shape[2:])))


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalAveragePool(GlobalPool):
    """The mean over all spatial axes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalMaxPool(GlobalPool):
    """The largest element over all spatial axes."""
