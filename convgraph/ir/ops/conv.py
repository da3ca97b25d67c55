"""Convolutions: Conv and ConvTranspose over any number of spatial axes, with an optional fused activation.

Operands are x, weight, bias (may be omitted) and then the parameter operands of the fused activation. Pads
are in ONNX's order: every axis's begin, then every axis's end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Self

from convgraph.errors import InvalidModel
from convgraph.ir.ops.activation import Activation
from convgraph.ir.ops.base import Op, require
from convgraph.ir.ops.window import AUTO_PADS, check_window, explicit_pads, slid, spread
from convgraph.ir.tensor import Dim, TensorType, affine, times


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolution(Op):
    """What Conv and ConvTranspose share: a moving window and an optional fused activation."""

    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    group: int = 1
    auto_pad: str = "NOTSET"
    activation: Activation | None = None

    def __post_init__(self) -> None:
        """Refuse a window whose numbers do not fit together."""
        check_window(self.label, strides=self.strides, pads=self.pads, dilations=self.dilations)
        if self.group < 1:
            raise InvalidModel(
                self.label, found=f"group={self.group}", expected="a positive number of groups"
            )
        if self.auto_pad not in AUTO_PADS:
            raise InvalidModel(self.label, found=f"auto_pad={self.auto_pad}", expected=str(AUTO_PADS))

    @classmethod
    def of(
        cls,
        rank: int,
        *,
        strides: int | Sequence[int] = 1,
        pads: int | Sequence[int] = 0,
        dilations: int | Sequence[int] = 1,
        group: int = 1,
    ) -> Self:
        """A convolution over ``rank`` spatial axes; a single number stands for every axis (and both ends)."""
        return cls(
            strides=spread(strides, rank),
            pads=spread(pads, 2 * rank),
            dilations=spread(dilations, rank),
            group=group,
        )

    @property
    def spatial_rank(self) -> int:
        """Number of spatial axes."""
        return len(self.strides)

    def _check_ranks(self, x: TensorType, weight: TensorType) -> None:
        rank = self.spatial_rank + 2
        for role, operand in (("x", x), ("weight", weight)):
            if operand.rank not in (None, rank):
                raise InvalidModel(self.label, found=f"{role} of type {operand}", expected=f"rank {rank}")

    def _check_bias(self, bias: TensorType | None, *, channels: Dim) -> None:
        if bias is not None and not TensorType(bias.dtype, shape=(channels,)).admits(bias):
            raise InvalidModel(self.label, found=f"bias of type {bias}", expected=f"shape [{channels}]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv(Convolution):
    """Cross-correlation. x (N, C, *spatial), weight (M, C/group, *kernel)[, bias (M,)] -> (N, M, *out).

    out[d] = floor((in[d] + pad_begin[d] + pad_end[d] - dilation[d]*(kernel[d]-1) - 1) / stride[d]) + 1
    """

    def infer(
        self, x: TensorType, weight: TensorType, bias: TensorType | None = None, *activation: TensorType
    ) -> TensorType:
        """The type of the result, from the types of the operands."""
        self._check_ranks(x, weight)
        channels, per_group = x.dim(1), weight.dim(1)
        expected = per_group * self.group if isinstance(per_group, int) else channels
        if isinstance(channels, int) and channels != expected:
            found = f"{channels} channels for a weight {weight} in {self.group} groups"
            raise InvalidModel("Conv", found=found, expected=f"{expected}")
        out = weight.dim(0)
        if isinstance(out, int) and out % self.group:
            found = f"{out} output channels in {self.group} groups"
            raise InvalidModel("Conv", found=found, expected="a multiple of the group count")
        self._check_bias(bias, channels=out)
        return TensorType(x.dtype, shape=(x.dim(0), out, *self._spatial(x, weight)))

    def _spatial(self, x: TensorType, weight: TensorType) -> list[Dim]:
        return slid(
            [x.dim(2 + axis) for axis in range(self.spatial_rank)],
            kernel=[weight.dim(2 + axis) for axis in range(self.spatial_rank)],
            window=self,
            op="Conv",
        )

    def padded_explicitly(self, x: TensorType, weight: TensorType) -> tuple[int, ...] | None:
        """The pads that ``auto_pad`` stands for; None while that depends on an unknown size."""
        return explicit_pads(
            [x.dim(2 + axis) for axis in range(self.spatial_rank)],
            kernel=[weight.dim(2 + axis) for axis in range(self.spatial_rank)],
            window=self,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvTranspose(Convolution):
    """The transpose of Conv. x (N, C, *spatial), weight (C, M/group, *kernel)[, bias] -> (N, M, *out).

    out[d] = stride[d]*(in[d]-1) + output_padding[d] + dilation[d]*(kernel[d]-1) + 1
             - pad_begin[d] - pad_end[d]

    ``output_shape``, when given, fixes out (spatial axes only) and the pads follow from it. ``auto_pad`` SAME
    pads to out = stride*in where that takes something away: where it does not, as with a stride beyond the
    kernel, there is no padding and out is the smaller.
    """

    output_padding: tuple[int, ...] = ()
    output_shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse a window whose numbers do not fit together."""
        Convolution.__post_init__(self)
        for name, value in (("output_padding", self.output_padding), ("output_shape", self.output_shape)):
            fits = not value or len(value) == self.spatial_rank
            require(fits, "ConvTranspose", found=f"{name}={value}", expected=f"{self.spatial_rank} numbers")

    def infer(
        self, x: TensorType, weight: TensorType, bias: TensorType | None = None, *activation: TensorType
    ) -> TensorType:
        """The type of the result, from the types of the operands."""
        self._check_ranks(x, weight)
        channels, rows = x.dim(1), weight.dim(0)
        if isinstance(channels, int) and isinstance(rows, int):
            found = f"{channels} channels for a weight {weight}"
            require(channels == rows, "ConvTranspose", found=found, expected=f"{rows} channels")
            divides = rows % self.group == 0
            require(
                divides,
                "ConvTranspose",
                found=f"{rows} channels in {self.group} groups",
                expected="a multiple",
            )
        out = times(weight.dim(1), self.group)
        self._check_bias(bias, channels=out)
        return TensorType(x.dtype, shape=(x.dim(0), out, *self._spatial(x, weight)))

    def _spatial(self, x: TensorType, weight: TensorType) -> list[Dim]:
        if self.output_shape is not None:
            return list(self.output_shape)
        return [self._out(x.dim(2 + axis), weight.dim(2 + axis), axis) for axis in range(self.spatial_rank)]

    def _out(self, size: Dim, kernel: Dim, axis: int) -> Dim:
        if not isinstance(kernel, int):
            return None
        scaled, growth = times(size, self.strides[axis]), self._growth(kernel, axis)
        if self.auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            return affine(scaled, add=min(growth, 0))
        pads = 0 if self.auto_pad == "VALID" else self.pads[axis] + self.pads[axis + self.spatial_rank]
        out = affine(scaled, add=growth - pads)
        if isinstance(out, int):
            found = f"pads of {pads} around {out + pads} elements on spatial axis {axis}"
            require(out >= 0, self.label, found=found, expected="pads that leave something")
        return out

    def _growth(self, kernel: int, axis: int) -> int:
        """How much larger than stride times input the output is before padding takes its ends away."""
        reach = self.dilations[axis] * (kernel - 1) + 1
        return reach + self.output_paddings[axis] - self.strides[axis]

    @property
    def output_paddings(self) -> tuple[int, ...]:
        """``output_padding`` with its default, no extra row on any axis, written out."""
        return self.output_padding or tuple(repeat(0, self.spatial_rank))

    def padded_explicitly(self, x: TensorType, weight: TensorType) -> tuple[int, ...] | None:
        """The pads that ``auto_pad`` or ``output_shape`` stands for on these operands.

        None while that depends on an unknown size, as only ``output_shape`` does on that of x.
        """
        if self.auto_pad == "VALID" and self.output_shape is None:
            return spread(0, 2 * self.spatial_rank)
        if self.auto_pad == "NOTSET" and self.output_shape is None:
            return self.pads
        begins, ends = [], []
        for axis in range(self.spatial_rank):
            total = self._total_padding(x.dim(2 + axis), weight.dim(2 + axis), axis)
            if total is None:
                return None
            # ONNX: SAME_UPPER puts the odd pixel at the end, everything else at the beginning.
            small, large = max(total, 0) // 2, max(total, 0) - max(total, 0) // 2
            begin, end = (small, large) if self.auto_pad == "SAME_UPPER" else (large, small)
            begins.append(begin)
            ends.append(end + min(total, 0))  # ONNX does not say where more than all grows; runtimes: there
        return (*begins, *ends)

    def _total_padding(self, size: Dim, kernel: Dim, axis: int) -> int | None:
        if not isinstance(kernel, int):
            return None
        growth = self._growth(kernel, axis)
        if self.output_shape is None:
            return max(growth, 0)
        return size * self.strides[axis] + growth - self.output_shape[axis] if isinstance(size, int) else None
