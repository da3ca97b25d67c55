"""Normalisations."""

from dataclasses import dataclass

from convgraph.errors import InvalidModel
from convgraph.ir.ops.axes import normal_axis
from convgraph.ir.ops.base import Op, Results, require
from convgraph.ir.tensor import DataType, TensorType


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchNormalization(Op):
    """scale * (x - mean) / sqrt(var + epsilon) + bias on axis 1. x (N, C, *spatial), the others (C,).

    In training mode the statistics are the batch's own, and the running mean and variance are further
    results.
    """

    epsilon: float = 1e-5
    momentum: float = 0.9
    training_mode: int = 0

    def infer(
        self, x: TensorType, scale: TensorType, bias: TensorType, mean: TensorType, var: TensorType
    ) -> Results:
        """The type of x, then in training mode the types of the running statistics."""
        for role, operand in (("scale", scale), ("bias", bias), ("mean", mean), ("var", var)):
            if not TensorType(operand.dtype, shape=(x.dim(1),)).admits(operand):
                found = f"{role} {operand} for x {x}"
                raise InvalidModel("BatchNormalization", found=found, expected=f"[{x.dim(1)}]")
        y = x.with_shape(x.shape)
        return (y, mean.with_shape(mean.shape), var.with_shape(var.shape)) if self.training_mode else y


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceNormalization(Op):
    """scale * (x - mean) / sqrt(var + epsilon) + bias with each sample's and channel's own statistics.

    x (N, C, *spatial), scale and bias (C,).
    """

    epsilon: float = 1e-5

    def infer(self, x: TensorType, scale: TensorType, bias: TensorType) -> TensorType:
        """The type of x."""
        for role, operand in (("scale", scale), ("bias", bias)):
            fits = TensorType(operand.dtype, shape=(x.dim(1),)).admits(operand)
            require(
                fits, "InstanceNormalization", found=f"{role} {operand} for x {x}", expected=f"[{x.dim(1)}]"
            )
        return x.with_shape(x.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupNormalization(Op):
    """scale * (x - mean) / sqrt(var + epsilon) + bias with each sample's statistics of groups of channels.

    x (N, C, *spatial), scale and bias (C,). ``num_groups`` are as large as each other. ``stash_type`` is the
    element type that the statistics are computed in.
    """

    num_groups: int
    epsilon: float = 1e-5
    stash_type: DataType = DataType.FLOAT

    def infer(self, x: TensorType, scale: TensorType, bias: TensorType) -> TensorType:
        """The type of x."""
        channels = x.dim(1)
        whole = self.num_groups > 0 and not (isinstance(channels, int) and channels % self.num_groups)
        require(whole, "GroupNormalization", found=f"{self.num_groups} groups of {x}", expected="equal ones")
        for role, operand in (("scale", scale), ("bias", bias)):
            fits = TensorType(operand.dtype, shape=(channels,)).admits(operand)
            found = f"{role} {operand} for x {x}"
            require(fits, "GroupNormalization", found=found, expected=f"[{channels}]")
        return x.with_shape(x.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailingNormalization(Op):
    """A normalisation over the elements of all axes from ``axis`` on; its parameters broadcast to x.

    ``stash_type`` is the element type that the statistics are computed in.
    """

    axis: int = -1
    epsilon: float = 1e-5
    stash_type: DataType = DataType.FLOAT


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerNormalization(TrailingNormalization):
    """scale * (x - mean) / sqrt(var + epsilon) + bias, and on request mean and 1 / sqrt(var + epsilon)."""

    def infer(self, x: TensorType, scale: TensorType, bias: TensorType | None = None) -> Results:
        """The type of x, then those of the statistics, in which the normalised axes are one long."""
        del scale, bias
        statistic = TensorType(self.stash_type, shape=None)
        if x.shape is not None:
            first = normal_axis(self.label, self.axis, rank=len(x.shape))
            statistic = statistic.with_shape((*x.shape[:first], *(1 for _ in x.shape[first:])))
        return x.with_shape(x.shape), statistic, statistic


@dataclass(frozen=True, slots=True, kw_only=True)
class RMSNormalization(TrailingNormalization):
    """scale * x / sqrt(epsilon + the mean of x squared)."""

    def infer(self, x: TensorType, scale: TensorType) -> TensorType:
        """The shape of x, with the element type of scale."""
        if x.shape is not None:
            normal_axis(self.label, self.axis, rank=len(x.shape))
        return TensorType(scale.dtype, shape=x.shape)
