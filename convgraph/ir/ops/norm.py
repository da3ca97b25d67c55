"""Normalisations."""

from dataclasses import dataclass

from convgraph.ir.ops.base import Op, Results, require
from convgraph.ir.tensor import TensorType


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
            fits = TensorType(operand.dtype, shape=(x.dim(1),)).admits(operand)
            require(fits, "BatchNormalization", found=f"{role} {operand} for x {x}", expected=f"[{x.dim(1)}]")
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
