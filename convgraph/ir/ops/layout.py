"""Moving elements: pad, cut, join, permute, and trade channels for space."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from convgraph.ir.ops.axes import length, normal_axes, normal_axis
from convgraph.ir.ops.base import Op, require
from convgraph.ir.tensor import KNOWN_LIMIT, UNKNOWN, Dim, Shape, TensorType, affine, times

FAR = 2**31 - 1  # exporters write any number from here on for "to the end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pad(Op):
    """Data with elements added around it, or cropped where a pad is negative.

    ``pads`` holds the begin of every axis in ``axes`` (all axes when omitted), then the end of every one.
    ``constant_value`` (0 when omitted) fills them in mode "constant"; the other modes take them from data.
    """

    mode: str = "constant"

    def __post_init__(self) -> None:
        """Refuse an unknown mode."""
        modes = ("constant", "reflect", "edge", "wrap")
        require(self.mode in modes, "Pad", found=f"mode={self.mode!r}", expected=f"one of {modes}")

    def infer(
        self,
        data: TensorType,
        pads: TensorType,
        constant_value: TensorType | None = None,
        axes: TensorType | None = None,
    ) -> TensorType:
        """The type of the padded data."""
        one = constant_value is None or constant_value.size in (None, 1)
        require(one, "Pad", found=f"constant_value {constant_value}", expected="one element")
        if data.shape is None:
            return data.with_shape(None)
        amounts = self.amounts(data, pads, axes)
        if amounts is None:
            return data.with_shape(self._untouched(data.shape, axes))
        shape = tuple(
            affine(dim, add=begin + end) for dim, (begin, end) in zip(data.shape, amounts, strict=True)
        )
        negative = any(isinstance(dim, int) and dim < 0 for dim in shape)
        require(
            not negative,
            "Pad",
            found=f"pads {pads.ints} for {data}",
            expected="no more cropped than there is",
        )
        return data.with_shape(shape)

    def amounts(
        self, data: TensorType, pads: TensorType, axes: TensorType | None = None
    ) -> list[tuple[int, int]] | None:
        """(begin, end) of every axis of data; None when pads, axes or the rank are not known."""
        if pads.ints is None or data.rank is None or (axes is not None and axes.ints is None):
            return None
        rank = data.rank
        chosen = range(rank) if axes is None else normal_axes("Pad", axes.ints or (), rank=rank)
        count = len(chosen)
        fits = len(pads.ints) == 2 * count
        require(fits, "Pad", found=f"pads {pads.ints} for {count} axes", expected=f"{2 * count} numbers")
        amounts = [(0, 0)] * rank
        for position, axis in enumerate(chosen):
            amounts[axis] = (pads.ints[position], pads.ints[count + position])
        return amounts

    def _untouched(self, shape: tuple[Dim, ...], axes: TensorType | None) -> Shape:
        if axes is None or axes.ints is None:
            return (None,) * len(shape)
        chosen = normal_axes("Pad", axes.ints, rank=len(shape))
        return tuple(None if axis in chosen else dim for axis, dim in enumerate(shape))


@dataclass(frozen=True, slots=True, kw_only=True)
class Concat(Op):
    """Operands joined along ``axis``; every other size agrees."""

    axis: int

    def infer(self, first: TensorType, *operands: TensorType) -> TensorType:
        """The type of the joined operands."""
        require(None not in operands, self.label, found="an operand left out", expected="each of them")
        parts = (first, *operands)
        dtypes = {part.dtype for part in parts} - {UNKNOWN.dtype}
        found = " and ".join(str(part) for part in parts)
        require(len(dtypes) <= 1, "Concat", found=found, expected="one element type")
        ranks = {part.rank for part in parts} - {None}
        require(len(ranks) <= 1, "Concat", found=found, expected="one rank")
        dtype = dtypes.pop() if dtypes else UNKNOWN.dtype
        if not ranks:
            return TensorType(dtype)
        rank = ranks.pop() or 0
        axis = normal_axis("Concat", self.axis, rank=rank)
        shape = tuple(
            _total([part.dim(i) for part in parts]) if i == axis else _agreed(i, parts) for i in range(rank)
        )
        return TensorType(dtype, shape=shape, known=_joined(parts) if rank == 1 else None)


def _agreed(axis: int, parts: Sequence[TensorType]) -> Dim:
    dims = [part.dim(axis) for part in parts]
    numbers = {dim for dim in dims if isinstance(dim, int)}
    found = f"sizes {dims} on axis {axis}"
    require(len(numbers) <= 1, "Concat", found=found, expected="equal sizes on every other axis")
    return numbers.pop() if numbers else next((dim for dim in dims if dim is not None), None)


def _total(dims: Sequence[Dim]) -> Dim:
    number = sum(dim for dim in dims if isinstance(dim, int))
    symbols = [dim for dim in dims if not isinstance(dim, int)]
    if not symbols:
        return number
    return affine(times(symbols[0], len(symbols)), add=number) if len(set(symbols)) == 1 else None


def _joined(parts: Sequence[TensorType]) -> tuple[int | float | bool, ...] | None:
    known = [part.known for part in parts if part.known is not None]
    small = len(known) == len(parts) and sum(map(len, known)) <= KNOWN_LIMIT
    return tuple(v for part in known for v in part) if small else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Split(Op):
    """Data cut along ``axis`` into pieces as long as ``split`` says, or into ``num_outputs`` equal ones.

    Equal pieces are rounded up and the last is what remains.
    """

    axis: int = 0
    num_outputs: int | None = None

    def __post_init__(self) -> None:
        """Refuse to make no piece at all."""
        count = self.num_outputs
        require(count is None or count >= 1, "Split", found=f"num_outputs={count}", expected="1 or more")

    def infer(self, data: TensorType, split: TensorType | None = None) -> tuple[TensorType, ...]:
        """One type a piece; none when not even their number is known."""
        clash = split is not None and self.num_outputs is not None
        require(not clash, "Split", found="both split and num_outputs", expected="one of them")
        axis = None if data.rank is None else normal_axis("Split", self.axis, rank=data.rank)
        sizes = self._equal(data, axis) if split is None else self._listed(data, split, axis)
        if data.shape is None or axis is None:
            return tuple(data.with_shape(None) for _ in sizes)
        return tuple(data.with_shape((*data.shape[:axis], size, *data.shape[axis + 1 :])) for size in sizes)

    def _listed(self, data: TensorType, split: TensorType, axis: int | None) -> list[Dim]:
        if split.ints is None:
            return [None] * (length(split) or 0)
        whole = None if axis is None else data.dim(axis)
        legal = min(split.ints, default=0) >= 0 and (not isinstance(whole, int) or sum(split.ints) == whole)
        require(legal, "Split", found=f"pieces {split.ints} of {data}", expected=f"pieces of {whole} in all")
        return list(split.ints)

    def _equal(self, data: TensorType, axis: int | None) -> list[Dim]:
        count = self.num_outputs or 0
        whole = None if axis is None else data.dim(axis)
        if not isinstance(whole, int):
            return [whole if count == 1 else None] * count
        piece = -(-whole // count) if count else 0
        last = whole - piece * (count - 1)
        require(last >= 0, "Split", found=f"{count} pieces of {whole} elements", expected="fewer pieces")
        return [*([piece] * (count - 1)), *([last] if count else [])]


class Cut(NamedTuple):
    """What Slice takes of one axis: as in ``x[start:end:step]``, numbers still as ONNX writes them."""

    start: int
    end: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice(Op):
    """Every ``step``-th element from ``start`` to before ``end``, on each of ``axes``, as numpy slices do.

    ``axes`` are the first ones when omitted, ``steps`` are then 1; a number beyond either end is clamped.
    """

    def infer(
        self,
        data: TensorType,
        starts: TensorType,
        ends: TensorType,
        axes: TensorType | None = None,
        steps: TensorType | None = None,
    ) -> TensorType:
        """The type of what is taken."""
        if data.shape is None:
            return data.with_shape(None)
        cuts = self.cuts(data, starts, ends, axes, steps)
        if cuts is None:
            return data.with_shape(self._untouched(data.shape, starts, axes))
        shape = tuple(_taken(dim, cuts[axis]) if axis in cuts else dim for axis, dim in enumerate(data.shape))
        known = None
        if data.known is not None and len(data.shape) == 1 and 0 in cuts:
            known = data.known[python_slice(cuts[0], len(data.known))]
        return TensorType(data.dtype, shape=shape, known=known)

    def cuts(
        self,
        data: TensorType,
        starts: TensorType,
        ends: TensorType,
        axes: TensorType | None = None,
        steps: TensorType | None = None,
    ) -> dict[int, Cut] | None:
        """What is taken of each axis that is cut, by axis; None when that is not known."""
        given = [operand for operand in (starts, ends, axes, steps) if operand is not None]
        if data.rank is None or any(operand.ints is None for operand in given):
            return None
        first, last = starts.ints or (), ends.ints or ()
        chosen = tuple(range(len(first))) if axes is None else axes.ints or ()
        stride = (1,) * len(first) if steps is None else steps.ints or ()
        equal = len(first) == len(last) == len(chosen) == len(stride)
        found = f"starts {first}, ends {last}, axes {chosen}, steps {stride}"
        require(equal, "Slice", found=found, expected="as many of each")
        require(0 not in stride, "Slice", found=found, expected="no step of 0")
        normal = normal_axes("Slice", chosen, rank=data.rank)
        return {axis: Cut(*cut) for axis, *cut in zip(normal, first, last, stride, strict=True)}

    def _untouched(self, shape: tuple[Dim, ...], starts: TensorType, axes: TensorType | None) -> Shape:
        if axes is None:
            cut = len(shape) if starts.size is None else starts.size
            return (None,) * min(cut, len(shape)) + shape[cut:]
        if axes.ints is None:
            return (None,) * len(shape)
        chosen = normal_axes("Slice", axes.ints, rank=len(shape))
        return tuple(None if axis in chosen else dim for axis, dim in enumerate(shape))


def python_slice(cut: Cut, size: int) -> slice:
    """The slice that takes the same elements of ``size``, clamped as ONNX clamps."""
    start = cut.start + size if cut.start < 0 else cut.start
    end = cut.end + size if cut.end < 0 else cut.end
    if cut.step > 0:
        return slice(min(max(start, 0), size), min(max(end, 0), size), cut.step)
    start, end = min(max(start, 0), size - 1), min(max(end, -1), size - 1)
    return slice(start if size else 0, end if end >= 0 else None, cut.step)


def _taken(dim: Dim, cut: Cut) -> Dim:
    if isinstance(dim, int):
        return len(range(*python_slice(cut, dim).indices(dim)))
    to_the_end = cut.end >= FAR
    if cut.step == -1 and (cut.start == -1 or cut.start >= FAR) and cut.end <= -FAR:
        return dim
    # A symbolic size is at least one, so one element can be left out at either end; no more is certain.
    if cut.step >= 1 and to_the_end and cut.start in (0, 1):
        return affine(dim, add=cut.step - 1 - cut.start, divide=cut.step)
    if cut.step == 1 and cut.start == 0 and cut.end == -1:
        return affine(dim, add=-1)
    if cut.step == 1 and (cut.start, to_the_end) == (-1, True):
        return 1
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gather(Op):
    """The elements of ``axis`` whose numbers are the indices, negative ones counted from the end.

    The axes of ``indices`` take the place of the axis.
    """

    axis: int = 0

    def infer(self, data: TensorType, indices: TensorType) -> TensorType:
        """The type of what is taken."""
        if data.shape is None:
            return data.with_shape(None)
        axis = normal_axis("Gather", self.axis, rank=len(data.shape))
        if indices.shape is None:
            return data.with_shape(None)
        shape = (*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :])
        return TensorType(data.dtype, shape=shape, known=_picked(data, indices))


def _picked(data: TensorType, indices: TensorType) -> tuple[int | float | bool, ...] | None:
    """Elements of a known vector; its numbers may still be out of range, as a runtime would find."""
    if data.rank != 1 or data.known is None or indices.ints is None:
        return None
    size = len(data.known)
    legal = all(-size <= index < size for index in indices.ints)
    return tuple(data.known[index] for index in indices.ints) if legal else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transpose(Op):
    """Axes in another order: axis i of the result is axis ``perm[i]`` of x; reversed when omitted."""

    perm: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse what is not a permutation."""
        legal = self.perm is None or sorted(self.perm) == list(range(len(self.perm)))
        require(legal, "Transpose", found=f"perm={self.perm}", expected="each axis once")

    def infer(self, x: TensorType) -> TensorType:
        """The type of x with its axes permuted."""
        if x.shape is None:
            return x.with_shape(None if self.perm is None else (None,) * len(self.perm))
        perm = self.order(len(x.shape))
        fits = len(perm) == len(x.shape)
        require(fits, "Transpose", found=f"perm={perm} for {x}", expected="as many axes")
        shape = tuple(x.shape[axis] for axis in perm)
        return TensorType(x.dtype, shape=shape, known=x.known)

    def order(self, rank: int) -> tuple[int, ...]:
        """``perm`` with its default for a tensor of this rank written out."""
        return tuple(reversed(range(rank))) if self.perm is None else self.perm


