"""Another shape for the same elements in the same order, and Expand, which repeats them."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from convgraph.ir.ops.axes import length, normal_axes
from convgraph.ir.ops.base import Op, require
from convgraph.ir.tensor import Dim, TensorType, affine, broadcast, times


def product(dims: Sequence[Dim]) -> Dim:
    """The number of elements dims make, as a number, a symbol derived from a single one, or None."""
    return _quotient(dims, ())


def _quotient(dims: Sequence[Dim], divisors: Sequence[Dim]) -> Dim:
    """``dims``' product over that of ``divisors``, which is taken to divide it; equal symbols cancel."""
    if 0 in dims:
        return 0
    above, below = Counter(dims), Counter(divisors)
    symbols = [d for d in (above - below).elements() if not isinstance(d, int)]
    left = [d for d in (below - above).elements() if not isinstance(d, int)]
    number = math.prod(d for d in dims if isinstance(d, int))
    divisor = math.prod(d for d in divisors if isinstance(d, int))
    if left or len(symbols) > 1 or None in dims or None in divisors or divisor == 0:
        return None
    common = math.gcd(number, divisor)
    number, divisor = number // common, divisor // common
    if not symbols:
        return number if divisor == 1 else None
    scaled = times(symbols[0], number)
    return scaled if divisor == 1 else affine(scaled, add=0, divide=divisor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reshape(Op):
    """The same elements in the shape ``shape`` spells: -1 is what is left, 0 copies x's size.

    With ``allowzero`` a 0 is a size of its own.
    """

    allowzero: int = 0

    def __post_init__(self) -> None:
        """Refuse a flag that is neither 0 nor 1."""
        require(self.allowzero in (0, 1), "Reshape", found=f"allowzero={self.allowzero}", expected="0 or 1")

    def infer(self, data: TensorType, shape: TensorType) -> TensorType:
        """The type of the reshaped data, as far as the elements of ``shape`` are known."""
        if shape.ints is None:
            count = length(shape)
            return data.with_shape(None if count is None else (None,) * count)
        wanted = shape.ints
        found = f"shape {wanted}"
        require(
            wanted.count(-1) <= 1 and all(d >= -1 for d in wanted), "Reshape", found=found, expected=_LEGAL
        )
        clash = self.allowzero and 0 in wanted and -1 in wanted
        require(not clash, "Reshape", found=f"{found} with allowzero", expected="0 or -1, not both")
        dims = [self._dim(data, axis=i, wanted=d) for i, d in enumerate(wanted)]
        if -1 in wanted:
            rest = wanted.index(-1)
            dims[rest] = self._rest(data, [d for i, d in enumerate(dims) if i != rest])
        return self._same_size(data, TensorType(data.dtype, shape=tuple(dims)))

    def _dim(self, data: TensorType, *, axis: int, wanted: int) -> Dim:
        if wanted or self.allowzero:
            return None if wanted == -1 else wanted
        inside = data.rank is None or axis < data.rank
        require(inside, "Reshape", found=f"a 0 at axis {axis} for {data}", expected="an axis to copy")
        return data.dim(axis)

    def _rest(self, data: TensorType, others: list[Dim]) -> Dim:
        if data.shape is None:
            return None
        return _quotient(data.shape, others)

    def _same_size(self, data: TensorType, result: TensorType) -> TensorType:
        fits = data.size is None or data.size == result.size
        require(fits, "Reshape", found=f"{data} into {result}", expected="as many elements")
        return TensorType(result.dtype, shape=result.shape, known=_kept(data, result.rank))


_LEGAL = "sizes, with -1 at most once"


def _kept(data: TensorType, rank: int | None) -> tuple[int | float | bool, ...] | None:
    """Known elements survive as long as the result is a scalar or a vector."""
    return data.known if rank is not None and rank <= 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flatten(Op):
    """The same elements as a matrix: axes before ``axis`` make the rows, the others the columns."""

    axis: int = 1

    def infer(self, x: TensorType) -> TensorType:
        """A matrix type."""
        if x.shape is None:
            return x.with_shape((None, None))
        rank, axis = len(x.shape), self.axis
        require(
            -rank <= axis <= rank, "Flatten", found=f"axis {axis} of {rank}", expected=f"{-rank} to {rank}"
        )
        cut = axis + rank if axis < 0 else axis
        return x.with_shape((product(x.shape[:cut]), product(x.shape[cut:])))


@dataclass(frozen=True, slots=True, kw_only=True)
class Squeeze(Op):
    """Drop the named axes, each one long; all such axes when none is named."""

    def infer(self, data: TensorType, axes: TensorType | None = None) -> TensorType:
        """The type of data without these axes."""
        dropped = self.dropped_axes(data, axes)
        if data.shape is None or dropped is None:
            return data.with_shape(None)
        for axis in dropped:
            long = isinstance(data.shape[axis], int) and data.shape[axis] != 1
            require(not long, "Squeeze", found=f"axis {axis} of {data}", expected="an axis one long")
        shape = tuple(d for axis, d in enumerate(data.shape) if axis not in dropped)
        return TensorType(data.dtype, shape=shape, known=_kept(data, len(shape)))

    def dropped_axes(self, data: TensorType, axes: TensorType | None) -> tuple[int, ...] | None:
        """The axes that go, counted from the front; None when that is not known."""
        if axes is not None:
            ready = axes.ints is not None and data.rank is not None
            return normal_axes("Squeeze", axes.ints or (), rank=data.rank or 0) if ready else None
        if data.static_shape is None:
            return None
        return tuple(axis for axis, d in enumerate(data.static_shape) if d == 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsqueeze(Op):
    """Insert axes one long, so that they are the axes ``axes`` of the result."""

    def infer(self, data: TensorType, axes: TensorType) -> TensorType:
        """The type of data with these axes."""
        count = length(axes)
        if data.shape is None or count is None:
            return data.with_shape(None)
        rank = len(data.shape) + count
        if axes.ints is None:
            return data.with_shape((None,) * rank)
        new = normal_axes("Unsqueeze", axes.ints, rank=rank)
        old = iter(data.shape)
        shape = tuple(1 if axis in new else next(old) for axis in range(rank))
        return TensorType(data.dtype, shape=shape, known=_kept(data, rank))


@dataclass(frozen=True, slots=True, kw_only=True)
class Expand(Op):
    """Data broadcast, both ways as in numpy, with the shape ``shape`` spells."""

    def infer(self, data: TensorType, shape: TensorType) -> TensorType:
        """The type of the expanded data."""
        count = length(shape)
        if data.shape is None or count is None:
            return data.with_shape(None)
        if shape.ints is not None:
            legal = all(d >= 0 for d in shape.ints)
            require(legal, "Expand", found=f"shape {shape.ints}", expected="no negative size")
            return data.with_shape(broadcast(data.shape, shape.ints))
        # A size above one is what remains whatever it is expanded with; the others may grow.
        dims = tuple(d if isinstance(d, int) and d != 1 else None for d in data.shape)
        return data.with_shape((None,) * (count - len(dims)) + dims)