@dataclass(frozen=True, slots=True, kw_only=True)
class Rearrangement(Op):
    """What DepthToSpace and SpaceToDepth share: a block of pixels traded for channels, in rank 4."""

    blocksize: int

    def __post_init__(self) -> None:
        """Refuse a block without pixels."""
        require(
            self.blocksize >= 1, self.label, found=f"blocksize={self.blocksize}", expected="a positive number"
        )

    def _check(self, x: TensorType, *, axes: Sequence[int], divisor: int) -> None:
        require(x.rank in (None, 4), self.label, found=f"x of type {x}", expected="rank 4")
        for axis in axes:
            dim = x.dim(axis)
            fits = not isinstance(dim, int) or dim % divisor == 0
            require(
                fits, self.label, found=f"{dim} elements on axis {axis}", expected=f"a multiple of {divisor}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthToSpace(Rearrangement):
    """Channels become pixels. x (N, C, H, W) -> (N, C/b², H·b, W·b), b the block size.

    Mode "DCR" reads the channel number as (row, column, channel), "CRD" as (channel, row, column).
    """

    mode: str = "DCR"

    def __post_init__(self) -> None:
        """Refuse a block without pixels and an unknown mode."""
        Rearrangement.__post_init__(self)
        known = self.mode in ("DCR", "CRD")
        require(known, "DepthToSpace", found=f"mode={self.mode!r}", expected="'DCR' or 'CRD'")

    def infer(self, x: TensorType) -> TensorType:
        """The type with fewer channels and more pixels."""
        block = self.blocksize
        self._check(x, axes=(1,), divisor=block * block)
        channels = affine(x.dim(1), add=0, divide=block * block)
        return TensorType(x.dtype, shape=(x.dim(0), channels, times(x.dim(2), block), times(x.dim(3), block)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceToDepth(Rearrangement):
    """Pixels become channels, numbered (row, column, channel). x (N, C, H, W) -> (N, C·b², H/b, W/b)."""

    def infer(self, x: TensorType) -> TensorType:
        """The type with more channels and fewer pixels."""
        block = self.blocksize
        self._check(x, axes=(2, 3), divisor=block)
        sizes = [affine(x.dim(axis), add=0, divide=block) for axis in (2, 3)]
        return TensorType(x.dtype, shape=(x.dim(0), times(x.dim(1), math.prod((block, block))), *sizes))
